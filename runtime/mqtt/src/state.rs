//! The latest value of every topic, and which of them the broker has not heard.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use serde_json::json;
use tessera_plan::files::records::{Ending, Found, Record};

use crate::{
    discovery,
    known_board::KnownBoard,
    message::{Board, BoardHealth, MEASURED_EVERY, Message},
    settings::{About, Settings},
    slug::slug,
};

/// Most sources. Their names come over a network.
const SOURCES_MAX: usize = 256;
/// Most boards.
const BOARDS_MAX: usize = 256;
/// Frames that a rate is measured over.
const RATE_FRAMES: usize = 64;

/// A source of frames.
#[derive(Debug, Default)]
struct Source {
    /// When its last frames ended.
    ends: VecDeque<Instant>,
    latency_ms: Option<f64>,
    dropped: u64,
    told: Option<Instant>,
}

/// Everything that is said.
#[derive(Debug)]
pub struct State {
    settings: Settings,
    about: About,
    sources: BTreeMap<String, Source>,
    boards: BTreeMap<String, KnownBoard>,
    values: BTreeMap<String, (Vec<u8>, bool)>,
    /// Topics whose values the broker has not heard.
    unsaid: BTreeSet<String>,
    /// Home Assistant has not heard of all devices.
    devices_unsaid: bool,
}

impl State {
    /// Nothing yet.
    pub const fn new(settings: Settings, about: About) -> Self {
        Self {
            settings,
            about,
            sources: BTreeMap::new(),
            boards: BTreeMap::new(),
            values: BTreeMap::new(),
            unsaid: BTreeSet::new(),
            devices_unsaid: true,
        }
    }

    /// Takes the record of a frame that ended `now`.
    pub fn record(&mut self, record: &Record, now: Instant) {
        let name = record.subject.source_name.clone();
        let name = slug(&name.unwrap_or_else(|| format!("source{}", record.subject.source)));
        if !self.sources.contains_key(&name) {
            if self.sources.len() == SOURCES_MAX {
                return;
            }
            self.devices_unsaid = true;
        }
        let source = self.sources.entry(name.clone()).or_default();
        let found = match &record.ending {
            Ending::Computed(found) => Some(found),
            Ending::Dropped { .. } => {
                source.dropped += 1;
                None
            }
        };
        source.latency_ms = record.timing.map(|t| t.latency_ms).or(source.latency_ms);
        if source.ends.len() == RATE_FRAMES {
            source.ends.pop_front();
        }
        source.ends.push_back(now);
        let is_due = source
            .told
            .is_none_or(|at| now.duration_since(at) >= MEASURED_EVERY);
        let stats = is_due.then(|| {
            source.told = Some(now);
            stats(source)
        });
        let base = format!("{}/{name}", self.settings.base());
        if let Some(stats) = stats {
            self.set_again(format!("{base}/stats"), stats);
        }
        // A frame that was lost says nothing of what is there.
        if let Some(found) = found {
            for (class, count) in counts(found, &self.settings.classes) {
                self.set(format!("{base}/{class}"), count.to_string(), true);
            }
            self.set(
                format!("{base}/detections"),
                detections(record, found),
                false,
            );
        }
    }

    /// Takes an alert.
    pub fn alert(&mut self, name: &str, json: &str) {
        let topic = format!("{}/alert/{}", self.settings.base(), slug(name));
        self.set(topic, json.to_owned(), false);
    }

    /// Takes how the boards are; those that are not named any more are gone.
    pub fn boards(&mut self, boards: &[Board], now: Instant) {
        for board in boards.iter().take(BOARDS_MAX) {
            let name = slug(&board.name);
            self.devices_unsaid |= !self.boards.contains_key(&name);
            let known = self.boards.entry(name.clone()).or_default();
            self.devices_unsaid |= known.follow(board);
            let health = known.health_to_say(now);
            let base = format!("{}/board/{name}", self.settings.base());
            let alive = if board.alive { "online" } else { "offline" };
            self.set(format!("{base}/status"), alive.to_owned(), true);
            if let Some(health) = health {
                self.set_again(format!("{base}/health"), health_of_board(health));
            }
        }
    }

    fn set(&mut self, topic: String, value: String, retain: bool) {
        let value = (value.into_bytes(), retain);
        // An event is one though it says the same as the one before.
        if retain && self.values.get(&topic) == Some(&value) {
            return;
        }
        self.values.insert(topic.clone(), value);
        self.unsaid.insert(topic);
    }

    /// The same for a measurement, which is said though it may be the same: what is not said again counts as unknown.
    fn set_again(&mut self, topic: String, value: String) {
        self.values.remove(&topic);
        self.set(topic, value, true);
    }

    /// The broker, or Home Assistant, knows nothing: all is said again.
    pub fn forget(&mut self) {
        self.devices_unsaid = true;
        // What was found once is no news.
        let kept = self.values.iter().filter(|(_, (_, retain))| *retain);
        self.unsaid = kept.map(|(topic, _)| topic.clone()).collect();
    }

    /// The devices, if Home Assistant has not heard of them all.
    pub fn devices(&mut self) -> Vec<Message> {
        if !std::mem::take(&mut self.devices_unsaid) {
            return Vec::new();
        }
        let Some(prefix) = &self.settings.prefix else {
            return Vec::new();
        };
        let sources: Vec<&str> = self.sources.keys().map(String::as_str).collect();
        discovery::devices(&self.settings, &self.about, prefix, &sources, &self.boards)
    }

    /// True if [`State::devices`] has something to say.
    pub const fn has_devices(&self) -> bool {
        self.devices_unsaid
    }

    /// A value that the broker has not heard; it counts as heard from now on.
    pub fn next(&mut self) -> Option<Message> {
        let topic = self.unsaid.pop_first()?;
        let (payload, retain) = self.values.get(&topic)?.clone();
        Some(Message {
            topic,
            payload,
            retain,
        })
    }

    /// The broker did not take the value.
    pub fn put_back(&mut self, message: Message) {
        self.unsaid.insert(message.topic);
    }
}

/// How many objects of each class there are, by the classes' slugs.
fn counts(found: &Found, classes: &[String]) -> BTreeMap<String, usize> {
    let of = |class: &String| {
        let is_it = |d: &&tessera_plan::files::records::Detection| d.label.as_ref() == Some(class);
        (slug(class), found.detections.iter().filter(is_it).count())
    };
    classes.iter().map(of).collect()
}

/// Rate and latency.
#[expect(clippy::cast_precision_loss, reason = "at most 64 frames")]
fn stats(source: &Source) -> String {
    let span = (source.ends.back().zip(source.ends.front()))
        .map(|(last, first)| last.duration_since(*first).as_secs_f64());
    let fps = span.filter(|s| *s > 0.0);
    let fps = fps.map(|s| ((source.ends.len() - 1) as f64 / s * 100.0).round() / 100.0);
    let latency_ms = source.latency_ms.map(f64::round);
    json!({ "fps": fps, "latency_ms": latency_ms, "dropped": source.dropped }).to_string()
}

/// How a board is.
fn health_of_board(health: BoardHealth) -> String {
    json!({
        "temperature_c": health.temperature_c,
        "throttled": health.throttled,
        "memory_available_bytes": health.memory_available_bytes,
        "memory_bytes": health.memory_bytes,
    })
    .to_string()
}

/// All that a frame shows, for programs.
fn detections(record: &Record, found: &Found) -> String {
    json!({
        "frame": record.subject.frame,
        "captured_unix_ms": record.timing.map(|t| t.captured_unix_ms),
        "width": record.width,
        "height": record.height,
        "detections": found.detections,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tessera_plan::files::records::{Detection, DropReason, Subject, Timing};

    pub fn record(source: &str, labels: &[&str]) -> Record {
        let detection = |label: &&str| Detection {
            class: 0,
            label: Some((*label).into()),
            score: 0.5,
            objectness: 0.5,
            bbox: [0.5; 4],
            box_px: [1; 4],
        };
        Record {
            subject: Subject {
                source: 1,
                source_name: Some(source.into()),
                ..Subject::default()
            },
            timing: Some(Timing {
                latency_ms: 812.4,
                ..Timing::default()
            }),
            width: 64,
            height: 48,
            ending: Ending::Computed(Found {
                detections: labels.iter().map(detection).collect(),
                top: None,
            }),
        }
    }

    fn state() -> State {
        let settings = Settings::new("hub".parse().unwrap(), "a1");
        let labels = ["person", "dog"].map(String::from);
        let settings = settings.with_classes(None, &labels).unwrap();
        State::new(settings, About::default())
    }

    fn said(state: &mut State) -> Vec<(String, String)> {
        let text = |m: Message| (m.topic, String::from_utf8(m.payload).unwrap());
        std::iter::from_fn(|| state.next()).map(text).collect()
    }

    fn topics(state: &mut State) -> Vec<String> {
        said(state).into_iter().map(|(topic, _)| topic).collect()
    }

    #[test]
    fn counts_are_said_when_they_change() {
        let mut state = state();
        let now = Instant::now();
        state.record(&record("front", &["person", "person", "cat"]), now);
        let first = said(&mut state);
        let value = |topic: &str| {
            first
                .iter()
                .find(|(t, _)| t == topic)
                .map(|(_, v)| v.as_str())
        };
        assert_eq!(value("tessera/a1/front/person"), Some("2"));
        assert_eq!(value("tessera/a1/front/dog"), Some("0"));
        assert!(
            value("tessera/a1/front/stats")
                .unwrap()
                .contains("\"latency_ms\":812.0")
        );
        assert_eq!(first.len(), 4, "cats are not counted: {first:?}");
        // The same again is an event alone.
        state.record(&record("front", &["person", "person"]), now);
        assert_eq!(topics(&mut state), ["tessera/a1/front/detections"]);
        state.record(&record("front", &["person"]), now + MEASURED_EVERY);
        let later = said(&mut state);
        assert_eq!(later.len(), 3);
        assert!(
            later.iter().any(|(_, v)| v.contains("\"fps\":0.2")),
            "{later:?}"
        );
    }

    #[test]
    fn whoever_comes_later_hears_all_but_events() {
        let mut state = state();
        state.record(&record("front", &["dog"]), Instant::now());
        let porch = Board {
            name: "porch".into(),
            alive: true,
            health: None,
        };
        state.boards(&[porch], Instant::now());
        let all = said(&mut state);
        assert!(state.next().is_none());
        state.forget();
        let again = said(&mut state);
        assert_eq!(again.len(), all.len() - 1);
        assert!(again.iter().all(|(t, _)| !t.ends_with("detections")));
        // While the broker is gone, a value gives way to the next.
        for n in 0..1000 {
            state.record(
                &record("front", if n % 2 == 0 { &[] } else { &["dog"] }),
                Instant::now(),
            );
        }
        assert!(said(&mut state).len() <= 4);
    }

    #[test]
    fn lost_frames_change_no_count_and_hostile_names_no_topic() {
        let mut state = state();
        let mut lost = record("../#", &[]);
        lost.ending = Ending::Dropped {
            dropped: DropReason::TaskFailed,
        };
        state.record(&lost, Instant::now());
        assert_eq!(topics(&mut state), ["tessera/a1/x/stats"]);
        for n in 0..2 * SOURCES_MAX {
            state.record(&record(&format!("s{n}"), &[]), Instant::now());
        }
        assert_eq!(state.sources.len(), SOURCES_MAX);
    }

    #[test]
    fn devices_are_told_when_one_is_new() {
        let mut state = state();
        assert_eq!(state.devices().len(), 1, "the gateway");
        assert!(state.devices().is_empty());
        state.record(&record("front", &[]), Instant::now());
        assert!(state.has_devices() && state.devices().len() == 1);
        state.record(&record("front", &[]), Instant::now());
        assert!(state.devices().is_empty());
        let board = |alive| {
            [Board {
                name: "porch".into(),
                alive,
                health: None,
            }]
        };
        state.boards(&board(true), Instant::now());
        assert_eq!(state.devices().len(), 2);
        state.boards(&board(false), Instant::now());
        assert!(state.devices().is_empty(), "it only came and went");
        state.forget();
        assert_eq!(state.devices().len(), 2);
    }

    #[test]
    fn boards_say_how_they_are_now_and_then() {
        let mut state = state();
        let now = Instant::now();
        let board = |health| {
            [Board {
                name: "porch".into(),
                alive: true,
                health,
            }]
        };
        let warm = |temperature_c, throttled| {
            board(Some(BoardHealth {
                temperature_c,
                throttled,
                ..BoardHealth::default()
            }))
        };
        let porch = |state: &mut State| {
            let devices = state.devices();
            let text = devices.last().map(|m| m.payload.clone())?;
            let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let all = text["components"].as_object().unwrap();
            Some(all.keys().cloned().collect::<Vec<_>>())
        };
        state.boards(&board(None), now);
        assert_eq!(porch(&mut state).unwrap(), ["link"]);
        assert_eq!(topics(&mut state), ["tessera/a1/board/porch/status"]);
        state.boards(&warm(Some(81.2), None), now);
        assert_eq!(porch(&mut state).unwrap(), ["link", "temperature"]);
        let first = said(&mut state);
        assert_eq!(first[0].0, "tessera/a1/board/porch/health");
        assert!(first[0].1.contains("\"temperature_c\":81.2"), "{first:?}");
        // A change may wait; the same is said again, so that it does not count as unknown.
        state.boards(&warm(Some(82.0), None), now + Duration::from_secs(9));
        assert!(said(&mut state).is_empty());
        for n in [10, 20] {
            state.boards(&warm(Some(82.0), None), now + Duration::from_secs(n));
            assert!(said(&mut state)[0].1.contains("82.0"));
        }
        state.boards(&warm(None, Some(true)), now + Duration::from_secs(30));
        let all = porch(&mut state).unwrap();
        assert_eq!(all, ["link", "temperature", "throttled"]);
        said(&mut state);
        // Who says nothing any more is not spoken for.
        state.boards(&board(None), now + Duration::from_secs(60));
        assert!(said(&mut state).is_empty() && porch(&mut state).is_none());
    }
}
