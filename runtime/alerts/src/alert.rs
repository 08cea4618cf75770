//! What is said of an object.

use serde::Serialize;
use tessera_plan::files::records::Record;

use crate::{
    rule::{Rule, Stills},
    tracker::Track,
};

/// What is said of an object, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// The rule's name.
    pub alert: String,
    /// Number of the node that brought the frame.
    pub source: u16,
    /// The source's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_name: Option<String>,
    /// The frame, counted by the source from 0.
    pub frame: u32,
    /// When the frame was taken, in milliseconds since 1970 by the gateway's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_unix_ms: Option<u64>,
    /// The object's number: the same from frame to frame, counted from 1 for each source.
    pub track: u64,
    /// Objects of this source that have met the rule since the gateway started, this one included.
    pub count: u64,
    /// Class number.
    pub class: u32,
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// From 0 to 1.
    pub score: f32,
    /// Centre x, centre y, width, height, relative to the picture.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// Name of the file with its picture, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still: Option<String>,
    /// Where its picture is kept.
    #[serde(skip)]
    pub stills: Option<Stills>,
    /// Where it is posted.
    #[serde(skip)]
    pub webhook: Option<String>,
}

impl Alert {
    pub(crate) fn new(rule: &Rule, record: &Record, track: &Track, count: u64) -> Self {
        let (subject, seen) = (&record.subject, &track.seen);
        Self {
            alert: rule.name.clone(),
            source: subject.source,
            source_name: subject.source_name.clone(),
            frame: subject.frame,
            captured_unix_ms: record.timing.map(|t| t.captured_unix_ms),
            track: track.id,
            count,
            class: seen.class,
            label: seen.label.clone(),
            score: seen.score,
            bbox: [seen.bbox.x, seen.bbox.y, seen.bbox.w, seen.bbox.h],
            still: None,
            stills: rule.stills.clone(),
            webhook: rule.webhook.clone(),
        }
    }

    /// The alert as a line of JSON, without its end.
    pub fn json(&self) -> String {
        // Names and numbers alone: nothing in it cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}
