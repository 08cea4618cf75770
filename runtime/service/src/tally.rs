//! What records say in sum. The gateway's loop counts here, so that a scrape reads one moment and nothing is shared.

use std::collections::BTreeMap;

use tessera_plan::files::records::{DropReason, Ending, Record};

use crate::state::About;

/// Upper bounds of the histogram of frame times, in seconds; one more bucket holds the rest.
pub const BOUNDS_S: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0,
];

/// Most sources that are counted apart; frames of further ones count under the name `other`.
pub const SOURCES_MAX: usize = 64;
/// Most classes that are counted apart from the start. Of networks with more, a class is counted from its first detection.
pub const CLASSES_MAX: usize = 128;
/// Most pairs of source and class that are counted apart.
const PAIRS_MAX: usize = SOURCES_MAX * CLASSES_MAX;

/// Times of frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// Sum of all, in seconds.
    pub sum_s: f64,
    /// Frames in each bucket, not cumulative.
    pub buckets: [u64; BOUNDS_S.len() + 1],
}

impl Times {
    fn add(&mut self, seconds: f64) {
        if !seconds.is_finite() || seconds < 0.0 {
            return;
        }
        let at = BOUNDS_S.iter().position(|b| seconds <= *b);
        self.buckets[at.unwrap_or(BOUNDS_S.len())] += 1;
        self.sum_s += seconds;
    }

    /// Number of frames.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Frames of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceTally {
    /// Frames with detections, whether anything was found or not.
    pub computed: u64,
    /// Frames without, by reason, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Time from capture to record of computed frames.
    pub times: Times,
}

/// Sums over all records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Frames by source's name.
    pub sources: BTreeMap<String, SourceTally>,
    /// Detections by source's name and class.
    pub detections: BTreeMap<(String, u32), u64>,
}

impl Tally {
    /// Nothing counted yet, with a series for everything that is known beforehand.
    pub fn new(about: &About) -> Self {
        let mut tally = Self::default();
        let own = about.own_edge.map(|n| about.board(n));
        let named = about.boards.iter().map(|(_, name)| name.clone());
        for source in named.chain(own) {
            tally.source(about, source);
        }
        tally
    }

    /// The name under which a source is counted, which gets its series.
    fn source(&mut self, about: &About, name: String) -> String {
        if self.sources.contains_key(&name) {
            return name;
        }
        let name = if self.sources.len() < SOURCES_MAX {
            name
        } else {
            "other".to_owned()
        };
        self.sources.entry(name.clone()).or_default();
        if about.labels.len() <= CLASSES_MAX {
            for class in (0..).take(about.labels.len()) {
                self.detections.entry((name.clone(), class)).or_default();
            }
        }
        name
    }

    /// Counts a record.
    pub fn add(&mut self, about: &About, record: &Record) {
        let named = record.subject.source_name.clone();
        let named = named.unwrap_or_else(|| about.board(record.subject.source));
        let source = self.source(about, named);
        let tally = self.sources.entry(source.clone()).or_default();
        match &record.ending {
            Ending::Dropped { dropped } => {
                let at = DropReason::ALL.iter().position(|r| r == dropped);
                tally.dropped[at.unwrap_or(0)] += 1;
            }
            Ending::Computed(found) => {
                tally.computed += 1;
                if let Some(timing) = record.timing {
                    tally.times.add(timing.latency_ms / 1e3);
                }
                for d in &found.detections {
                    let key = (source.clone(), d.class);
                    if self.detections.len() < PAIRS_MAX || self.detections.contains_key(&key) {
                        *self.detections.entry(key).or_default() += 1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tessera_plan::files::records::{Detection, Found, Subject, Timing};

    use super::*;

    /// A record of a frame with a detection of each class.
    pub(crate) fn record(source: u16, latency_ms: f64, classes: &[u32]) -> Record {
        Record {
            subject: Subject {
                source,
                ..Subject::default()
            },
            timing: Some(Timing {
                latency_ms,
                ..Timing::default()
            }),
            width: 100,
            height: 50,
            ending: Ending::Computed(Found {
                detections: (classes.iter())
                    .map(|&class| Detection {
                        class,
                        label: None,
                        score: 0.5,
                        objectness: 0.5,
                        bbox: [0.5; 4],
                        box_px: [10, 10, 20, 20],
                    })
                    .collect(),
                top: None,
            }),
        }
    }

    fn about() -> About {
        About {
            labels: ["dog", "cat"].map(String::from).to_vec(),
            boards: vec![(1, "porch".into())],
            own_edge: Some(9),
            ..About::default()
        }
    }

    #[test]
    fn known_sources_and_classes_are_there_before_the_first_frame() {
        let tally = Tally::new(&about());
        let names: Vec<&str> = tally.sources.keys().map(String::as_str).collect();
        assert_eq!(names, ["edge-9", "porch"]);
        assert_eq!(tally.detections.len(), 4);
        assert!(tally.detections.values().all(|n| *n == 0));
    }

    #[test]
    fn every_frame_counts_once() {
        let about = about();
        let mut tally = Tally::new(&about);
        for ms in [5.0, 5.1, 9_999.0, 10_001.0, f64::NAN, -1.0] {
            tally.add(&about, &record(1, ms, &[1, 1, 700]));
        }
        let mut lost = record(1, 1.0, &[]);
        lost.ending = Ending::Dropped {
            dropped: DropReason::TaskFailed,
        };
        tally.add(&about, &lost);
        let porch = &tally.sources["porch"];
        assert_eq!((porch.computed, porch.dropped), (6, [0, 1, 0]));
        assert_eq!(porch.times.count(), 4, "times that are none are left out");
        assert_eq!(porch.times.buckets[0], 1);
        assert_eq!(porch.times.buckets[1], 1);
        assert_eq!(porch.times.buckets[BOUNDS_S.len() - 1], 1);
        assert_eq!(porch.times.buckets[BOUNDS_S.len()], 1);
        assert_eq!(tally.detections[&("porch".into(), 1)], 12);
        assert_eq!(tally.detections[&("porch".into(), 700)], 6);
    }

    #[test]
    fn many_sources_share_one_name() {
        let about = about();
        let mut tally = Tally::new(&about);
        for source in 0..u16::MAX {
            tally.add(&about, &record(source, 1.0, &[u32::from(source)]));
        }
        assert_eq!(tally.sources.len(), SOURCES_MAX + 1);
        assert!(tally.detections.len() <= PAIRS_MAX);
        assert!(tally.sources["other"].computed > 60_000);
    }
}
