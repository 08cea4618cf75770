//! The state of a process according to the system: `/proc/ID`.

use std::fs;

/// Processor time that a process has used, all its threads together, in the system's ticks; none when
/// it is gone.
pub(super) fn processor_ticks(pid: u32) -> Option<u64> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether no thread of a process will run any instruction of its own again once it is killed: each
/// is dead, or waits inside the kernel for something that cannot be interrupted (a disk that does not
/// answer, a frozen group), and dies when it would leave the kernel.
pub(super) fn is_held_by_kernel(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let text = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        matches!(after_name(&text).next(), None | Some("D" | "Z" | "X"))
    })
}

/// The words of `id (name) state parent ...` behind the name, which may hold anything.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
}

fn ticks(stat: &str) -> Option<u64> {
    // State is word 0; user and system time are words 11 and 12.
    let mut times = after_name(stat).skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 90 0 0 0 12 30 5 6 20 0 1 0";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (cut"), None);
        assert_eq!(after_name(stat).next(), Some("S"));
    }

    #[test]
    fn this_process_runs() {
        assert!(processor_ticks(std::process::id()).is_some());
        assert!(!is_held_by_kernel(std::process::id()));
        assert!(is_held_by_kernel(u32::MAX), "nobody runs there");
    }
}
