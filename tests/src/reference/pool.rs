//! Pooling layers.

use anyhow::{Context, Result};

use super::{Cx, Map, conv};

/// Geometry shared by both windowed pools: output sides, then size, strides, cells before the map.
struct Windows {
    h: usize,
    w: usize,
    size: usize,
    stride_y: usize,
    stride_x: usize,
    before: usize,
}

fn windows(cx: &Cx<'_>, unit_stride: bool) -> Result<Windows> {
    let s = cx.section;
    let x = cx.previous();
    let stride = s.size("stride", 1)?;
    let size = s.size("size", stride)?;
    let padding = s.size("padding", size - 1)?;
    let (stride_y, stride_x) = if unit_stride {
        (1, 1)
    } else {
        (s.size("stride_y", stride)?, s.size("stride_x", stride)?)
    };
    let extent = |side: usize, stride: usize| -> Result<usize> {
        let room = (side + padding).checked_sub(size);
        Ok(room.context("the map is smaller than the window")? / stride + 1)
    };
    Ok(Windows {
        h: extent(x.h, stride_y)?,
        w: extent(x.w, stride_x)?,
        size,
        stride_y,
        stride_x,
        before: padding / 2,
    })
}

impl Windows {
    /// The cells of channel `k`'s window (`j`, `i`) that lie inside the map.
    fn cells(&self, x: &Map, k: usize, j: usize, i: usize) -> Vec<f64> {
        let mut cells = Vec::new();
        for dy in 0..self.size {
            for dx in 0..self.size {
                let y = (j * self.stride_y + dy) as i64 - self.before as i64;
                let x0 = (i * self.stride_x + dx) as i64 - self.before as i64;
                cells.extend(x.get(k, y, x0));
            }
        }
        cells
    }
}

pub(super) fn maxpool(cx: &Cx<'_>) -> Result<Map> {
    let s = cx.section;
    let x = cx.previous();
    if s.flag("maxpool_depth") {
        let out = s.size("out_channels", 1)?;
        return Ok(Map::from_fn(out, x.h, x.w, |g, j, i| {
            let channels = (g..x.c).step_by(out).map(|k| x.at(k, j, i));
            channels.fold(f64::NEG_INFINITY, f64::max)
        }));
    }
    let antialiasing = s.int("antialiasing", 0);
    let at = windows(cx, antialiasing != 0)?;
    let y = Map::from_fn(x.c, at.h, at.w, |k, j, i| {
        let cells = at.cells(x, k, j, i);
        cells.into_iter().fold(f64::from(f32::MIN), f64::max)
    });
    if antialiasing == 0 {
        return Ok(y);
    }
    let stride = s.size("stride", 1)?;
    conv::blur(
        &y,
        antialiasing,
        s.size("stride_y", stride)?,
        s.size("stride_x", stride)?,
    )
}

pub(super) fn local_avgpool(cx: &Cx<'_>) -> Result<Map> {
    let x = cx.previous();
    let at = windows(cx, false)?;
    Ok(Map::from_fn(x.c, at.h, at.w, |k, j, i| {
        let cells = at.cells(x, k, j, i);
        cells.iter().sum::<f64>() / cells.len() as f64
    }))
}

pub(super) fn avgpool(cx: &Cx<'_>) -> Map {
    let x = cx.previous();
    Map::from_fn(x.c, 1, 1, |k, _, _| {
        let channel = &x.data[k * x.h * x.w..][..x.h * x.w];
        channel.iter().sum::<f64>() / channel.len() as f64
    })
}
