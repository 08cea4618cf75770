//! Pauses before a stream is begun anew: 1, 2, 4 .. 30 seconds, each a fifth more or less, so that the streams of one camera
//! do not come back together.

use std::time::Duration;

/// Longest pause, before it is varied.
const LONGEST: Duration = Duration::from_secs(30);
/// A stream that brought frames for so long is well: the next pause is the shortest.
pub const WELL_AFTER: Duration = Duration::from_secs(10);

/// The pauses of one stream.
#[derive(Clone, Debug)]
pub struct Backoff {
    in_a_row: u32,
    /// xorshift; never 0.
    random: u64,
}

impl Backoff {
    /// Starts with the shortest pause. Any `seed` will do.
    pub const fn new(seed: u64) -> Self {
        Self {
            in_a_row: 0,
            random: seed | 1,
        }
    }

    /// The next pause is the shortest again.
    pub const fn reset(&mut self) {
        self.in_a_row = 0;
    }

    /// The next pause.
    pub fn next(&mut self) -> Duration {
        let whole = Duration::from_secs(1 << self.in_a_row.min(5)).min(LONGEST);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // 0.8 to 1.2, in thousandths.
        let part = 800 + u32::try_from(self.random % 401).unwrap_or(200);
        whole * part / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        for seed in [0, 1, 7, u64::MAX] {
            let mut backoff = Backoff::new(seed);
            for whole in [1, 2, 4, 8, 16, 30, 30, 30] {
                let pause = backoff.next().as_secs_f64();
                let whole = f64::from(whole);
                assert!((0.79 * whole..=1.21 * whole).contains(&pause), "{pause}");
            }
            backoff.reset();
            assert!(backoff.next() < Duration::from_secs(2));
        }
    }
}
