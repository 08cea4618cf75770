//! What became of a frame: one JSON line each, in the order in which frames end.
//!
//! ```text
//! {"source":1,"epoch":17,"frame":0,"tag":0,"file":"a.jpg","captured_unix_ms":1764354164123,
//!  "started_unix_ms":1764354164123,"ended_unix_ms":1764354164935,"latency_ms":812.4,"width":768,"height":576,"detections":[{"class":16,"label":"dog","score":0.9,...}]}
//! {"source":1,"epoch":17,"frame":1,"tag":1,"source_name":"front","captured_unix_ms":1764354164935,
//!  "started_unix_ms":1764354164940,"ended_unix_ms":1764354166946,"latency_ms":2011.0,"width":768,"height":576,
//!  "dropped":"its source was lost"}
//! ```
//! (Here in several lines; each is one.) Fields are added and never change their meaning: who reads records skips those that
//! it does not know. A change that breaks readers is a line of its own in `CHANGELOG.md`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// One frame's record: of every frame that a cluster accepted there is exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which frame.
    #[serde(flatten)]
    pub subject: Subject,
    /// When it entered, and how long it took.
    #[serde(flatten)]
    pub timing: Option<Timing>,
    /// Width of the picture, in pixels.
    pub width: u32,
    /// Height of the picture, in pixels.
    pub height: u32,
    /// What was found, or why nothing was looked for.
    #[serde(flatten)]
    pub ending: Ending,
}

/// Which frame a record is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Node that brought it; 0 without a cluster.
    pub source: u16,
    /// Which process of that node: a random number that tells processes apart, in no order; none without a
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Counts the source's accepted frames from 0.
    pub frame: u32,
    /// Counts the source's inputs from 0, those that could not be read included.
    pub tag: u32,
    /// The source's name (`--source NAME=..`, `[[source]]`), if it has one. A node may have several sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_name: Option<String>,
    /// What its source calls the input: a file's name. A long one lacks its beginning, and starts with `…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A board that had computed a part of it wrong: the frame was computed again without that board (`--verify`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u16>,
}

/// When a frame entered, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// When its source had it whole, in milliseconds since 1970 (UTC). By the clock of the node that writes the
    /// record, for all sources: it may be wrong, as clocks of boards are, and serves people alone.
    pub captured_unix_ms: u64,
    /// When the cluster began with it, by the same clock: a camera's frame has waited for its turn until then.
    #[serde(default)]
    pub started_unix_ms: u64,
    /// When this record was made, by the same clock.
    #[serde(default)]
    pub ended_unix_ms: u64,
    /// From then to this record, in milliseconds, by clocks that only run forwards. The source counts until it tells
    /// its gateway of the frame, the gateway counts the rest; the way of that message, under a millisecond in a
    /// network at rest, is in neither.
    pub latency_ms: f64,
}

/// How a frame ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ending {
    /// It was lost.
    Dropped {
        /// What kept it from being computed.
        dropped: DropReason,
    },
    /// It was computed.
    Computed(Found),
}

/// What a frame shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Boxes, from left to right by their left edge. Empty for networks without detection layers.
    pub detections: Vec<Detection>,
    /// The best classes, best first, of networks without detection layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<Vec<ClassScore>>,
}

/// A found object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Class number.
    pub class: u32,
    /// The class's name, where whoever writes the record knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Objectness times class score.
    #[serde(deserialize_with = "number")]
    pub score: f32,
    /// Objectness alone.
    #[serde(deserialize_with = "number")]
    pub objectness: f32,
    /// Centre x, centre y, width, height, relative to the picture.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// Left, top, width, height in pixels: rounded, not clipped.
    pub box_px: [i64; 4],
}

/// A class of a classifier, with its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Class number.
    pub class: u32,
    /// As in [`Detection`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The network's output for it.
    #[serde(deserialize_with = "number")]
    pub score: f32,
}

/// Why a frame has no detections. Records hold the reason's [`text`](DropReason::text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// Its source fell silent, or was restarted, while the frame was in flight.
    SourceLost,
    /// A task failed on every attempt.
    TaskFailed,
    /// The tail failed at the gateway.
    TailFailed,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::SourceLost, Self::TaskFailed, Self::TailFailed];

    /// As records say it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::SourceLost => "its source was lost",
            Self::TaskFailed => "a task failed on every attempt",
            Self::TailFailed => "the tail failed",
        }
    }
}

impl Serialize for DropReason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for DropReason {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let reason = Self::ALL.into_iter().find(|r| r.text() == text);
        reason.ok_or_else(|| D::Error::custom(format_args!("unknown drop reason {text:?}")))
    }
}

/// JSON has neither infinities nor NaN: they are written as null, which is read as NaN.
fn number<'de, D: Deserializer<'de>>(d: D) -> Result<f32, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or(f32::NAN))
}
