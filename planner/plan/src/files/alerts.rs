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
    /// The folder that gets the picture of each alert; a relative path begins where the file lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stills: Option<String>,
    /// Most pictures that are kept there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stills_max: Option<u32>,
    /// Most MiB that these take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stills_mib: Option<u32>,
}

impl AlertEntry {
    /// Keys of the table.
    pub const KEYS: [&'static str; 11] = [
        "classes",
        "cooldown",
        "frames",
        "name",
        "score",
        "sources",
        "stills",
        "stills_max",
        "stills_mib",
        "webhook",
        "zone",
    ];
    /// Most pictures that a folder may be told to keep.
    pub const STILLS_MAX: u32 = 100_000;
    /// Most MiB that a folder may be told to keep.
    pub const STILLS_MIB_MAX: u32 = 1 << 20;
}
