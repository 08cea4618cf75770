//! What a gateway shows to observers: the records of its process, the last ones of them, and its statistics.
//!
//! Observers are nodes of `cluster.toml` that speak with the gateway alone. What they say goes here and never to the state
//! machine, so there is nothing that they could do to frames.

use std::collections::VecDeque;

use tessera_plan::files::{cluster::is_observer, records::Record, statistics::Observed};
use tessera_protocol::{
    GATEWAY, Incarnation, Micros, NodeId, To,
    wire::{Envelope, Message, Shown, Watch, Watched, parse_watch, sender},
};

use crate::statistics::json_line;

/// Most bytes of records that are kept.
const RECORDS_BYTES_MAX: usize = 256 << 10;
/// Metrics are made anew for questions that come so long after the last time.
const METRICS_US: Micros = 500_000;
/// Most datagrams that answer a question.
const ANSWER_MAX: usize = 8;
/// Most questions answered in a second, of all observers; further ones get no answer, and come again.
const QUESTIONS_MAX: u32 = 400;

/// See the module.
#[derive(Debug)]
pub struct ObservedGateway {
    me: Envelope,
    /// The last records, one JSON line each.
    records: VecDeque<u8>,
    /// Offset of the first of these bytes among all that there were.
    first: u64,
    metrics: Vec<u8>,
    /// Number of these metrics; 0 before the first.
    serial: u32,
    made_us: Micros,
    /// Somebody waits for metrics of now.
    wanted: bool,
    /// The present second, and questions answered in it.
    second: (Micros, u32),
    counts: Observed,
    out: Vec<u8>,
}

/// True if a payload is an observer's. Sessions have proved whose it is.
pub fn is_of_observer(payload: &[u8]) -> bool {
    sender(payload).is_some_and(|(number, ..)| is_observer(number))
}

impl ObservedGateway {
    /// Of a gateway's process, with nothing to show yet.
    pub const fn new(incarnation: Incarnation) -> Self {
        Self {
            me: Envelope {
                from: GATEWAY,
                incarnation,
                to_incarnation: None,
                plan: 0,
            },
            records: VecDeque::new(),
            first: 0,
            metrics: Vec::new(),
            serial: 0,
            made_us: 0,
            wanted: false,
            second: (0, 0),
            counts: Observed {
                asked: 0,
                shown: 0,
                refused: 0,
            },
            out: Vec::new(),
        }
    }

    /// What was asked and shown.
    pub const fn counts(&self) -> Observed {
        self.counts
    }

    /// Keeps a record to be shown.
    pub fn record(&mut self, record: &Record) {
        let Ok(line) = json_line(record) else { return };
        self.records.extend(line.as_bytes());
        while self.records.len() > RECORDS_BYTES_MAX {
            // Whole lines, so that what is left can be read.
            let end = self.records.iter().position(|b| *b == b'\n');
            let n = end.map_or(self.records.len(), |at| at + 1);
            self.records.drain(..n);
            self.first += n as u64;
        }
    }

    /// True if somebody waits for metrics of now.
    pub const fn wants_metrics(&self) -> bool {
        self.wanted
    }

    /// Sets the metrics of now.
    pub fn set_metrics(&mut self, now: Micros, line: String) {
        (self.metrics, self.made_us, self.wanted) = (line.into_bytes(), now, false);
        self.serial = self.serial.wrapping_add(1).max(1);
    }

    /// Answers a payload of an observer; anything but a question is counted and ignored.
    pub fn heard(
        &mut self,
        now: Micros,
        from: std::net::SocketAddr,
        payload: &[u8],
        mut send: impl FnMut(To, &[u8]),
    ) {
        let Ok((envelope, Message::Watch(watch))) = parse_watch(payload) else {
            self.counts.refused += 1;
            return;
        };
        if now.saturating_sub(self.second.0) >= 1_000_000 {
            self.second = (now, 0);
        }
        if self.second.1 >= QUESTIONS_MAX {
            self.counts.refused += 1;
            return;
        }
        self.second.1 += 1;
        self.counts.asked += 1;
        let to = To {
            node: NodeId(envelope.from.0),
            incarnation: Some(envelope.incarnation),
            addr: from,
        };
        let me = Envelope {
            to_incarnation: Some(envelope.incarnation),
            ..self.me
        };
        for part in self.parts(now, watch) {
            let (what, serial) = (watch.what, self.serial);
            let (first, text): (u64, &[u8]) = match what {
                Watched::Records => (self.first, self.records.make_contiguous()),
                Watched::Metrics => (0, &self.metrics),
            };
            let at = (part - first) as usize;
            let bytes = &text[at..(at + Shown::BYTES_MAX).min(text.len())];
            let shown = Shown {
                what,
                serial: if what == Watched::Records { 0 } else { serial },
                first,
                from: part,
                end: first + text.len() as u64,
                bytes,
            };
            Message::Shown(shown).encode(me, &mut self.out);
            self.counts.shown += 1;
            send(to, &self.out);
        }
    }

    /// Offsets of the parts that answer a question; one without bytes if there is nothing new.
    fn parts(&mut self, now: Micros, watch: Watch) -> Vec<u64> {
        let (first, len, from) = match watch.what {
            Watched::Records => (self.first, self.records.len(), watch.from),
            Watched::Metrics => {
                let old = self.serial == 0 || now.saturating_sub(self.made_us) >= METRICS_US;
                let goes_on = watch.serial == self.serial && watch.from > 0;
                if old && !goes_on {
                    // They are made before the question comes again.
                    self.wanted = true;
                    return Vec::new();
                }
                let from = if watch.serial == self.serial {
                    watch.from
                } else {
                    0
                };
                (0, self.metrics.len(), from)
            }
        };
        let end = first + len as u64;
        let from = if from < first || from > end {
            first
        } else {
            from
        };
        let parts = (from..end).step_by(Shown::BYTES_MAX).take(ANSWER_MAX);
        let mut parts: Vec<u64> = parts.collect();
        if parts.is_empty() {
            parts.push(end);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_plan::files::records::{Ending, Found, Subject};

    const DESK: u16 = 0xf000;

    fn record(frame: u32) -> Record {
        Record {
            subject: Subject {
                frame,
                ..Subject::default()
            },
            timing: None,
            width: 1,
            height: 1,
            ending: Ending::Computed(Found::default()),
        }
    }

    fn ask(gateway: &mut ObservedGateway, now: Micros, watch: Watch) -> Vec<(u64, u64, Vec<u8>)> {
        let me = Envelope {
            from: NodeId(DESK),
            incarnation: Incarnation(5),
            to_incarnation: None,
            plan: 9,
        };
        let mut question = Vec::new();
        Message::Watch(watch).encode(me, &mut question);
        assert!(is_of_observer(&question));
        let mut got = Vec::new();
        gateway.heard(now, ([127, 0, 0, 1], 1).into(), &question, |to, bytes| {
            assert_eq!(to.node, NodeId(DESK));
            let Ok((_, Message::Shown(s))) = parse_watch(bytes) else {
                panic!("{bytes:?}");
            };
            got.push((s.from, s.end, s.bytes.to_vec()));
        });
        got
    }

    const RECORDS: Watch = Watch {
        what: Watched::Records,
        serial: 0,
        from: 0,
    };

    #[test]
    fn records_are_read_from_any_place_on_and_old_ones_go() {
        let mut g = ObservedGateway::new(Incarnation(1));
        assert_eq!(ask(&mut g, 0, RECORDS), [(0, 0, Vec::new())]);
        g.record(&record(0));
        let all = ask(&mut g, 0, RECORDS);
        assert_eq!(all[0].2, json_line(&record(0)).unwrap().as_bytes());
        let end = all[0].1;
        g.record(&record(1));
        let next = ask(
            &mut g,
            0,
            Watch {
                from: end,
                ..RECORDS
            },
        );
        assert_eq!(next[0].2, json_line(&record(1)).unwrap().as_bytes());
        for frame in 2..20_000 {
            g.record(&record(frame));
        }
        assert!(g.records.len() <= RECORDS_BYTES_MAX);
        let parts = ask(&mut g, 0, RECORDS);
        assert_eq!(parts.len(), ANSWER_MAX);
        assert!(
            parts[0].0 > 0 && parts[0].2.starts_with(b"{"),
            "a whole line"
        );
        // An offset of another process' records.
        let odd = ask(
            &mut g,
            0,
            Watch {
                from: u64::MAX,
                ..RECORDS
            },
        );
        assert_eq!(odd[0].0, parts[0].0);
    }

    #[test]
    fn metrics_are_of_one_time() {
        let mut g = ObservedGateway::new(Incarnation(1));
        let first = Watch {
            what: Watched::Metrics,
            serial: 0,
            from: 0,
        };
        assert!(ask(&mut g, 0, first).is_empty() && g.wants_metrics());
        g.set_metrics(10, "a".repeat(3000));
        let got = ask(&mut g, 20, first);
        assert_eq!(got.iter().map(|p| p.2.len()).sum::<usize>(), 3000);
        // What was begun is gone on with, though there would be later ones.
        let rest = Watch {
            serial: 1,
            from: 1000,
            ..first
        };
        assert_eq!(ask(&mut g, 9_000_000, rest)[0].0, 1000);
        assert!(ask(&mut g, 9_000_000, first).is_empty() && g.wants_metrics());
    }

    #[test]
    fn other_things_are_refused_and_floods_are_cut() {
        let mut g = ObservedGateway::new(Incarnation(1));
        g.record(&record(0));
        for _ in 0..2 * QUESTIONS_MAX {
            ask(&mut g, 0, RECORDS);
        }
        let counts = g.counts();
        assert_eq!(
            (counts.asked, counts.refused),
            (QUESTIONS_MAX.into(), QUESTIONS_MAX.into())
        );
        let mut stop = Vec::new();
        let me = Envelope {
            from: NodeId(DESK),
            incarnation: Incarnation(5),
            to_incarnation: Some(Incarnation(1)),
            plan: 0,
        };
        Message::Stop.encode(me, &mut stop);
        g.heard(0, ([127, 0, 0, 1], 1).into(), &stop, |_, _| {
            panic!("an answer")
        });
        assert_eq!(g.counts().refused, counts.refused + 1);
    }
}
