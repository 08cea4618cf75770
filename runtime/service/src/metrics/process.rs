//! The customary metrics of a process, from `/proc/self`.

use std::{fmt, fs};

use super::{Families, none, number};
use crate::shown::Shown;

/// Ticks of the clock in `/proc/self/stat` in a second: always 100 for user space on Linux.
const TICKS_PER_S: f64 = 100.0;

/// What `/proc/self/stat` says; zeros where it cannot be read.
#[derive(Debug, Default, PartialEq)]
struct Stat {
    cpu_s: f64,
    threads: u64,
    /// Seconds after the system's start.
    started_s: f64,
    virtual_bytes: u64,
}

impl Stat {
    /// Reads the words behind the name, which may hold anything.
    fn parse(text: &str) -> Self {
        let words = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let words: Vec<&str> = words.split_whitespace().collect();
        // Word 0 is the state, field 3 of proc(5).
        let of = |field: usize| -> u64 {
            let word = words.get(field - 3).and_then(|w| w.parse().ok());
            word.unwrap_or(0)
        };
        Self {
            cpu_s: number(of(14) + of(15)) / TICKS_PER_S,
            threads: of(20),
            started_s: number(of(22)) / TICKS_PER_S,
            virtual_bytes: of(23),
        }
    }
}

/// When the system started, in seconds since 1970.
fn booted_s() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("btime "));
    line.and_then(|l| l.trim().parse().ok()).unwrap_or(0.0)
}

/// The soft limit of open files.
fn files_max() -> u64 {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("Max open files"));
    let word = line.and_then(|l| l.split_whitespace().next());
    word.and_then(|w| w.parse().ok()).unwrap_or(0)
}

pub(super) fn encode(out: &mut Families<'_>, shown: &Shown) -> fmt::Result {
    let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").unwrap_or_default());
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let memory = shown.state.memory;
    let resident = memory.anonymous_bytes + memory.file_bytes + memory.shared_bytes;
    out.counters(
        "process_cpu_seconds",
        "Processor time of the gateway's process",
        [(none(), stat.cpu_s)],
    )?;
    for (name, help, value) in [
        (
            "process_open_fds",
            "Open file descriptors",
            number(open as u64),
        ),
        (
            "process_max_fds",
            "Most file descriptors",
            number(files_max()),
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory",
            number(stat.virtual_bytes),
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory",
            number(resident),
        ),
        (
            "process_start_time_seconds",
            "When the process began, since 1970",
            booted_s() + stat.started_s,
        ),
        ("process_threads", "Threads", number(stat.threads)),
    ] {
        out.gauges(name, help, [(none(), value)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 90 0 0 0 250 50 5 6 20 0 3 0 12345 987654 55";
        let stat = Stat {
            cpu_s: 3.0,
            threads: 3,
            started_s: 123.45,
            virtual_bytes: 987_654,
        };
        assert_eq!(Stat::parse(text), stat);
        assert_eq!(Stat::parse("cut"), Stat::default());
    }

    #[test]
    fn this_process_has_files_and_limits() {
        assert!(files_max() > 0 && booted_s() > 0.0);
    }
}
