//! What came of another probe's burst.

use std::{net::SocketAddr, time::Instant};

use tessera_plan::files::probe::Answer;

/// Whose burst: the sender, its measurement, and the burst's number.
type Key = (SocketAddr, u64, u32);

/// The datagrams of the last burst.
#[derive(Debug, Default)]
pub(super) struct Received {
    last: Option<Burst>,
}

#[derive(Debug)]
struct Burst {
    key: Key,
    first: Instant,
    last: Instant,
    /// Bytes behind the first datagram, whose time is not in the burst's.
    bytes: u64,
}

impl Received {
    /// Counts a datagram of `bytes` bytes. A burst that is not the last one's takes its place.
    pub fn add(&mut self, key: Key, bytes: usize) {
        let now = Instant::now();
        match &mut self.last {
            Some(burst) if burst.key == key => {
                burst.last = now;
                burst.bytes += bytes as u64;
            }
            last => {
                *last = Some(Burst {
                    key,
                    first: now,
                    last: now,
                    bytes: 0,
                });
            }
        }
    }

    /// What arrived of a burst: nothing, if it is not the last one.
    pub fn counted(&self, key: Key) -> Answer {
        let burst = self.last.as_ref().filter(|b| b.key == key);
        let (_, session, round) = key;
        Answer::Counted {
            session,
            round,
            bytes: burst.map_or(0, |b| b.bytes),
            took_us: burst.map_or(0, |b| {
                u64::try_from(b.last.duration_since(b.first).as_micros()).unwrap_or(u64::MAX)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_burst_is_counted_at_a_time() {
        let from = "127.0.0.1:9".parse().unwrap();
        let mut received = Received::default();
        let bytes = |r: &Received, round| match r.counted((from, 1, round)) {
            Answer::Counted { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        };
        assert_eq!(bytes(&received, 0), 0);
        for _ in 0..3 {
            received.add((from, 1, 0), 1400);
        }
        assert_eq!((bytes(&received, 0), bytes(&received, 1)), (2800, 0));
        received.add((from, 1, 1), 1400);
        assert_eq!((bytes(&received, 0), bytes(&received, 1)), (0, 0));
    }
}
