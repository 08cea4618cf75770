//! Round trips, and what they say about silence.

/// Smoothed round trips and their variation (RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtt {
    smoothed: Option<(u64, u64)>,
}

impl Rtt {
    /// Adds a measured round trip, in microseconds.
    pub fn measure(&mut self, sample: u64) {
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((rtt, var)) => ((rtt * 7 + sample) / 8, (var * 3 + rtt.abs_diff(sample)) / 4),
        });
    }

    /// The time in which an answer comes almost surely, in microseconds; `None` before the first round trip.
    pub fn timeout(&self) -> Option<u64> {
        self.smoothed.map(|(rtt, var)| rtt + (4 * var).max(1_000))
    }

    /// A round trip and its usual variation, in microseconds; 0 before the first round trip.
    pub fn usual(&self) -> u64 {
        self.smoothed.map_or(0, |(rtt, var)| rtt + var)
    }
}
