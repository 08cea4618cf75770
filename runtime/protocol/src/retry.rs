//! Timers for repeating unanswered messages: pauses double up to a bound.

use super::Micros;

/// The timer of a repeated message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// When to send the message next.
    pub at_us: Micros,
    /// The pause after the next send, in microseconds.
    pause_us: u64,
}

impl Retry {
    /// A timer for a message to be sent at once, and again after `pause_us` microseconds.
    pub const fn now(now_us: Micros, pause_us: u64) -> Self {
        Self {
            at_us: now_us,
            pause_us,
        }
    }

    /// A timer for a message that was just sent: due again after `pause_us` microseconds.
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

    /// The timer after a further send: doubles the pause, up to `pause_us_max` microseconds.
    pub const fn repeat(self, now_us: Micros, pause_us_max: u64) -> Self {
        Self::after(now_us, self.pause_us, pause_us_max)
    }

    /// True when the message is to be sent now.
    pub const fn is_due(self, now_us: Micros) -> bool {
        self.at_us <= now_us
    }
}
