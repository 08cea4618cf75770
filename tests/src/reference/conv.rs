//! `[convolutional]`, and the blur of `antialiasing`.

use anyhow::{Context, Result, ensure};

use super::{
    Cx, Map, activation,
    weights::{Reader, Statistics},
};

/// Arrays of a convolution from the weights file; `share_index` lends the arrays to another layer.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    biases: Vec<f64>,
    statistics: Option<Statistics>,
    /// Weights as `[filter][channel of its group][ky][kx]`.
    weights: Vec<f64>,
}

/// Sides and steps of windows over a padded map.
pub(super) struct Window {
    pub size: usize,
    pub stride_y: usize,
    pub stride_x: usize,
    /// Zero pixels on each side that count for the output's size.
    pub padding: usize,
    pub dilation: usize,
    pub groups: usize,
}

impl Window {
    fn extent(&self, side: usize, stride: usize) -> Result<usize> {
        let room = (side + 2 * self.padding).checked_sub(self.size);
        Ok(room.context("the map is smaller than the kernel")? / stride + 1)
    }
}

pub(super) fn convolutional(cx: &Cx<'_>, reader: &mut Reader<'_>) -> Result<(Map, Weights)> {
    let s = cx.section;
    let x = cx.previous();
    let filters = s.size("filters", 1)?;
    let size = s.size("size", 1)?;
    let stride = s.size("stride", 1)?;
    let axis = |key: &str| usize::try_from(s.int(key, -1)).ok().filter(|v| *v >= 1);
    let (stride_y, stride_x) = (
        axis("stride_y").unwrap_or(stride),
        axis("stride_x").unwrap_or(stride),
    );
    let groups = s.size("groups", 1)?.max(1);
    let antialiasing = s.int("antialiasing", 0);
    let blurs = antialiasing != 0;
    let window = Window {
        size,
        stride_y: if blurs { 1 } else { stride_y },
        stride_x: if blurs { 1 } else { stride_x },
        padding: if s.flag("pad") {
            size / 2
        } else {
            s.size("padding", 0)?
        },
        dilation: if size == 1 { 1 } else { s.size("dilation", 1)? },
        groups,
    };
    let weights = match s.text("share_index") {
        Some(_) => {
            let owner = cx.number(s.int("share_index", 0))?;
            let lent = cx.before[owner].conv.clone();
            lent.context("share_index names no convolution")?
        }
        None => read(cx, reader, filters, x.c / groups * size * size)?,
    };
    let mut y = convolve(x, &weights.weights, filters, &window)?;
    for k in 0..y.c {
        for j in 0..y.h {
            for i in 0..y.w {
                let v = y.at_mut(k, j, i);
                if let Some(statistics) = &weights.statistics {
                    *v = statistics.apply(k, *v, cx.fork);
                }
                *v += weights.biases[k];
            }
        }
    }
    let y = activation::apply(s.text("activation").unwrap_or("logistic"), &y)?;
    let y = if blurs {
        blur(&y, antialiasing, stride_y, stride_x)?
    } else {
        y
    };
    Ok((y, weights))
}

fn read(cx: &Cx<'_>, reader: &mut Reader<'_>, filters: usize, each: usize) -> Result<Weights> {
    let s = cx.section;
    let biases = reader.take(filters)?;
    let statistics = match (s.flag("batch_normalize"), s.flag("dontloadscales")) {
        (false, _) => None,
        (true, false) => Some(Statistics::read(reader, filters)?),
        (true, true) => Some(Statistics::initial(filters)),
    };
    let mut weights = reader.take(filters * each)?;
    if s.flag("flipped") {
        // The file holds [each][filters].
        weights = (0..filters * each)
            .map(|i| weights[i % each * filters + i / each])
            .collect();
    }
    Ok(Weights {
        biases,
        statistics,
        weights,
    })
}

/// Cross-correlation with zeros around the map; the padding grows with the dilation.
pub(super) fn convolve(x: &Map, weights: &[f64], filters: usize, window: &Window) -> Result<Map> {
    let Window { size, groups, .. } = *window;
    ensure!(
        x.c.is_multiple_of(groups) && filters.is_multiple_of(groups),
        "groups do not divide"
    );
    let (cin, cout) = (x.c / groups, filters / groups);
    let (h, w) = (
        window.extent(x.h, window.stride_y)?,
        window.extent(x.w, window.stride_x)?,
    );
    let place = |o: usize, stride: usize, k: usize| {
        (o * stride + k * window.dilation) as i64 - (window.padding * window.dilation) as i64
    };
    Ok(Map::from_fn(filters, h, w, |f, oy, ox| {
        let mut sum = 0.0;
        for c in 0..cin {
            for ky in 0..size {
                for kx in 0..size {
                    let (iy, ix) = (
                        place(oy, window.stride_y, ky),
                        place(ox, window.stride_x, kx),
                    );
                    let x = x.get(f / cout * cin + c, iy, ix).unwrap_or(0.0);
                    sum += weights[((f * cin + c) * size + ky) * size + kx] * x;
                }
            }
        }
        sum
    }))
}

/// Blurs a map: `mode` 1 is the binomial 3x3 kernel with padding 1, 2 is the mean of 2x2 without padding.
pub(super) fn blur(x: &Map, mode: i64, stride_y: usize, stride_x: usize) -> Result<Map> {
    let (size, kernel): (usize, &[f64]) = match mode {
        1 => (3, &[1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]),
        _ => (2, &[4.0; 4]),
    };
    let one: Vec<f64> = kernel.iter().map(|v| v / 16.0).collect();
    let window = Window {
        size,
        stride_y,
        stride_x,
        padding: if mode == 1 { 1 } else { 0 },
        dilation: 1,
        groups: x.c,
    };
    convolve(x, &one.repeat(x.c), x.c, &window)
}
