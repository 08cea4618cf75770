//! Whether a trace is well-formed, by the rules of Perfetto's reader: what breaks them is drawn wrong or not at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Event, Micros, Phase};

/// Times that differ by less are the same: readers keep nanoseconds.
const EPSILON_US: Micros = 2e-3;

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// A slice or an instant without a track: readers take 0 for none.
    #[error("{0:?} has no track")]
    NoTrack(String),
    /// No time, or a time before all.
    #[error("{0:?} has no time")]
    NoTime(String),
    /// Two slices of one track overlap in part.
    #[error("{first:?} and {second:?} overlap on track {tid} of process {pid}")]
    Overlap {
        /// The process.
        pid: u32,
        /// The track.
        tid: u32,
        /// The earlier slice.
        first: String,
        /// The later one.
        second: String,
    },
    /// A flow without a beginning or an end.
    #[error("flow {0} has no other end")]
    Loose(u64),
    /// A flow that ends before it begins.
    #[error("flow {flow} ends {by} us before it begins")]
    Backwards {
        /// The flow.
        flow: u64,
        /// By how many microseconds.
        by: Micros,
    },
    /// A flow's number that JSON's readers do not keep exactly.
    #[error("flow {0} is no number that is kept exactly")]
    Inexact(u64),
    /// What has begun and overlaps others has no end, or ends without a beginning.
    #[error("{0:?} has begun or ended alone")]
    Unpaired(String),
    /// A process without a name.
    #[error("process {0} has no name")]
    Nameless(u32),
}

/// Everything that is wrong with a trace.
pub fn check(events: &[Event]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for e in events.iter().filter(|e| e.ph != Phase::Metadata) {
        if e.tid == 0 && e.ph != Phase::Counter {
            faults.push(Fault::NoTrack(e.name.clone()));
        }
        let is_time = |t: Option<Micros>| t.is_some_and(|t| t.is_finite() && t >= 0.0);
        if !is_time(e.ts) || (e.ph == Phase::Slice && !is_time(e.dur)) {
            faults.push(Fault::NoTime(e.name.clone()));
        }
    }
    nesting(events, &mut faults);
    flows(events, &mut faults);
    pairs(events, &mut faults);
    let named = |e: &&Event| e.ph == Phase::Metadata && e.name == "process_name";
    let named: BTreeSet<u32> = events.iter().filter(named).map(|e| e.pid).collect();
    let all: BTreeSet<u32> = events.iter().map(|e| e.pid).collect();
    faults.extend(all.difference(&named).map(|pid| Fault::Nameless(*pid)));
    faults
}

/// Begin, end and name.
type Span<'a> = (Micros, Micros, &'a str);

fn nesting(events: &[Event], faults: &mut Vec<Fault>) {
    let mut tracks: BTreeMap<(u32, u32), Vec<Span<'_>>> = BTreeMap::new();
    for e in events.iter().filter(|e| e.ph == Phase::Slice) {
        if let (Some(ts), Some(end)) = (e.ts, e.end()) {
            tracks
                .entry((e.pid, e.tid))
                .or_default()
                .push((ts, end, &e.name));
        }
    }
    for ((pid, tid), mut slices) in tracks {
        slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut open: Vec<(Micros, &str)> = Vec::new();
        for (ts, end, name) in slices {
            while open.last().is_some_and(|(e, _)| *e <= ts + EPSILON_US) {
                open.pop();
            }
            if let Some((outer, first)) = open.last()
                && end > outer + EPSILON_US
            {
                let (first, second) = ((*first).to_owned(), name.to_owned());
                faults.push(Fault::Overlap {
                    pid,
                    tid,
                    first,
                    second,
                });
            }
            open.push((end, name));
        }
    }
}

fn flows(events: &[Event], faults: &mut Vec<Fault>) {
    let mut all: BTreeMap<u64, (Option<Micros>, Option<Micros>)> = BTreeMap::new();
    for e in events {
        let (Some(flow), Some(ts)) = (e.bind_id, e.ts) else {
            continue;
        };
        let (out, into) = all.entry(flow).or_default();
        if e.flow_out {
            *out = Some(out.map_or(ts, |t| t.min(ts)));
        }
        if e.flow_in {
            *into = Some(into.map_or(ts, |t| t.min(ts)));
        }
    }
    for (flow, ends) in all {
        if !(1..1 << 53).contains(&flow) {
            faults.push(Fault::Inexact(flow));
        }
        match ends {
            (Some(out), Some(into)) if out > into + EPSILON_US => {
                faults.push(Fault::Backwards {
                    flow,
                    by: out - into,
                });
            }
            (Some(_), Some(_)) => {}
            _ => faults.push(Fault::Loose(flow)),
        }
    }
}

fn pairs(events: &[Event], faults: &mut Vec<Fault>) {
    let mut open: BTreeMap<(u32, &str, Option<u64>), (i64, &str)> = BTreeMap::new();
    for e in events {
        let step = match e.ph {
            Phase::Begin => 1,
            Phase::End => -1,
            _ => continue,
        };
        open.entry((e.pid, &e.cat, e.id)).or_insert((0, &e.name)).0 += step;
    }
    let loose = open.values().filter(|(n, _)| *n != 0);
    faults.extend(loose.map(|(_, name)| Fault::Unpaired((*name).to_owned())));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(tid: u32, begin: Micros, end: Micros) -> Event {
        Event::new(Phase::Slice, 1, tid, "s").between(begin, end)
    }

    fn faults(events: Vec<Event>) -> Vec<Fault> {
        let named = Event::naming(1, 0, "process_name", "gateway");
        check(&[vec![named], events].concat())
    }

    #[test]
    fn what_perfetto_draws_is_well_formed() {
        let events = vec![
            slice(3, 0.0, 10.0),
            slice(3, 0.0, 4.0),
            slice(3, 4.0, 10.0).flowing_out(7),
            slice(3, 10.0, 11.0),
            slice(4, 5.0, 15.0).flowing_in(7),
            Event {
                id: Some(1),
                ..Event::new(Phase::Begin, 1, 100, "frame 1")
                    .cat("frame")
                    .at(1.0)
            },
            Event {
                id: Some(1),
                ..Event::new(Phase::End, 1, 100, "frame 1")
                    .cat("frame")
                    .at(9.0)
            },
        ];
        assert_eq!(faults(events), []);
    }

    #[test]
    fn every_rule_is_looked_at() {
        let one = |events: Vec<Event>| {
            let mut all = faults(events);
            assert_eq!(all.len(), 1, "{all:?}");
            all.remove(0)
        };
        assert!(matches!(one(vec![slice(0, 1.0, 2.0)]), Fault::NoTrack(_)));
        assert!(matches!(one(vec![slice(1, -1.0, 2.0)]), Fault::NoTime(_)));
        assert!(matches!(
            one(vec![slice(1, 0.0, 5.0), slice(1, 4.0, 6.0)]),
            Fault::Overlap { .. }
        ));
        assert_eq!(
            one(vec![slice(1, 0.0, 5.0).flowing_out(9)]),
            Fault::Loose(9)
        );
        let back = vec![
            slice(1, 8.0, 9.0).flowing_out(9),
            slice(2, 5.0, 9.0).flowing_in(9),
        ];
        assert_eq!(one(back), Fault::Backwards { flow: 9, by: 3.0 });
        let begun = Event {
            id: Some(1),
            ..Event::new(Phase::Begin, 1, 100, "frame").at(1.0)
        };
        assert!(matches!(one(vec![begun]), Fault::Unpaired(_)));
        let other = Event {
            pid: 2,
            ..slice(1, 0.0, 1.0)
        };
        assert_eq!(one(vec![other]), Fault::Nameless(2));
        let large = 1 << 53;
        let far = vec![
            slice(1, 0.0, 1.0).flowing_out(large),
            slice(2, 1.0, 2.0).flowing_in(large),
        ];
        assert_eq!(one(far), Fault::Inexact(large));
    }
}
