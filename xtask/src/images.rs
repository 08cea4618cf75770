//! What a run found in every picture: records of its frames, with the classes' names.

use serde::Serialize;
use tessera_plan::files::records::{
    ClassScore, Detection, DropReason, Ending, Found, Record, Timing,
};

use crate::cluster::ClusterRun;

/// An entry of `--json`'s `images`: a frame's record, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The file it was made from.
    pub file: Option<String>,
    /// When it entered, and how long it took.
    #[serde(flatten)]
    pub timing: Option<Timing>,
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
    /// Boxes. All have a label: the class's name, or its number where names are not known.
    pub detections: Vec<Detection>,
}

/// The frames of a run, labelled, by source and then in the order in which they entered.
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
        timing: record.timing,
        width: record.width,
        height: record.height,
        dropped,
        top: found.top,
        detections: found.detections,
    }
}
