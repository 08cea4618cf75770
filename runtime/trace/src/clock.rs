//! A node's clock against the gateway's.
//!
//! Every node counts microseconds from its own start. An edge sends heartbeats, and the gateway answers each: four times for each
//! number, two on each clock.
//!
//! ```text
//!  edge     sent ─────┐                 ┌───> answered        a request's way and an answer's way take at least no time, so
//!  gateway            └──> heard  told ─┘                     heard - sent >= offset >= told - answered
//! ```
//!
//! So each round trip bounds the offset (what is added to the edge's time to get the gateway's) from both sides: its middle is the
//! estimate, and half of what is between the bounds is the residual, whichever way was the slower one. Clocks of boards
//! drift apart by some 50 us a second, so the shortest round trip of every few seconds counts, and offsets between these are on a line.

use std::collections::BTreeMap;

use crate::{Event, Micros, tracks};

/// Time for which one round trip stands.
const WINDOW_US: Micros = 2e6;

/// What one round trip says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When, on the edge's clock.
    pub at: Micros,
    /// What is added to the edge's time.
    pub offset: Micros,
    /// By how much that may be wrong.
    pub residual: Micros,
}

/// A clock in terms of the gateway's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aligned {
    /// In the order of time; without any, the clock is the gateway's.
    samples: Vec<Sample>,
}

/// The names of the events of a round trip.
pub const SENT: &str = "heartbeat sent";
/// On the gateway's clock.
pub const HEARD: &str = "heartbeat heard";
/// On the gateway's clock.
pub const TOLD: &str = "answer sent";
/// On the edge's clock.
pub const ANSWERED: &str = "answer heard";

/// The first time of each number, of events with this name about a node.
fn times<'a>(
    events: impl Iterator<Item = &'a Event>,
    name: &str,
    node: u64,
) -> BTreeMap<u64, Micros> {
    let mut all = BTreeMap::new();
    for e in events
        .filter(|e| e.tid == tracks::CLOCK && e.name == name && e.number("edge") == Some(node))
    {
        if let (Some(seq), Some(at)) = (e.number("seq"), e.ts) {
            all.entry(seq).or_insert(at);
        }
    }
    all
}

impl Aligned {
    /// The clock of the edge `node` by its own events and the gateway's; `None` without a whole round trip.
    pub fn of(node: u16, edge: &[Event], gateway: &[Event]) -> Option<Self> {
        let node = u64::from(node);
        let sent = times(edge.iter(), SENT, node);
        let answered = times(edge.iter(), ANSWERED, node);
        let heard = times(gateway.iter(), HEARD, node);
        let told = times(gateway.iter(), TOLD, node);
        let mut best: BTreeMap<i64, Sample> = BTreeMap::new();
        for (seq, sent) in &sent {
            let (Some(heard), Some(told), Some(answered)) =
                (heard.get(seq), told.get(seq), answered.get(seq))
            else {
                continue;
            };
            let (most, least) = (heard - sent, told - answered);
            if most < least || told < heard || answered < sent {
                // Not one round trip: a number that came twice.
                continue;
            }
            let sample = Sample {
                at: f64::midpoint(*sent, *answered),
                offset: f64::midpoint(most, least),
                residual: (most - least) / 2.0,
            };
            #[expect(clippy::cast_possible_truncation, reason = "seconds of a trace")]
            let window = (sample.at / WINDOW_US).floor() as i64;
            let kept = best.entry(window).or_insert(sample);
            if sample.residual < kept.residual {
                *kept = sample;
            }
        }
        let samples: Vec<Sample> = best.into_values().collect();
        (!samples.is_empty()).then_some(Self { samples })
    }

    /// The gateway's time at the edge's time `at`. Later times stay later.
    pub fn map(&self, at: Micros) -> Micros {
        let after = self.samples.partition_point(|s| s.at <= at);
        let offset = match (
            after.checked_sub(1).map(|n| self.samples[n]),
            self.samples.get(after),
        ) {
            (None, None) => 0.0,
            (Some(s), None) => s.offset,
            (None, Some(s)) => s.offset,
            (Some(a), Some(b)) => {
                let part = (at - a.at) / (b.at - a.at).max(1.0);
                (b.offset - a.offset).mul_add(part, a.offset)
            }
        };
        at + offset
    }

    /// By how much a mapped time may be wrong.
    pub fn residual(&self) -> Micros {
        self.samples
            .iter()
            .map(|s| s.residual)
            .fold(0.0, Micros::max)
    }

    /// How many round trips are used.
    pub const fn samples(&self) -> usize {
        self.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Phase;

    fn clock(name: &str, seq: u64, at: Micros) -> Event {
        Event::new(Phase::Instant, 1, tracks::CLOCK, name)
            .at(at)
            .with("edge", 2)
            .with("seq", seq)
    }

    /// Round trips between clocks with an offset and a drift, with ways of these lengths in microseconds.
    fn trips(offset: f64, drift: f64, ways: &[(u16, u16)]) -> (Vec<Event>, Vec<Event>) {
        let (mut edge, mut gateway) = (Vec::new(), Vec::new());
        for (seq, (there, back)) in (1..).zip(ways) {
            // Times of the gateway's clock, and how the edge's shows them.
            let sent = 5e6 + 3e5 * seq as f64;
            let heard = sent + f64::from(*there);
            let answered = heard + 10.0 + f64::from(*back);
            let on_edge = |t: f64| (t - offset) * (1.0 + drift);
            edge.push(clock(SENT, seq, on_edge(sent)));
            gateway.push(clock(HEARD, seq, heard));
            gateway.push(clock(TOLD, seq, heard + 10.0));
            edge.push(clock(ANSWERED, seq, on_edge(answered)));
        }
        (edge, gateway)
    }

    proptest! {
        /// However long the ways are and however they differ, times are right within the residual, and what drift does between
        /// two round trips.
        #[test]
        fn times_are_right_within_the_residual(
            offset in -4e6..4e6_f64,
            drift in -50e-6..50e-6_f64,
            ways in proptest::collection::vec((20..20_000_u16, 20..20_000_u16), 1..60),
        ) {
            let (edge, gateway) = trips(offset, drift, &ways);
            let aligned = Aligned::of(2, &edge, &gateway).unwrap();
            let slack = aligned.residual() + 50e-6 * WINDOW_US * 2.0 + 1.0;
            let mut last = f64::MIN;
            for e in &edge {
                let at = e.ts.unwrap();
                let truth = at / (1.0 + drift) + offset;
                let mapped = aligned.map(at);
                prop_assert!((mapped - truth).abs() <= slack, "{mapped} {truth} {slack}");
                prop_assert!(mapped > last);
                last = mapped;
            }
        }
    }

    #[test]
    fn the_shortest_round_trip_counts_and_others_need_not_be_there() {
        let (mut edge, gateway) = trips(1000.0, 0.0, &[(5000, 5000), (100, 140), (9000, 20)]);
        let aligned = Aligned::of(2, &edge, &gateway).unwrap();
        assert!((aligned.residual() - 120.0).abs() < 1e-3);
        assert!((aligned.map(4e6) - 4e6 - 980.0).abs() < 1e-3);
        assert_eq!(Aligned::of(3, &edge, &gateway), None);
        edge.retain(|e| e.name == SENT);
        assert_eq!(Aligned::of(2, &edge, &gateway), None);
        assert_eq!(Aligned::default().map(7.0), 7.0);
    }
}
