//! Boxes of detection layers, before non-maximum suppression.

use anyhow::Result;

use super::{Layer, Map, activation::logistic, cfg};

/// A class of a box that scores above the threshold. The box is centre and size, relative to the
/// network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Number of the class.
    pub class: usize,
    /// Score: objectness times class probability.
    pub score: f64,
    /// Centre x, centre y, width and height, relative to the network's input.
    pub bbox: [f64; 4],
}

/// The boxes of all detection layers of a network run, in Darknet's order.
///
/// # Errors
/// When a key's value is invalid.
pub fn boxes(text: &str, layers: &[Layer], thresh: f64) -> Result<Vec<Found>> {
    let net = &cfg::parse(text)?[0];
    let net = [net.float("width", 0.0), net.float("height", 0.0)];
    let mut found = Vec::new();
    for layer in layers {
        match layer.kind.as_str() {
            "yolo" => yolo(layer, net, thresh, false, &mut found)?,
            "Gaussian_yolo" => yolo(layer, net, thresh, true, &mut found)?,
            "region" => region(layer, thresh, &mut found)?,
            "detection" => detection(layer, thresh, &mut found)?,
            _ => {}
        }
    }
    Ok(found)
}

/// Anchor pair `n` of the list; missing values are 0.5.
fn anchor(list: &[f64], n: usize) -> [f64; 2] {
    [0, 1].map(|i| list.get(2 * n + i).copied().unwrap_or(0.5))
}

fn push(found: &mut Vec<Found>, thresh: f64, bbox: [f64; 4], scores: impl Iterator<Item = f64>) {
    for (class, score) in scores.enumerate() {
        if score > thresh {
            found.push(Found { class, score, bbox });
        }
    }
}

fn yolo(
    layer: &Layer,
    net: [f64; 2],
    thresh: f64,
    gaussian: bool,
    found: &mut Vec<Found>,
) -> Result<()> {
    let (s, map) = (&layer.section, &layer.map);
    let classes = s.size("classes", 20)?;
    let mut masks = s.ints("mask");
    if masks.is_empty() {
        masks = (0..s.int("num", 1)).collect();
    }
    let anchors = s.floats("anchors");
    // Where x, y, w, h, objectness and the first class lie.
    let at = if gaussian {
        [0, 2, 4, 6, 8, 9]
    } else {
        [0, 1, 2, 3, 4, 5]
    };
    let entries = at[5] + classes;
    for r in 0..map.h {
        for c in 0..map.w {
            for (slot, m) in masks.iter().enumerate() {
                let v = |e: usize| map.at(slot * entries + e, r, c);
                let objectness = v(at[4]);
                if objectness <= thresh {
                    continue;
                }
                let anchor = anchor(&anchors, usize::try_from(*m)?);
                let side = |e: usize, n: usize| {
                    if s.flag("new_coords") {
                        (2.0 * v(e)).powi(2) * anchor[n] / net[n]
                    } else {
                        v(e).exp() * anchor[n] / net[n]
                    }
                };
                let (w, h) = (side(at[2], 0), side(at[3], 1));
                let (mut x, mut y) = (
                    (c as f64 + v(at[0])) / map.w as f64,
                    (r as f64 + v(at[1])) / map.h as f64,
                );
                let mut sure = 1.0;
                if gaussian {
                    sure -= (v(1) + v(3) + v(5) + v(7)) / 4.0;
                    let half = match s.text("yolo_point") {
                        Some("left_top") => 0.5,
                        Some("right_bottom") => -0.5,
                        _ => 0.0,
                    };
                    (x, y) = (x + half * w, y + half * h);
                }
                let scores = (0..classes).map(|k| objectness * v(at[5] + k) * sure);
                push(found, thresh, [x, y, w, h], scores);
            }
        }
    }
    Ok(())
}

fn region(layer: &Layer, thresh: f64, found: &mut Vec<Found>) -> Result<()> {
    let (s, map) = (&layer.section, &layer.map);
    let classes = s.size("classes", 20)?;
    let anchors = s.floats("anchors");
    let entries = 5 + classes;
    for r in 0..map.h {
        for c in 0..map.w {
            for slot in 0..s.size("num", 1)? {
                let v = |e: usize| map.at(slot * entries + e, r, c);
                let anchor = anchor(&anchors, slot);
                let (mw, mh) = (map.w as f64, map.h as f64);
                let bbox = [
                    (c as f64 + logistic(v(0))) / mw,
                    (r as f64 + logistic(v(1))) / mh,
                    v(2).exp() * anchor[0] / mw,
                    v(3).exp() * anchor[1] / mh,
                ];
                push(found, thresh, bbox, (0..classes).map(|k| v(4) * v(5 + k)));
            }
        }
    }
    Ok(())
}

fn detection(layer: &Layer, thresh: f64, found: &mut Vec<Found>) -> Result<()> {
    let (s, Map { data, .. }) = (&layer.section, &layer.map);
    let (side, num) = (s.size("side", 7)?, s.size("num", 1)?);
    let classes = s.size("classes", 1)?;
    let cells = side * side;
    for cell in 0..cells {
        for n in 0..num {
            let confidence = data[cells * classes + cell * num + n];
            let v = &data[cells * (classes + num) + (cell * num + n) * 4..][..4];
            let extent = |v: f64| if s.flag("sqrt") { v * v } else { v };
            let bbox = [
                ((cell % side) as f64 + v[0]) / side as f64,
                ((cell / side) as f64 + v[1]) / side as f64,
                extent(v[2]),
                extent(v[3]),
            ];
            let scores = (0..classes).map(|k| confidence * data[cell * classes + k]);
            push(found, thresh, bbox, scores);
        }
    }
    Ok(())
}
