//! From detection maps to boxes, as Darknet does it: decoding, thresholds, suppression.

mod decode;
mod frame;
mod iou;
mod nms;

pub use frame::ImageFrame;
pub use nms::{Overlap, suppress, suppress_by_objectness};

use tessera_runtime::program::{NmsKind, Program};

/// A box before or after suppression, with its score for every class.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Centre x, centre y, width, height, relative to the picture.
    pub bbox: [f32; 4],
    /// Objectness; region layers of AlexeyAB's fork set it to 1.
    pub objectness: f32,
    /// Per class objectness times class score, 0 unless above the threshold.
    pub probs: Vec<f32>,
}

/// A class that was found in a box. A box gives one detection per class above the threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Number of the class, from 0.
    pub class: u32,
    /// Objectness times class score.
    pub score: f32,
    /// Objectness of the box.
    pub objectness: f32,
    /// Centre x, centre y, width, height, relative to the picture.
    pub bbox: [f32; 4],
}

/// Decodes the boxes of all heads above `thresh`, without suppression. `maps` holds one `[h, w, c]` map per
/// head. Boxes are ordered by head as in the cfg, then by row, column and slot.
pub fn candidates(
    program: &Program,
    maps: &[&[f32]],
    image: ImageFrame,
    thresh: f32,
) -> Vec<Candidate> {
    let input = &program.tensors[0];
    let net = (input.w as f32, input.h as f32);
    let mut all = Vec::new();
    for (head, map) in program.heads.iter().zip(maps) {
        let t = &program.tensors[head.tensor as usize];
        let shape = (t.h, t.w, t.c);
        decode::decode(
            head,
            map,
            shape,
            net,
            program.region_objectness_one,
            thresh,
            &mut all,
        );
    }
    for c in &mut all {
        c.bbox = image.correct(c.bbox, input.w as u32, input.h as u32);
    }
    // Darknet would go on to print them; no reader of a record can use such a box.
    all.retain(|c| c.bbox.iter().all(|v| v.is_finite()));
    all
}

/// Detections above `thresh` after suppression of boxes that overlap by more than `nms`, in the
/// order in which Darknet prints them (`image.c`, `draw_detections_v3`): boxes from left to right
/// by their left edge, the classes of one box with the best first, then by number.
pub fn detections(
    program: &Program,
    maps: &[&[f32]],
    image: ImageFrame,
    thresh: f32,
    nms: f32,
) -> Vec<Detection> {
    let mut all = candidates(program, maps, image, thresh);
    let kind = match program.nms {
        NmsKind::Default => Overlap::Plain,
        NmsKind::Greedy => Overlap::Distance(0.6),
        NmsKind::Diou { beta } => Overlap::Distance(beta),
    };
    suppress(&mut all, nms, kind);
    let left = |c: &Candidate| c.bbox[0] - c.bbox[2] / 2.0;
    all.sort_by(|a, b| left(a).total_cmp(&left(b)));
    let mut list = Vec::new();
    for c in &all {
        let first = list.len();
        for (class, &score) in c.probs.iter().enumerate() {
            if score > thresh {
                list.push(Detection {
                    class: class as u32,
                    score,
                    objectness: c.objectness,
                    bbox: c.bbox,
                });
            }
        }
        best_first(&mut list[first..]);
    }
    list
}

/// Moves the first of the best scores to the front; the others keep their order.
fn best_first(classes: &mut [Detection]) {
    let mut best = 0;
    for (i, d) in classes.iter().enumerate() {
        if d.score > classes[best].score {
            best = i;
        }
    }
    if let Some(upto_best) = classes.get_mut(..=best) {
        upto_best.rotate_right(1);
    }
}

/// The `k` largest values of a classifier's output, as (class, score); NaN is no score.
pub fn top(output: &[f32], k: usize) -> Vec<(u32, f32)> {
    let mut list: Vec<(u32, f32)> = output
        .iter()
        .enumerate()
        .filter(|(_, v)| !v.is_nan())
        .map(|(i, v)| (i as u32, *v))
        .collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list.truncate(k);
    list
}

#[cfg(test)]
mod tests;
