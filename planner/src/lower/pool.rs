//! `[maxpool]`, `[local_avgpool]`, `[avgpool]` (Darknet `maxpool_layer.c`, `docs/darknet.md#pools`).

use super::{Lowering, Made, Value, conv};
use crate::cfg::keys::Keys;
use tessera_plan::{
    graph::{Op, Pool},
    region::Shape,
};

fn pool(l: &mut Lowering<'_>, keys: &Keys<'_>, suffix: &str, op: fn(Pool) -> Op) -> Made {
    let stride = keys.size("stride", 1, 1);
    let axis = |key: &'static str| match keys.text(key) {
        None => stride,
        Some(_) => keys.size(key, 1, 1),
    };
    let (stride_x, stride_y) = (axis("stride_x"), axis("stride_y"));
    let size = keys.size(
        "size",
        stride.map_or(1, |s| i64::try_from(s).unwrap_or(i64::MAX)),
        1,
    );
    let padding = keys.size(
        "padding",
        size.map_or(0, |s| i64::try_from(s - 1).unwrap_or(i64::MAX)),
        0,
    );
    let depth = keys.flag("maxpool_depth");
    let out_channels = keys.size("out_channels", 1, 1);
    let antialiasing = if suffix == "maxpool" {
        keys.int("antialiasing", 0)
    } else {
        0
    };
    let (Some(sx), Some(sy), Some(size), Some(padding), Some(out_channels), Some(v)) = (
        stride_x,
        stride_y,
        size,
        padding,
        out_channels,
        l.previous(),
    ) else {
        return Made::nothing();
    };
    let here = l.here();
    if depth {
        return over_channels(l, keys, suffix, v, out_channels);
    }
    let (stride_x, stride_y) = if antialiasing != 0 { (1, 1) } else { (sx, sy) };
    let pool = Pool {
        size,
        stride_y,
        stride_x,
        pad_before: padding / 2,
    };
    let Some(shape) = output(keys, here, &pool, padding, v.shape) else {
        return Made::nothing();
    };
    let value = l.add(keys, suffix, op(pool), vec![v.tensor], shape);
    let value: Option<Value> = match (antialiasing, value) {
        (0, v) => v,
        (_, None) => None,
        (mode, Some(v)) => conv::blur(l, keys, v, mode, sy, sx),
    };
    Made {
        antialiased: antialiasing != 0,
        ..Made::value(value)
    }
}

/// Lowers a maximum over channels.
fn over_channels(
    l: &mut Lowering<'_>,
    keys: &Keys<'_>,
    suffix: &str,
    v: Value,
    out_channels: usize,
) -> Made {
    if !v.shape.c.is_multiple_of(out_channels) {
        keys.error(
            "out_channels",
            format!(
                "layer {}: {} channels are no multiple of out_channels {out_channels}",
                l.here(),
                v.shape.c
            ),
            "choose a divisor",
        );
        return Made::nothing();
    }
    let shape = Shape::new(v.shape.h, v.shape.w, out_channels);
    let op = Op::MaxPoolDepth { out_channels };
    Made::value(l.add(keys, suffix, op, vec![v.tensor], shape))
}

/// The output's shape, where `padding` counts the pixels of both sides together. Reports windows that do not
/// fit, and returns `None`.
fn output(
    keys: &Keys<'_>,
    here: usize,
    pool: &Pool,
    padding: usize,
    input: Shape,
) -> Option<Shape> {
    let size = pool.size;
    let axis =
        |extent: usize, stride: usize| (extent + padding).checked_sub(size).map(|e| e / stride + 1);
    let (Some(h), Some(w)) = (axis(input.h, pool.stride_y), axis(input.w, pool.stride_x)) else {
        keys.error(
            "size",
            format!(
                "layer {here}: size {size} is larger than its padded input of {} x {}",
                input.h + padding,
                input.w + padding
            ),
            "enlarge the network's input or lower the size",
        );
        return None;
    };
    let outside = |n: usize, stride: usize, extent: usize| {
        pool.pad_before >= size || (n - 1) * stride >= extent + pool.pad_before
    };
    if outside(h, pool.stride_y, input.h) || outside(w, pool.stride_x, input.w) {
        keys.unsupported(
            "padding",
            format!("layer {here}: with size {size} and padding {padding} some windows lie wholly outside the map"),
            "use a padding below size",
        );
        return None;
    }
    Some(Shape::new(h, w, input.c))
}

pub(super) fn maxpool(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    pool(l, keys, "maxpool", Op::MaxPool)
}

pub(super) fn local_avgpool(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    pool(l, keys, "local_avgpool", Op::LocalAvgPool)
}

pub(super) fn avgpool(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let Some(v) = l.previous() else {
        return Made::nothing();
    };
    Made::value(l.add(
        keys,
        "avgpool",
        Op::AvgPool,
        vec![v.tensor],
        Shape::new(1, 1, v.shape.c),
    ))
}
