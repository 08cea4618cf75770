//! What a run found in every picture: records of its frames, with the classes' names.

use serde::Serialize;
use tessera_plan::files::records::{ClassScore, Detection, DropReason, Ending, Found, Record};

use crate::cluster::ClusterRun;

/// An entry of `--json`'s `images`: a frame's record, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The file it was made from.
    pub file: Option<String>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Why there are no detections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DropReason>,
    /// The best classes, of networks without detection layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<Vec<ClassScore>>,
    /// Boxes with their classes' names.
    pub detections: Vec<Labelled>,
}

/// A detection with its class's name.
#[derive(Clone, Debug, Serialize)]
pub struct Labelled {
    /// What the node found.
    #[serde(flatten)]
    pub detection: Detection,
    /// Name of the class; its number where names are not known.
    pub label: String,
}

/// The frames of a run, labelled, by source and then in the order in which they entered.
pub fn images(run: &ClusterRun, labels: &[String]) -> Vec<Image> {
    let mut records: Vec<&Record> = run.records.iter().collect();
    records.sort_by_key(|r| (r.subject.source, r.subject.frame));
    records.into_iter().map(|r| image(r, labels)).collect()
}

fn image(record: &Record, labels: &[String]) -> Image {
    let (dropped, found) = match &record.ending {
        Ending::Dropped { dropped } => (Some(*dropped), Found::default()),
        Ending::Computed(found) => (None, found.clone()),
    };
    let labelled = found.detections.into_iter().map(|detection| {
        let label = labels.get(detection.class as usize).cloned();
        Labelled {
            detection,
            label: label.unwrap_or_else(|| detection.class.to_string()),
        }
    });
    Image {
        file: record.subject.file.clone(),
        width: record.width,
        height: record.height,
        dropped,
        top: found.top,
        detections: labelled.collect(),
    }
}
