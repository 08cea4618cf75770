//! Pauses between two attempts to reach the broker: 1, 2, 4 .. 30 seconds.

use std::time::Duration;

/// The pauses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    in_a_row: u32,
}

impl Backoff {
    /// The next pause is the shortest again.
    pub const fn reset(&mut self) {
        self.in_a_row = 0;
    }

    /// The next pause.
    pub fn next(&mut self) -> Duration {
        let pause = Duration::from_secs(1 << self.in_a_row.min(5));
        self.in_a_row = self.in_a_row.saturating_add(1);
        pause.min(Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_have_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..8).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        backoff.reset();
        assert_eq!(backoff.next().as_secs(), 1);
    }
}
