//! When a message that nobody has answered is sent again: pauses that double up to a bound.

use super::Micros;

/// A repeated message's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// When to send next.
    pub at_us: Micros,
    /// The pause after that.
    pause_us: u64,
}

impl Retry {
    /// To be sent at once, and again after `pause_us`.
    pub const fn now(now_us: Micros, pause_us: u64) -> Self {
        Self {
            at_us: now_us,
            pause_us,
        }
    }

    /// Just sent: again after `pause_us`.
    pub const fn after(now_us: Micros, pause_us: u64, pause_us_max: u64) -> Self {
        let doubled = pause_us * 2;
        Self {
            at_us: now_us + pause_us,
            pause_us: if doubled < pause_us_max {
                doubled
            } else {
                pause_us_max
            },
        }
    }

    /// Sent again.
    pub const fn repeat(self, now_us: Micros, pause_us_max: u64) -> Self {
        Self::after(now_us, self.pause_us, pause_us_max)
    }

    /// Whether to send.
    pub const fn is_due(self, now_us: Micros) -> bool {
        self.at_us <= now_us
    }
}
