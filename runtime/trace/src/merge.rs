//! The nodes' events as one trace, on the gateway's clock.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{Aligned, Event, Micros, Phase, tracks};

/// A node's clock, as a trace tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// The process.
    pub pid: u32,
    /// By how many microseconds its times may be wrong.
    pub residual_us: Micros,
    /// Round trips that say so.
    pub samples: usize,
}

/// One trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// Its events, in the order of time.
    pub events: Vec<Event>,
    /// The edges' clocks.
    pub clocks: Vec<Clock>,
    /// Flows whose other end is in no file: datagrams that were lost, leases that nobody took up.
    pub loose: usize,
    /// Flows left out since the clocks are not near enough to say which end was first.
    pub uncertain: usize,
}

/// Why there is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The gateway's clock is the common one.
    #[error("the gateway's trace is not among the files")]
    NoGateway,
    /// Two files are of one node.
    #[error("two files are of process {0}")]
    Twice(u32),
    /// A file has no events.
    #[error("a file has no events")]
    Empty,
    /// Nothing tells how the clocks go together.
    #[error(
        "process {0} and the gateway have not answered each other while both wrote their traces"
    )]
    NoClock(u32),
}

/// Puts the events of nodes together; `files` has one node's events each.
///
/// # Errors
/// When the gateway is missing, a node comes twice, or a clock cannot be compared.
pub fn merge(files: Vec<Vec<Event>>) -> Result<Merged, MergeError> {
    let mut nodes: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
    for events in files {
        let pid = events.first().ok_or(MergeError::Empty)?.pid;
        if nodes.insert(pid, events).is_some() {
            return Err(MergeError::Twice(pid));
        }
    }
    let gateway = nodes
        .remove(&tracks::process(0))
        .ok_or(MergeError::NoGateway)?;
    let mut clocks = Vec::new();
    let mut all: Vec<Event> = Vec::new();
    for (pid, events) in nodes {
        let number = u16::try_from(pid - 1).unwrap_or(u16::MAX);
        let aligned = Aligned::of(number, &events, &gateway).ok_or(MergeError::NoClock(pid))?;
        all.push(Event::new(Phase::Metadata, pid, 0, "process_labels").with(
            "labels",
            format!("clock within {:.0} us", aligned.residual()),
        ));
        all.extend(events.into_iter().map(|e| shift(e, &aligned)));
        clocks.push(Clock {
            pid,
            residual_us: aligned.residual(),
            samples: aligned.samples(),
        });
    }
    all.extend(gateway);
    // They have done their work.
    all.retain(|e| e.ph == Phase::Metadata || e.tid != tracks::CLOCK);
    complete_pairs(&mut all);
    let first = all
        .iter()
        .filter_map(|e| e.ts)
        .fold(Micros::INFINITY, Micros::min);
    for e in &mut all {
        let (end, ts) = (e.end(), e.ts);
        e.ts = ts.map(|t| nanos(t - first));
        if let (Some(end), Some(ts), true) = (end, e.ts, e.dur.is_some()) {
            e.dur = Some(nanos(nanos(end - first) - ts));
        }
    }
    let (loose, uncertain) = drop_flows(&mut all);
    all.sort_by(|a, b| {
        let at = |e: &Event| e.ts.unwrap_or(-1.0);
        let long = |e: &Event| e.dur.unwrap_or(0.0);
        at(a).total_cmp(&at(b)).then(long(b).total_cmp(&long(a)))
    });
    Ok(Merged {
        events: all,
        clocks,
        loose,
        uncertain,
    })
}

/// Both ends are mapped, so that what follows something still follows it.
fn shift(mut e: Event, clock: &Aligned) -> Event {
    let (ts, end) = (e.ts.map(|t| clock.map(t)), e.end().map(|t| clock.map(t)));
    e.ts = ts;
    if let (Some(ts), Some(end), Some(dur)) = (ts, end, &mut e.dur) {
        *dur = end - ts;
    }
    e
}

/// To whole nanoseconds.
fn nanos(us: Micros) -> Micros {
    (us * 1e3).round() / 1e3
}

/// Leaves out what has begun and not ended in the trace, or the other way round.
fn complete_pairs(events: &mut Vec<Event>) {
    let key = |e: &Event| (e.pid, e.cat.clone(), e.id);
    let of = |events: &[Event], ph| -> BTreeSet<_> {
        events.iter().filter(|e| e.ph == ph).map(key).collect()
    };
    let (begun, ended) = (of(events, Phase::Begin), of(events, Phase::End));
    events.retain(|e| match e.ph {
        Phase::Begin => ended.contains(&key(e)),
        Phase::End => begun.contains(&key(e)),
        _ => true,
    });
}

/// Leaves out flows that no reader could draw; counts those without another end, and those that would point backwards.
fn drop_flows(events: &mut [Event]) -> (usize, usize) {
    let mut ends: BTreeMap<u64, (Option<Micros>, Option<Micros>)> = BTreeMap::new();
    let first = |old: Option<Micros>, ts: Micros| Some(old.map_or(ts, |t| t.min(ts)));
    for e in events.iter() {
        if let (Some(flow), Some(ts)) = (e.bind_id, e.ts) {
            let (out, into) = ends.entry(flow).or_default();
            if e.flow_out {
                *out = first(*out, ts);
            }
            if e.flow_in {
                *into = first(*into, ts);
            }
        }
    }
    let (mut loose, mut uncertain, mut drawn) = (0, 0, BTreeSet::new());
    for (flow, end) in ends {
        match end {
            (Some(out), Some(into)) if out <= into => {
                drawn.insert(flow);
            }
            (Some(_), Some(_)) => uncertain += 1,
            _ => loose += 1,
        }
    }
    for e in events.iter_mut() {
        if e.bind_id.is_some_and(|flow| !drawn.contains(&flow)) {
            (e.bind_id, e.flow_in, e.flow_out) = (None, false, false);
        }
    }
    (loose, uncertain)
}

impl Merged {
    /// The file.
    ///
    /// # Errors
    /// When a number cannot be written as JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let clock = |c: &Clock| json!({ "pid": c.pid, "residual_us": c.residual_us, "round_trips": c.samples });
        let metadata = json!({
            "clock": "the gateway's",
            "clocks": self.clocks.iter().map(clock).collect::<Vec<Value>>(),
            "flows_without_another_end": self.loose,
            "flows_of_uncertain_direction": self.uncertain,
        });
        let lines = self.events.iter().map(serde_json::to_string);
        let lines = lines.collect::<Result<Vec<_>, _>>()?.join(",\n");
        Ok(format!(
            "{{\"metadata\": {metadata},\n\"traceEvents\": [\n{lines}\n]}}\n"
        ))
    }

    /// The largest residual of the edges' clocks, in microseconds.
    pub fn residual_us(&self) -> Micros {
        self.clocks
            .iter()
            .map(|c| c.residual_us)
            .fold(0.0, Micros::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, clock};

    fn note(pid: u32, name: &str, at: Micros) -> Event {
        Event::new(Phase::Instant, pid, tracks::CLOCK, name)
            .at(at)
            .with("edge", 4)
            .with("seq", 1)
    }

    fn node(pid: u32, more: Vec<Event>) -> Vec<Event> {
        [vec![Event::naming(pid, 0, "process_name", "node")], more].concat()
    }

    /// A gateway and an edge whose clock is 1000 us behind, with ways of 100 us.
    fn files() -> Vec<Vec<Event>> {
        let id = |ph, at| Event {
            id: Some(3),
            ..Event::new(ph, 5, tracks::FRAMES, "frame 3")
                .cat("frame")
                .at(at)
        };
        let gateway = vec![
            note(1, clock::HEARD, 2100.0),
            note(1, clock::TOLD, 2110.0),
            Event::new(Phase::Slice, 1, tracks::LEASES, "lease")
                .between(2500.0, 2501.0)
                .flowing_out(8),
            Event::new(Phase::Slice, 1, tracks::LEASES, "lease")
                .between(2600.0, 2601.0)
                .flowing_out(9),
            Event::new(Phase::Slice, 1, tracks::LEASES, "lease")
                .between(3000.0, 3001.0)
                .flowing_out(10),
        ];
        let edge = vec![
            note(5, clock::SENT, 1000.0),
            note(5, clock::ANSWERED, 1210.0),
            Event::new(Phase::Slice, 5, tracks::WORKERS, "task")
                .between(1600.0, 1700.0)
                .flowing_in(8),
            Event::new(Phase::Slice, 5, tracks::WORKERS, "task").between(1700.0, 1800.0),
            Event::new(Phase::Slice, 5, tracks::WORKERS, "task")
                .between(1990.0, 1995.0)
                .flowing_in(10),
            id(Phase::Begin, 1000.0),
        ];
        vec![node(5, edge), node(1, gateway)]
    }

    #[test]
    fn times_are_the_gateways_and_flows_have_two_ends() {
        let merged = merge(files()).unwrap();
        assert_eq!(check(&merged.events), []);
        assert_eq!(
            (merged.residual_us(), merged.loose, merged.uncertain),
            (100.0, 1, 1)
        );
        let at = |flow| {
            let of = merged.events.iter().filter(|e| e.bind_id == Some(flow));
            of.map(|e| (e.pid, e.ts.unwrap())).collect::<Vec<_>>()
        };
        // The first event is at 0.
        assert_eq!(at(8), [(1, 0.0), (5, 100.0)]);
        assert_eq!(at(9), []);
        let file: Value = serde_json::from_str(&merged.json().unwrap()).unwrap();
        assert_eq!(file["metadata"]["clocks"][0]["residual_us"], 100.0);
        assert_eq!(
            file["traceEvents"].as_array().unwrap().len(),
            merged.events.len()
        );
    }

    #[test]
    fn what_cannot_be_put_together_is_named() {
        let mut all = files();
        assert_eq!(merge(vec![all[0].clone()]), Err(MergeError::NoGateway));
        assert_eq!(
            merge(vec![all[0].clone(), all[0].clone()]),
            Err(MergeError::Twice(5))
        );
        assert_eq!(merge(vec![Vec::new()]), Err(MergeError::Empty));
        all[0].retain(|e| e.tid != tracks::CLOCK);
        assert_eq!(merge(all), Err(MergeError::NoClock(5)));
    }
}
