//! The memory that this process uses, and a board's processes together.

use crate::wait::Clock;
use tessera_plan::files::statistics::Memory;
use tessera_protocol::Micros;

/// Reads `/proc/self/status`; zeros where the file is missing.
pub fn now() -> Memory {
    parse(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// Reads the text of `/proc/self/status`.
pub(crate) fn parse(status: &str) -> Memory {
    let get = |key: &str| kilobytes(status, key) * 1024;
    Memory {
        peak_bytes: get("VmHWM"),
        anonymous_bytes: get("RssAnon"),
        file_bytes: get("RssFile"),
        shared_bytes: get("RssShmem"),
    }
}

/// The number behind `key:` in a file of `/proc`; 0 without such a line.
fn kilobytes(text: &str, key: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    let word = line.and_then(|l| l.split_whitespace().next());
    word.and_then(|w| w.parse().ok()).unwrap_or(0)
}

/// Least time between two looks at a board's memory.
const LOOK_US: Micros = 250_000;
/// Looks take at most this part of the time: each walks the page tables of all of the board's processes, on a core that has
/// tiles to compute.
const LOOK_PART: Micros = 1000;

/// The memory of a board's processes together, looked at now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoardMemory {
    /// The most that a look found.
    pub peak_bytes: u64,
    look_at: Micros,
}

impl BoardMemory {
    /// Looks at this process and at `workers`, if it is time.
    pub fn look(&mut self, now: Micros, workers: impl FnOnce() -> Vec<u32>) {
        if now >= self.look_at {
            let clock = Clock::start();
            self.look_now(&workers());
            self.look_at = now + LOOK_US.max(LOOK_PART * clock.now());
        }
    }

    /// Looks at this process and at `workers`.
    pub fn look_now(&mut self, workers: &[u32]) {
        let own = std::process::id();
        let all = std::iter::once(&own).chain(workers);
        let bytes = all.map(|pid| proportional_bytes(*pid)).sum();
        self.peak_bytes = self.peak_bytes.max(bytes);
    }
}

/// Proportional set size (`Pss`) of a process, in bytes: pages that several processes share count in parts. 0 where
/// the system does not tell.
fn proportional_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    kilobytes(&text.unwrap_or_default(), "Pss") * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_looked_at_now_and_then() {
        let mut board = BoardMemory::default();
        board.look(5, Vec::new);
        let found = board.peak_bytes;
        assert!(found > 0 && found <= now().peak_bytes);
        board.look(5 + LOOK_US - 1, || panic!("not yet"));
        let own = std::process::id();
        let at = board.look_at;
        assert!(at >= 5 + LOOK_US);
        board.look(at, || vec![own]);
        assert!(board.peak_bytes > found, "twice the process");
    }

    #[test]
    fn status_is_read() {
        let m = parse("Name:\tnode\nVmHWM:\t    2048 kB\nRssAnon:\t 4 kB\nRssFile:\t 8 kB\n");
        assert_eq!(
            m,
            Memory {
                peak_bytes: 2 << 20,
                anonymous_bytes: 4096,
                file_bytes: 8192,
                shared_bytes: 0
            }
        );
        assert!(now().peak_bytes > 0);
    }
}
