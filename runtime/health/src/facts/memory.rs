//! Memory of the board, and of the control group that a process runs in.

use crate::Root;

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: Option<u64>,
    /// What new processes can have.
    pub available: Option<u64>,
    /// Pages written to swap since the start.
    pub swapped_out_pages: Option<u64>,
    /// The control group of this process with the least room, if one has a limit.
    pub group: Option<Group>,
}

/// A control group with a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its folder below the root.
    pub folder: String,
    /// Bytes that it may use.
    pub limit: u64,
    /// Bytes that it uses, without files' pages that can be given back at once.
    pub used: u64,
    /// Processes of it that the system has ended for want of memory.
    pub killed: u64,
}

impl Memory {
    /// Reads it.
    pub fn read(root: &Root) -> Self {
        let info = root.text("proc/meminfo").unwrap_or_default();
        let kib = |key| Some(value(&info, key)? << 10);
        let vmstat = root.text("proc/vmstat").unwrap_or_default();
        Self {
            total: kib("MemTotal:"),
            available: kib("MemAvailable:"),
            swapped_out_pages: value(&vmstat, "pswpout"),
            group: groups(root).into_iter().min_by_key(Group::room),
        }
    }
}

impl Group {
    /// Bytes that are left.
    pub const fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// The number behind a word at the beginning of a line.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == key).then(|| words.next()?.parse().ok())?
    })
}

/// The groups with limits that this process is in, of both versions, those above them too.
fn groups(root: &Root) -> Vec<Group> {
    let own = root.text("proc/self/cgroup").unwrap_or_default();
    let mut found = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (base, read): (_, fn(&Root, String) -> Option<Group>) = match controllers {
            "" => ("sys/fs/cgroup", second_version),
            _ if controllers.split(',').any(|c| c == "memory") => {
                ("sys/fs/cgroup/memory", first_version)
            }
            _ => continue,
        };
        let mut path = path.trim_matches('/');
        loop {
            found.extend(read(root, format!("{base}/{path}")));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None if path.is_empty() => break,
                None => path = "",
            }
        }
    }
    found
}

fn second_version(root: &Root, folder: String) -> Option<Group> {
    let number = |file: &str| u64::try_from(root.number(format!("{folder}/{file}"))?).ok();
    let in_file = |file: &str, key| value(&root.text(format!("{folder}/{file}"))?, key);
    // `max` is no number, and no limit.
    let limit = number("memory.max")?;
    let files = in_file("memory.stat", "inactive_file").unwrap_or(0);
    Some(Group {
        limit,
        used: number("memory.current")?.saturating_sub(files),
        killed: in_file("memory.events", "oom_kill").unwrap_or(0),
        folder,
    })
}

fn first_version(root: &Root, folder: String) -> Option<Group> {
    let number = |file: &str| u64::try_from(root.number(format!("{folder}/{file}"))?).ok();
    let in_file = |file: &str, key| value(&root.text(format!("{folder}/{file}"))?, key);
    // No limit is the largest number of pages.
    let limit = number("memory.limit_in_bytes").filter(|n| *n < 1 << 60)?;
    let files = in_file("memory.stat", "total_inactive_file").unwrap_or(0);
    Some(Group {
        limit,
        used: number("memory.usage_in_bytes")?.saturating_sub(files),
        killed: in_file("memory.oom_control", "oom_kill").unwrap_or(0),
        folder,
    })
}
