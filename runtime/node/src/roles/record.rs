//! A frame's record, from what the tail made of it.

use crate::detect::{self, ImageFrame};
use tessera_plan::files::records::{
    ClassScore, Detection, DropReason, Ending, Found, Record, Subject,
};
use tessera_runtime::{element, program::Program};

/// Classes of a classifier that a record names.
const TOP_CLASSES: usize = 5;

/// Thresholds of a record.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Boxes that score above it are reported.
    pub score: f32,
    /// Boxes that overlap a better one by more are not.
    pub nms: f32,
}

/// The record of a frame that was lost.
pub fn dropped(subject: Subject, image: ImageFrame, reason: DropReason) -> Record {
    record(subject, image, Ending::Dropped { dropped: reason })
}

/// The record of a frame that was computed. `outputs` are the tail's outputs, whole.
pub fn computed(
    p: &Program,
    subject: Subject,
    image: ImageFrame,
    outputs: &[&[u8]],
    t: Thresholds,
) -> Record {
    let maps: Vec<_> = p
        .tail
        .outputs
        .iter()
        .zip(outputs)
        .map(|(&tensor, map)| {
            (
                tensor,
                element::values(p.tensors[tensor as usize].element, map),
            )
        })
        .collect();
    let of = |tensor: u16| {
        let map = maps.iter().find(|(t, _)| *t == tensor);
        map.map_or(&[][..], |(_, map)| map)
    };
    let heads: Vec<&[f32]> = p.heads.iter().map(|h| of(h.tensor)).collect();
    let detections = detect::detections(p, &heads, image, t.score, t.nms);
    let classifier = maps.first().filter(|_| p.heads.is_empty());
    let found = Found {
        detections: detections
            .iter()
            .map(|d| Detection {
                class: d.class,
                score: d.score,
                objectness: d.objectness,
                bbox: d.bbox,
                box_px: image.pixels(d.bbox),
            })
            .collect(),
        top: classifier.map(|(_, scores)| {
            let best = detect::top(scores, TOP_CLASSES).into_iter();
            best.map(|(class, score)| ClassScore { class, score })
                .collect()
        }),
    };
    record(subject, image, Ending::Computed(found))
}

fn record(subject: Subject, image: ImageFrame, ending: Ending) -> Record {
    Record {
        subject,
        width: image.width,
        height: image.height,
        ending,
    }
}
