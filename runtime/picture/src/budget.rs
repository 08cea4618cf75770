//! The memory that a picture may take while it is decoded: a share of the memory that the system still
//! has free. A picture that is too large then gives an error message and does not end the node.

use std::{fs, path::Path};

use nix::sys::resource::{Resource, getrlimit};

/// Longest side that is decoded.
pub(super) const SIDE_MAX: u32 = 16_384;
/// Most bytes that decoding may take on any machine.
const DECODE_BYTES_MAX: u64 = 512 << 20;
/// Most nested control groups that are looked at.
const CGROUPS_MAX: usize = 32;

/// Bytes that decoding a picture may take now: three quarters of what is free, at most
/// [`DECODE_BYTES_MAX`].
pub(super) fn decode_bytes_now() -> u64 {
    let free = [free_of_system(), free_of_cgroups(), free_of_process()];
    let least = free.into_iter().flatten().min().unwrap_or(u64::MAX);
    (least / 4 * 3).min(DECODE_BYTES_MAX)
}

/// Bytes that the kernel estimates it can give without swapping.
fn free_of_system() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Bytes that the limit of the address space (`ulimit -v`) leaves.
#[allow(
    clippy::unnecessary_cast,
    reason = "limits have 32 bits on some boards"
)]
fn free_of_process() -> Option<u64> {
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    if limit == nix::libc::RLIM_INFINITY {
        return None;
    }
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some((limit as u64).saturating_sub(kilobytes(&status, "VmSize:")?))
}

/// Bytes that the control groups of this process (`MemoryMax=` of systemd, containers) leave.
fn free_of_cgroups() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    // The line of the second version; the first one's hierarchies have a number and names.
    let path = groups.lines().find_map(|l| l.strip_prefix("0::"))?;
    free_of_cgroup(Path::new("/sys/fs/cgroup"), path.trim_start_matches('/'))
}

/// The least number of bytes that the group `path` below `root` and the groups around it leave.
fn free_of_cgroup(root: &Path, path: &str) -> Option<u64> {
    let own = root.join(path);
    let around = own.ancestors().take_while(|dir| dir.starts_with(root));
    around.take(CGROUPS_MAX).filter_map(free_in).min()
}

fn free_in(dir: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
    // "max" where there is no limit.
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    // Cached files that nobody uses are given up before anything fails.
    let stat = read("memory.stat").unwrap_or_default();
    let mut lines = stat.lines();
    let cached = lines.find_map(|l| l.strip_prefix("inactive_file ")?.trim().parse().ok());
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

/// The value of a line like `MemAvailable:   1024 kB`, in bytes.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|l| l.strip_prefix(key))?;
    let kilobytes: u64 = value.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |dir: &str, max: &str, current: u64, cached: u64| {
            let dir = root.path().join(dir);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("memory.max"), max).unwrap();
            fs::write(dir.join("memory.current"), format!("{current}\n")).unwrap();
            let stat = format!("anon 5\ninactive_file {cached}\nactive_file 9\n");
            fs::write(dir.join("memory.stat"), stat).unwrap();
        };
        assert_eq!(free_of_cgroup(root.path(), "a/b"), None);
        put("a/b", "max\n", 700, 0);
        assert_eq!(free_of_cgroup(root.path(), "a/b"), None);
        put("a", "1000\n", 700, 100);
        assert_eq!(free_of_cgroup(root.path(), "a/b"), Some(400));
        put("a/b", "800\n", 600, 50);
        assert_eq!(free_of_cgroup(root.path(), "a/b"), Some(250));
        // More is used than the limit allows, as after it was lowered.
        put("a/b", "500\n", 600, 0);
        assert_eq!(free_of_cgroup(root.path(), "a/b"), Some(0));
        assert_eq!(free_of_cgroup(root.path(), ""), None);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!((1..=DECODE_BYTES_MAX).contains(&decode_bytes_now()));
        let text = "MemTotal: 9 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), Some(1 << 20));
        assert_eq!(kilobytes(text, "SwapFree:"), None);
    }
}
