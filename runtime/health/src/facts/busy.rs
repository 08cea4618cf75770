//! How much of the processor's time is used.

use crate::Root;

/// Time of all cores since the start, in the kernel's ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorTime {
    /// What was used.
    pub busy: u64,
    /// All of it.
    pub all: u64,
}

impl ProcessorTime {
    /// Reads it; `None` where the kernel does not tell.
    pub fn read(root: &Root) -> Option<Self> {
        let stat = root.text("proc/stat")?;
        let line = stat.lines().find_map(|l| l.strip_prefix("cpu "))?;
        // User, nice, system, idle, waiting for a disk, two kinds of interrupts, stolen; time of guests is in that of users.
        let words = line.split_ascii_whitespace().take(8);
        let parts: Vec<u64> = words.map_while(|w| w.parse().ok()).collect();
        let all = parts.iter().fold(0u64, |sum, n| sum.saturating_add(*n));
        let idle = parts.get(3)?.saturating_add(*parts.get(4).unwrap_or(&0));
        let busy = all.saturating_sub(idle);
        Some(Self { busy, all })
    }

    /// The share that was used since an earlier look, from 0 to 1; `None` if no time has passed.
    #[expect(clippy::cast_precision_loss, reason = "ticks of a moment")]
    pub fn share_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|n| *n > 0)?;
        let busy = self.busy.saturating_sub(before.busy).min(all);
        Some(busy as f64 / all as f64)
    }
}
