//! `[[alert]]` tables of `cluster.toml`: what people want to hear of. As of sources, a node skips no key that it does not know: a
//! misspelt zone must not be taken for the whole picture.

use serde::{Deserialize, Serialize};

/// An `[[alert]]` table as it is written; the gateway checks its values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertEntry {
    /// Its name: what is said, and a part of topics.
    pub name: String,
    /// Names of classes; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Names of sources; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Corners of a polygon in which an object stands, relative to the picture from its upper left corner; none: the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Vec<[f32; 2]>>,
    /// Least score, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Frames, one after the other, in which the object is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    /// Seconds after an alert in which no other one of this rule and source comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<f64>,
    /// Where the alert is posted as JSON: a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

impl AlertEntry {
    /// Keys of the table.
    pub const KEYS: [&'static str; 8] = [
        "classes", "cooldown", "frames", "name", "score", "sources", "webhook", "zone",
    ];
}
