//! Layers that move values without computing.

use anyhow::{Result, ensure};

use super::{Cx, Map};

pub(super) fn upsample(cx: &Cx<'_>) -> Result<Map> {
    let x = cx.previous();
    let (stride, scale) = (cx.section.int("stride", 2), cx.section.float("scale", 1.0));
    ensure!(stride != 0, "stride 0");
    let n = usize::try_from(stride.unsigned_abs())?;
    if stride > 0 {
        return Ok(Map::from_fn(x.c, x.h * n, x.w * n, |k, j, i| {
            scale * x.at(k, j / n, i / n)
        }));
    }
    Ok(Map::from_fn(x.c, x.h / n, x.w / n, |k, j, i| {
        let block = (0..n * n).map(|b| x.at(k, j * n + b / n, i * n + b % n));
        scale * block.sum::<f64>()
    }))
}

/// Computes YOLOv2's `[reorg]`, which reads the buffer as if the buffer had another shape.
pub(super) fn reorg(cx: &Cx<'_>) -> Result<Map> {
    let x = cx.previous();
    let s = cx.section.size("stride", 1)?;
    let reverse = cx.section.flag("reverse");
    ensure!(x.c.is_multiple_of(s * s), "channels do not divide");
    let q = x.c / (s * s);
    let mut out = vec![0.0; x.data.len()];
    for k in 0..x.c {
        for j in 0..x.h {
            for i in 0..x.w {
                let (off, c2) = (k / q, k % q);
                let here = i + x.w * (j + x.h * k);
                let there = (i * s + off % s) + x.w * s * ((j * s + off / s) + x.h * s * c2);
                if reverse {
                    out[there] = x.data[here];
                } else {
                    out[here] = x.data[there];
                }
            }
        }
    }
    if reverse {
        Map::new(q, x.h * s, x.w * s, out)
    } else {
        ensure!(
            x.h.is_multiple_of(s) && x.w.is_multiple_of(s),
            "sides do not divide"
        );
        Map::new(x.c * s * s, x.h / s, x.w / s, out)
    }
}

/// Computes `[reorg3d]`: space to depth, offset-major; depth to space in reverse.
pub(super) fn reorg3d(cx: &Cx<'_>) -> Result<Map> {
    let x = cx.previous();
    let s = cx.section.size("stride", 1)?;
    if cx.section.flag("reverse") {
        ensure!(x.c.is_multiple_of(s * s), "channels do not divide");
        let c = x.c / (s * s);
        return Ok(Map::from_fn(c, x.h * s, x.w * s, |k, j, i| {
            x.at((j % s * s + i % s) * c + k, j / s, i / s)
        }));
    }
    ensure!(
        x.h.is_multiple_of(s) && x.w.is_multiple_of(s),
        "sides do not divide"
    );
    Ok(Map::from_fn(x.c * s * s, x.h / s, x.w / s, |k, j, i| {
        let (off, c) = (k / x.c, k % x.c);
        x.at(c, j * s + off / s, i * s + off % s)
    }))
}

pub(super) fn crop(cx: &Cx<'_>) -> Result<Map> {
    let x = cx.previous();
    let (h, w) = (
        cx.section.size("crop_height", 1)?,
        cx.section.size("crop_width", 1)?,
    );
    ensure!(h <= x.h && w <= x.w, "larger than the map");
    let (dy, dx) = ((x.h - h) / 2, (x.w - w) / 2);
    let adjust = !cx.section.flag("noadjust");
    Ok(Map::from_fn(x.c, h, w, |k, j, i| {
        let v = x.at(k, dy + j, dx + i);
        if adjust { 2.0 * v - 1.0 } else { v }
    }))
}
