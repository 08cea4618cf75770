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
        let version = match controllers {
            "" => SECOND,
            _ if controllers.split(',').any(|c| c == "memory") => FIRST,
            _ => continue,
        };
        let mut path = path.trim_matches('/');
        loop {
            found.extend(group(root, &version, path));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None if path.is_empty() => break,
                None => path = "",
            }
        }
    }
    found
}

/// Where a version of control groups tells of memory, in a group's folder.
struct Version {
    folder: &'static str,
    limit: &'static str,
    /// From so many bytes on, that is no limit.
    unlimited: u64,
    used: &'static str,
    /// In `memory.stat`: pages of files that can be given back at once.
    files: &'static str,
    /// The file that counts ended processes.
    events: &'static str,
}

const SECOND: Version = Version {
    folder: "sys/fs/cgroup",
    // `max` is no number, and no limit.
    limit: "memory.max",
    unlimited: u64::MAX,
    used: "memory.current",
    files: "inactive_file",
    events: "memory.events",
};

const FIRST: Version = Version {
    folder: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    // The largest number of pages.
    unlimited: 1 << 60,
    used: "memory.usage_in_bytes",
    files: "total_inactive_file",
    events: "memory.oom_control",
};

fn group(root: &Root, version: &Version, path: &str) -> Option<Group> {
    let folder = format!("{}/{path}", version.folder);
    let number = |file: &str| u64::try_from(root.number(format!("{folder}/{file}"))?).ok();
    let in_file = |file: &str, key| value(&root.text(format!("{folder}/{file}"))?, key);
    let limit = number(version.limit).filter(|n| *n < version.unlimited)?;
    let files = in_file("memory.stat", version.files).unwrap_or(0);
    Some(Group {
        limit,
        used: number(version.used)?.saturating_sub(files),
        killed: in_file(version.events, "oom_kill").unwrap_or(0),
        folder,
    })
}
