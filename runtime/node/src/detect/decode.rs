//! Decodes the maps of detection layers into boxes (`docs/darknet.md#detection-layers`).

use super::Candidate;
use tessera_runtime::program::{Head, HeadKind};

/// Appends the candidates of one head. `shape` gives rows, columns and channels of the `[h, w, c]` map,
/// `net` gives width and height of the network's input.
pub fn decode(
    head: &Head,
    map: &[f32],
    shape: (usize, usize, usize),
    net: (f32, f32),
    objectness_one: bool,
    thresh: f32,
    out: &mut Vec<Candidate>,
) {
    let classes = head.classes;
    match head.kind {
        HeadKind::Detection { side, num, sqrt } => {
            return detection(map, classes, side, num, sqrt, thresh, out);
        }
        HeadKind::Yolo { .. } | HeadKind::Gaussian { .. } | HeadKind::Region => {}
    }
    let entries = classes
        + if matches!(head.kind, HeadKind::Gaussian { .. }) {
            9
        } else {
            5
        };
    let (h, w, c) = shape;
    if c == 0 || map.len() != h * w * c || c != entries * head.anchors.len() {
        return;
    }
    for (cell, pixel) in map.chunks_exact(c).enumerate() {
        let at = ((cell % w) as f32, (cell / w) as f32);
        for (v, &anchor) in pixel.chunks_exact(entries).zip(head.anchors) {
            let place = Place {
                at,
                size: (w as f32, h as f32),
                anchor,
                net,
            };
            // A cell counts when its objectness lies above the threshold; NaN does not.
            match head.kind {
                HeadKind::Yolo { new_coords } if v[4] > thresh => {
                    out.push(yolo(v, &place, new_coords, thresh));
                }
                HeadKind::Gaussian { point } if v[8] > thresh => {
                    out.push(gaussian(v, &place, point, thresh));
                }
                HeadKind::Region => out.extend(region(v, &place, objectness_one, thresh)),
                _ => {}
            }
        }
    }
}

struct Place {
    /// Column and row of the cell.
    at: (f32, f32),
    /// Columns and rows of the grid.
    size: (f32, f32),
    anchor: (f32, f32),
    net: (f32, f32),
}

/// Class scores, 0 unless above the threshold.
fn probs(scores: &[f32], factor: f32, thresh: f32) -> Vec<f32> {
    scores
        .iter()
        .map(|s| {
            let p = factor * s;
            if p > thresh { p } else { 0.0 }
        })
        .collect()
}

fn yolo(v: &[f32], p: &Place, new_coords: bool, thresh: f32) -> Candidate {
    let objectness = v[4];
    let side = |t: f32, anchor: f32, net: f32| {
        if new_coords {
            (2.0 * t) * (2.0 * t) * anchor / net
        } else {
            t.exp() * anchor / net
        }
    };
    let bbox = [
        (p.at.0 + v[0]) / p.size.0,
        (p.at.1 + v[1]) / p.size.1,
        side(v[2], p.anchor.0, p.net.0),
        side(v[3], p.anchor.1, p.net.1),
    ];
    Candidate {
        bbox,
        objectness,
        probs: probs(&v[5..], objectness, thresh),
    }
}

fn gaussian(v: &[f32], p: &Place, point: i8, thresh: f32) -> Candidate {
    let objectness = v[8];
    let (w, h) = (
        v[4].exp() * p.anchor.0 / p.net.0,
        v[6].exp() * p.anchor.1 / p.net.1,
    );
    let shift = f32::from(point) * 0.5;
    let bbox = [
        (p.at.0 + v[0]) / p.size.0 + shift * w,
        (p.at.1 + v[2]) / p.size.1 + shift * h,
        w,
        h,
    ];
    let certainty = 1.0 - (v[1] + v[3] + v[5] + v[7]) / 4.0;
    let probs = v[9..]
        .iter()
        .map(|s| {
            let p = objectness * s * certainty;
            if p > thresh { p } else { 0.0 }
        })
        .collect();
    Candidate {
        bbox,
        objectness,
        probs,
    }
}

/// A box without any class above the threshold takes part in nothing.
fn region(v: &[f32], p: &Place, objectness_one: bool, thresh: f32) -> Option<Candidate> {
    let logistic = |x: f32| 1.0 / (1.0 + (-x).exp());
    let bbox = [
        (p.at.0 + logistic(v[0])) / p.size.0,
        (p.at.1 + logistic(v[1])) / p.size.1,
        v[2].exp() * p.anchor.0 / p.size.0,
        v[3].exp() * p.anchor.1 / p.size.1,
    ];
    let probs = probs(&v[5..], v[4], thresh);
    probs.iter().any(|p| *p > 0.0).then_some(Candidate {
        bbox,
        objectness: if objectness_one { 1.0 } else { v[4] },
        probs,
    })
}

fn detection(
    v: &[f32],
    classes: usize,
    side: usize,
    num: usize,
    sqrt: bool,
    thresh: f32,
    out: &mut Vec<Candidate>,
) {
    let cells = side * side;
    if v.len() != cells * (classes + 5 * num) {
        return;
    }
    let (scores, rest) = v.split_at(cells * classes);
    let (confidences, boxes) = rest.split_at(cells * num);
    for cell in 0..cells {
        let (row, col) = (cell / side, cell % side);
        for n in 0..num {
            let b = &boxes[4 * (cell * num + n)..4 * (cell * num + n) + 4];
            let size = |x: f32| if sqrt { x * x } else { x };
            let confidence = confidences[cell * num + n];
            let bbox = [
                (b[0] + col as f32) / side as f32,
                (b[1] + row as f32) / side as f32,
                size(b[2]),
                size(b[3]),
            ];
            let probs = probs(
                &scores[cell * classes..(cell + 1) * classes],
                confidence,
                thresh,
            );
            if probs.iter().any(|p| *p > 0.0) {
                out.push(Candidate {
                    bbox,
                    objectness: confidence,
                    probs,
                });
            }
        }
    }
}
