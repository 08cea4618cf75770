//! Alerts: which of the objects that records name are the same from frame to frame, and which of them people want to hear of.
//!
//! ```text
//!  records ──> Tracker, one for each source ──> tracks with ids ──> rules ──> alerts
//! ```
//!
//! | module | is |
//! |---|---|
//! | `bbox` | boxes: overlap, and where an object stands |
//! | `tracker` | objects that are followed from frame to frame |
//! | `zone` | polygons in a picture |
//! | `rule` | `[[alert]]` of `cluster.toml`: what people want to hear of |
//! | `alert` | what is said |
//!
//! No clock, no file and no socket is used here: whoever holds an [`Alerts`] hands over records with times, and carries
//! alerts on. Memory is bounded whatever records say: [`SOURCES_MAX`] sources, and [`TRACKS_MAX`] tracks each.
#![forbid(unsafe_code)]

mod alert;
mod bbox;
mod rule;
mod tracker;
mod zone;

use std::collections::BTreeMap;

use tessera_plan::files::records::{Ending, Record};

pub use self::{
    alert::Alert,
    rule::{RULES_MAX, Rule, RuleError, Stills},
    tracker::TRACKS_MAX,
};
use self::{
    rule::RuleState,
    tracker::{Seen, Tracker},
};

/// Most sources that are followed. Their names come over a network.
pub const SOURCES_MAX: usize = 256;

/// A source of frames: a node's process may have several, each with a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SourceKey {
    node: u16,
    name: Option<String>,
}

/// What is followed of one source.
#[derive(Debug)]
struct Followed {
    /// The process that brought its last frame: another one counts frames anew.
    epoch: Option<u64>,
    /// Its last frame that was looked at.
    frame: u32,
    tracker: Tracker,
    rules: Vec<RuleState>,
}

/// Follows objects of all sources, and says which ones rules are about.
#[derive(Debug)]
pub struct Alerts {
    rules: Vec<Rule>,
    sources: BTreeMap<SourceKey, Followed>,
}

impl Alerts {
    /// Nothing is followed yet.
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            sources: BTreeMap::new(),
        }
    }

    /// Takes the record of a frame that ended at `now`, in seconds of a clock that only runs forwards. Returns what people
    /// want to hear of. Frames of one source may overtake each other; one that comes behind a later one is left out.
    pub fn record(&mut self, record: &Record, now: f64) -> Vec<Alert> {
        let subject = &record.subject;
        let Ending::Computed(found) = &record.ending else {
            return Vec::new();
        };
        let key = SourceKey {
            node: subject.source,
            name: subject.source_name.clone(),
        };
        if !self.sources.contains_key(&key) && self.sources.len() == SOURCES_MAX {
            return Vec::new();
        }
        let rules = self.rules.len();
        let followed = self.sources.entry(key).or_insert_with(|| Followed {
            epoch: subject.epoch,
            frame: subject.frame,
            tracker: Tracker::new(rules),
            rules: vec![RuleState::default(); rules],
        });
        if followed.epoch != subject.epoch {
            followed.epoch = subject.epoch;
            followed.frame = subject.frame;
        } else if subject.frame < followed.frame {
            return Vec::new();
        }
        followed.frame = subject.frame;
        let seen = found.detections.iter().filter_map(Seen::of);
        followed.tracker.update(seen, now);
        let mut alerts = Vec::new();
        let states = followed.rules.iter_mut();
        for (index, (rule, state)) in self.rules.iter().zip(states).enumerate() {
            if !rule.is_about_source(subject.source_name.as_deref()) {
                continue;
            }
            for track in followed.tracker.seen_now() {
                if let Some(count) = rule.meets(index, track, state, now) {
                    alerts.push(Alert::new(rule, record, track, count));
                }
            }
        }
        alerts
    }
}

#[cfg(test)]
mod tests;
