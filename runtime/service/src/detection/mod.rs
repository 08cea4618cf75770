//! Detection as DeepStack and CodeProject.AI speak it: one form, one shape of answers.
//!
//! Answers hold the fields of both. Failures are told by status codes, as DeepStack does, or with status 200 and
//! `success: false`, as CodeProject.AI does.

mod form;
mod labels;

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tessera_plan::files::records::{Detection, Ending, Record};

pub use form::{Form, FormError};
pub use labels::Names;

/// Most objects of an answer, if the request does not say: Frigate's plug-in fails on more.
pub const OBJECTS: usize = 20;
/// Most objects that a request may ask for.
pub const OBJECTS_MAX: usize = 1000;
/// Confidence of the least sure object, if the request does not say.
pub const CONFIDENCE: f32 = 0.4;
/// The least confidence that is looked for: below it, boxes are noise, and many.
pub const CONFIDENCE_MIN: f32 = 0.05;

/// How failures are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// By status codes.
    #[default]
    DeepStack,
    /// With status 200 and `success: false`.
    CodeProject,
}

impl FromStr for Profile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "deepstack" => Ok(Self::DeepStack),
            "codeproject" => Ok(Self::CodeProject),
            _ => Err("profiles are deepstack and codeproject"),
        }
    }
}

impl Profile {
    /// The status code for one of DeepStack's.
    pub const fn status(self, status: u16) -> u16 {
        match self {
            Self::DeepStack => status,
            Self::CodeProject => match status {
                400 | 500 | 503 => 200,
                other => other,
            },
        }
    }
}

/// What a request asks for, beside its picture.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Confidence of the least sure object.
    pub confidence: f32,
    /// Most objects.
    pub objects: usize,
    /// Names of classes.
    pub names: Names,
}

/// The fields that all answers have. `code` is the status that DeepStack would give.
fn common(code: u16, took: Duration) -> Value {
    json!({
        "success": code == 200,
        "code": code,
        "duration": seconds(took),
        "analysisRoundTripMs": millis(took),
        "command": "detect",
        "moduleId": "tessera",
        "moduleName": "Tessera",
        "inferenceDevice": "CPU",
        "processedBy": "localhost",
        "timestampUTC": httpdate::fmt_http_date(SystemTime::now()),
    })
}

fn seconds(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e3).round() / 1e3
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn with(mut value: Value, more: Value) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut value, more) {
        all.extend(more);
    }
    value
}

/// An answer without detections: `error` in the words that clients know, `message` for people.
pub fn failure(code: u16, error: &str, message: &str, took: Duration) -> Value {
    with(
        common(code, took),
        json!({
            "error": error,
            "message": message,
            "count": 0,
            "predictions": [],
        }),
    )
}

/// The answer for a computed frame; the drop's reason as an error otherwise.
///
/// # Errors
/// When the frame was dropped: why, in words.
pub fn found(record: &Record, wish: Wish, took: Duration) -> Result<Value, &'static str> {
    let found = match &record.ending {
        Ending::Computed(found) => found,
        Ending::Dropped { dropped } => return Err(dropped.text()),
    };
    let inside = |d: &Detection| edges(d, record.width, record.height).is_some();
    let mut best: Vec<&Detection> = (found.detections.iter())
        .filter(|d| d.score >= wish.confidence && inside(d))
        .collect();
    // Clients stop reading at the first that they are not sure of.
    best.sort_by(|a, b| b.score.total_cmp(&a.score));
    best.truncate(wish.objects);
    let label = |d: &Detection| wish.names.of(d.class, d.label.as_deref());
    let predictions: Vec<Value> = best
        .iter()
        .filter_map(|d| {
            let [x_min, y_min, x_max, y_max] = edges(d, record.width, record.height)?;
            Some(json!({
                "label": label(d),
                // Six digits are what a float32 tells; more of them would be those of its binary form.
                "confidence": (f64::from(d.score) * 1e6).round() / 1e6,
                "x_min": x_min, "y_min": y_min, "x_max": x_max, "y_max": y_max,
            }))
        })
        .collect();
    let mut labels: Vec<String> = Vec::new();
    for d in &best {
        let label = label(d);
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let message = match &labels[..] {
        [] => "No objects found".to_owned(),
        some => format!("Found {}", some.join(", ")),
    };
    let inference = record.timing.map_or(0.0, |t| t.latency_ms);
    let answer = json!({
        "message": message,
        "count": predictions.len(),
        "predictions": predictions,
        "inferenceMs": inference.round(),
        "processMs": millis(took),
        "requestId": format!("{}-{}", record.subject.epoch.unwrap_or(0), record.subject.frame),
        "image_width": record.width,
        "image_height": record.height,
    });
    Ok(with(common(200, took), answer))
}

/// Left, top, right and bottom of a box in whole pixels of a picture; `None` of one that lies outside.
fn edges(d: &Detection, width: u32, height: u32) -> Option<[i64; 4]> {
    let [left, top, w, h] = d.box_px;
    let (width, height) = (i64::from(width), i64::from(height));
    let x = [left, left.saturating_add(w)].map(|v| v.clamp(0, width));
    let y = [top, top.saturating_add(h)].map(|v| v.clamp(0, height));
    (x[0] < x[1] && y[0] < y[1]).then_some([x[0], y[0], x[1], y[1]])
}

#[cfg(test)]
mod tests;
