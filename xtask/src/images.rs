//! Results of a run for every picture: records of frames, with the names of classes.

use serde::Serialize;
use tessera_plan::files::records::{
    ClassScore, Detection, DropReason, Ending, Found, Record, Timing,
};

use crate::cluster::ClusterRun;

/// An entry of `--json`'s `images`: a frame's record, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The file from which the source made the frame.
    pub file: Option<String>,
    /// The source's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_name: Option<String>,
    /// Times of the frame: its entry and its duration.
    #[serde(flatten)]
    pub timing: Option<Timing>,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Why the frame has no detections; `None` for a frame without errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DropReason>,
    /// The best classes; only for networks without detection layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<Vec<ClassScore>>,
    /// Detected boxes. Every box has a label: the class's name, or the class's number if the name is unknown.
    pub detections: Vec<Detection>,
}

/// The labelled frames of a run, by source and then in the order of their entry.
pub fn images(run: &ClusterRun, labels: &[String]) -> Vec<Image> {
    let mut records: Vec<&Record> = run.records.iter().collect();
    records.sort_by_key(|r| (r.subject.source, r.subject.frame));
    records.into_iter().map(|r| image(r, labels)).collect()
}

fn image(record: &Record, labels: &[String]) -> Image {
    let (dropped, mut found) = match &record.ending {
        Ending::Dropped { dropped } => (Some(*dropped), Found::default()),
        Ending::Computed(found) => (None, found.clone()),
    };
    let name = |class: u32| labels.get(class as usize).cloned();
    for d in &mut found.detections {
        d.label = Some(name(d.class).unwrap_or_else(|| d.class.to_string()));
    }
    for best in found.top.iter_mut().flatten() {
        best.label = name(best.class);
    }
    Image {
        file: record.subject.file.clone(),
        source_name: record.subject.source_name.clone(),
        timing: record.timing,
        width: record.width,
        height: record.height,
        dropped,
        top: found.top,
        detections: found.detections,
    }
}
