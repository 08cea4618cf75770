//! Output maps of detection layers.

use anyhow::{Result, ensure};

use super::{Cx, Fork, Map, activation::logistic, dense::soft};

pub(super) fn yolo(cx: &Cx<'_>) -> Result<Map> {
    let s = cx.section;
    let entries = s.size("classes", 20)? + 5;
    let scale = s.float("scale_x_y", 1.0);
    let new_coords = s.flag("new_coords");
    each_entry(cx.previous(), entries, |e, v| {
        let v = if new_coords || e == 2 || e == 3 {
            v
        } else {
            logistic(v)
        };
        if e < 2 {
            v * scale - 0.5 * (scale - 1.0)
        } else {
            v
        }
    })
}

pub(super) fn gaussian(cx: &Cx<'_>) -> Result<Map> {
    let s = cx.section;
    let entries = s.size("classes", 20)? + 9;
    let scale = s.float("scale_x_y", 1.0);
    each_entry(cx.previous(), entries, |e, v| {
        // x, sx, y, sy, w, sw, h, sh, objectness, classes
        let v = if e == 4 || e == 6 { v } else { logistic(v) };
        if e == 0 || e == 2 {
            v * scale - 0.5 * (scale - 1.0)
        } else {
            v
        }
    })
}

/// Computes `[region]`: a channel-major map that keeps the box values as the layer read them.
pub(super) fn region(cx: &Cx<'_>) -> Result<Map> {
    let s = cx.section;
    let x = cx.previous();
    let classes = s.size("classes", 20)?;
    let entries = s.size("coords", 4)? + 1 + classes;
    let softmax = s.flag("softmax");
    let mut y = each_entry(x, entries, |e, v| match e {
        4 => logistic(v),
        5.. if !softmax && cx.fork == Fork::Original => logistic(v),
        _ => v,
    })?;
    if softmax {
        for slot in 0..x.c / entries {
            for j in 0..x.h {
                for i in 0..x.w {
                    let at = |n: usize| slot * entries + 5 + n;
                    let scores: Vec<f64> = (0..classes).map(|n| x.at(at(n), j, i)).collect();
                    for (n, v) in soft(&scores, 1.0).into_iter().enumerate() {
                        *y.at_mut(at(n), j, i) = v;
                    }
                }
            }
        }
    }
    Ok(y)
}

/// Computes `[detection]` of YOLO v1: a flat map that begins with the class values of every location.
pub(super) fn detection(cx: &Cx<'_>) -> Result<Map> {
    let s = cx.section;
    let mut y = cx.previous().clone();
    let (side, classes) = (s.size("side", 7)?, s.size("classes", 1)?);
    if s.flag("softmax") {
        for location in y.data[..side * side * classes].chunks_mut(classes) {
            let soft = soft(location, 1.0);
            location.copy_from_slice(&soft);
        }
    }
    Ok(y)
}

fn each_entry(x: &Map, entries: usize, f: impl Fn(usize, f64) -> f64) -> Result<Map> {
    ensure!(
        x.c.is_multiple_of(entries),
        "{} channels in slots of {entries}",
        x.c
    );
    Ok(Map::from_fn(x.c, x.h, x.w, |k, j, i| {
        f(k % entries, x.at(k, j, i))
    }))
}
