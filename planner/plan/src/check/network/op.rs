//! Which shape an operation makes of its inputs' (`docs/darknet.md`).

use super::SIDE_MAX;
use crate::{
    graph::{Activation, Conv, Op, Part, Pool, ShortcutKind, WeightSource},
    region::Shape,
};

/// Most slots and cells of a side of detection layers.
const SLOTS_MAX: usize = 1 << 12;
/// Most classes.
const CLASSES_MAX: usize = 1 << 20;
/// Largest factor between the sides of two maps.
const FACTOR_MAX: usize = 1 << 10;

/// `Some` if `op` makes `out` of inputs of shapes `ins`, of which there is at least one, and its parameters are
/// possible ones. All shapes have values, and sides up to [`SIDE_MAX`].
pub(super) fn makes(op: &Op, ins: &[Shape], out: Shape) -> Option<()> {
    let x = *ins.first()?;
    let holds = match op {
        Op::Conv(c) => conv(c, x, out)?,
        Op::MaxPool(p) | Op::LocalAvgPool(p) => pool(p, x, out)?,
        Op::MaxPoolDepth { out_channels } => {
            x.c.is_multiple_of(*out_channels) && out == Shape::new(x.h, x.w, *out_channels)
        }
        Op::AvgPool => out == Shape::new(1, 1, x.c),
        Op::Concat(parts) => concat(parts, ins, out)?,
        Op::Upsample { stride, scale } => {
            let by = factor(*stride)?;
            scale.is_finite() && out == Shape::new(x.h * by, x.w * by, x.c)
        }
        Op::Downsample { stride, scale } => {
            let by = factor(*stride)?;
            scale.is_finite() && out == Shape::new(x.h / by, x.w / by, x.c)
        }
        Op::Reorg { stride, reverse } => reorg(factor(*stride)?, *reverse, false, x, out),
        Op::Reorg3d { stride, reverse } => reorg(factor(*stride)?, *reverse, true, x, out),
        Op::Shortcut { kind, .. } => shortcut(kind, ins, out)?,
        Op::BatchNorm | Op::Activate(_) => out == x,
        Op::Sam { .. } => ins == [out, out],
        Op::ScaleChannels { per_pixel, .. } => {
            let factors = if *per_pixel {
                Shape::new(out.h, out.w, 1)
            } else {
                Shape::new(1, 1, out.c)
            };
            ins == [factors, out]
        }
        Op::Lrn {
            size,
            alpha,
            beta,
            kappa,
        } => {
            let finite = [alpha, beta, kappa].into_iter().all(|v| v.is_finite());
            finite && (1..=SIDE_MAX).contains(size) && out == x
        }
        Op::Connected { activation } => activation.is_pointwise() && (out.h, out.w) == (1, 1),
        Op::Local {
            size,
            stride,
            pad,
            activation: _,
        } => local([*size, *stride, *pad], x, out)?,
        Op::Crop { y, x: left, .. } => {
            out.c == x.c
                && y.checked_add(out.h).is_some_and(|end| end <= x.h)
                && left.checked_add(out.w).is_some_and(|end| end <= x.w)
        }
        Op::Softmax {
            groups,
            temperature,
        } => {
            temperature.is_finite()
                && *temperature > 0.0
                && *groups > 0
                && x.len().is_multiple_of(*groups)
                && out == Shape::new(1, 1, x.len())
        }
        Op::Yolo {
            masks,
            classes,
            scale_x_y,
            ..
        } => scale_x_y.is_finite() && out == x && x.c == slots(*masks, *classes, 5)?,
        Op::GaussianYolo {
            masks,
            classes,
            scale_x_y,
        } => scale_x_y.is_finite() && out == x && x.c == slots(*masks, *classes, 9)?,
        Op::Region { num, classes, .. } => out == x && x.c == slots(*num, *classes, 5)?,
        Op::Detection {
            side, num, classes, ..
        } => {
            let known = [*side, *num].iter().all(|n| (1..=SLOTS_MAX).contains(n));
            let known = known && (1..=CLASSES_MAX).contains(classes);
            let cell = known.then(|| 5 * num + classes)?;
            let values = (side * side).checked_mul(cell)?;
            x.len() == values && out == Shape::new(1, 1, values)
        }
    };
    (holds && (ins.len() == 1 || takes_several(op))).then_some(())
}

const fn takes_several(op: &Op) -> bool {
    matches!(
        op,
        Op::Concat(_) | Op::Shortcut { .. } | Op::Sam { .. } | Op::ScaleChannels { .. }
    )
}

fn factor(stride: usize) -> Option<usize> {
    (1..=FACTOR_MAX).contains(&stride).then_some(stride)
}

/// Channels of `slots` slots of `classes` scores and `more` entries.
fn slots(slots: usize, classes: usize, more: usize) -> Option<usize> {
    let known = (1..=SLOTS_MAX).contains(&slots) && (1..=CLASSES_MAX).contains(&classes);
    known.then(|| slots.checked_mul(classes + more))?
}

/// Windows that reach over `reach` pixels, `stride` apart, on `extent` pixels.
fn windows(extent: usize, reach: usize, stride: usize) -> Option<usize> {
    Some(extent.checked_sub(reach)? / stride + 1)
}

/// Whether all lie between 1 and the largest side.
fn are_sides(list: &[usize]) -> bool {
    list.iter().all(|n| (1..=SIDE_MAX).contains(n))
}

fn conv(c: &Conv, x: Shape, out: Shape) -> Option<bool> {
    if !are_sides(&[c.size, c.stride_y, c.stride_x, c.dilation]) || c.groups == 0 {
        return Some(false);
    }
    let before = (c.size - 1) * c.dilation;
    if c.pad > before {
        return Some(false);
    }
    let side = |extent, stride| windows(extent + 2 * c.pad, before + 1, stride);
    let groups = x.c.is_multiple_of(c.groups) && out.c.is_multiple_of(c.groups);
    let blurs = match c.source {
        WeightSource::Layer(_) => true,
        WeightSource::Blur => {
            let each = (x.c, out.c) == (c.groups, c.groups);
            each && matches!(c.size, 2 | 3) && c.activation == Activation::Linear
        }
    };
    Some(groups && blurs && (out.h, out.w) == (side(x.h, c.stride_y)?, side(x.w, c.stride_x)?))
}

/// Only `padding / 2` is known of the padding; its other half is as long, or longer by one.
fn pool(p: &Pool, x: Shape, out: Shape) -> Option<bool> {
    if !are_sides(&[p.size, p.stride_y, p.stride_x]) || p.pad_before >= p.size {
        return Some(false);
    }
    let begins_inside = |n: usize, stride: usize, extent: usize| {
        (n - 1)
            .checked_mul(stride)
            .is_some_and(|first| first < extent + p.pad_before)
    };
    let inside = begins_inside(out.h, p.stride_y, x.h) && begins_inside(out.w, p.stride_x, x.w);
    let fits = |padding: usize| {
        let side = |extent, stride| windows(extent + padding, p.size, stride);
        (side(x.h, p.stride_y), side(x.w, p.stride_x)) == (Some(out.h), Some(out.w))
    };
    let padding = 2 * p.pad_before;
    Some(inside && out.c == x.c && (fits(padding) || fits(padding + 1)))
}

fn concat(parts: &[Part], ins: &[Shape], out: Shape) -> Option<bool> {
    let mut channels = 0_usize;
    for p in parts {
        let x = ins.get(p.input)?;
        if (x.h, x.w) != (out.h, out.w) || p.c.is_empty() || p.c.hi > x.c {
            return Some(false);
        }
        channels = channels.checked_add(p.c.len())?;
    }
    Some(channels == out.c)
}

/// Pixels to channels, or back; `any` number of channels forward, or a multiple of the square only.
fn reorg(by: usize, reverse: bool, any: bool, x: Shape, out: Shape) -> bool {
    let square = by * by;
    if reverse {
        x.c.is_multiple_of(square) && out == Shape::new(x.h * by, x.w * by, x.c / square)
    } else {
        x.h.is_multiple_of(by)
            && x.w.is_multiple_of(by)
            && (any || x.c.is_multiple_of(square))
            && (out.h, out.w) == (x.h / by, x.w / by)
            && Some(out.c) == x.c.checked_mul(square)
    }
}

fn shortcut(kind: &ShortcutKind, ins: &[Shape], out: Shape) -> Option<bool> {
    let (x, from) = ins.split_first()?;
    let fits = match kind {
        ShortcutKind::Add => from.iter().all(|f| (f.h, f.w) == (out.h, out.w)),
        ShortcutKind::Weighted => from.iter().all(|f| *f == out),
        ShortcutKind::Resized {
            down,
            up,
            alpha,
            beta,
        } => {
            let [f] = from else { return Some(false) };
            let known = are_sides(&[*down, *up]) && alpha.is_finite() && beta.is_finite();
            known && (f.h * up, f.w * up) == (out.h * down, out.w * down)
        }
    };
    Some(fits && *x == out && !from.is_empty())
}

fn local([size, stride, pad]: [usize; 3], x: Shape, out: Shape) -> Option<bool> {
    if !are_sides(&[size, stride]) || !(pad == 0 || (pad, size) == (1, 3)) {
        return Some(false);
    }
    let reach = if pad == 0 { size } else { 1 };
    let side = |extent| windows(extent, reach, stride);
    Some((out.h, out.w) == (side(x.h)?, side(x.w)?))
}
