//! Layers over whole maps: `[connected]`, `[local]`, `[crop]`, `[softmax]`
//! (`docs/darknet.md#whole-maps`).

use super::{Lowering, Made};
use crate::cfg::keys::Keys;
use tessera_plan::{
    graph::{Activation, Op, Stored},
    region::Shape,
};

pub(super) fn connected(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let output = keys.size("output", 1, 1);
    let activation = keys.activation_elsewhere(Activation::Logistic);
    let batch_norm = keys.flag("batch_normalize");
    let (Some(outputs), Some(v)) = (output, l.previous()) else {
        return Made::nothing();
    };
    let inputs = v.shape.len();
    let value = l.add(
        keys,
        "connected",
        Op::Connected { activation },
        vec![v.tensor],
        Shape::new(1, 1, outputs),
    );
    let macs = (inputs as u64).saturating_mul(outputs as u64);
    Made {
        stored: Stored::Connected {
            inputs,
            outputs,
            batch_norm,
        },
        macs,
        ..Made::value(value)
    }
}

pub(super) fn local(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let n = keys.size("filters", 1, 1);
    let size = keys.size("size", 1, 1);
    let stride = keys.size("stride", 1, 1);
    let pad = keys.size("pad", 0, 0);
    let activation = keys.activation_elsewhere(Activation::Logistic);
    let (Some(n), Some(size), Some(stride), Some(pad), Some(v)) =
        (n, size, stride, pad, l.previous())
    else {
        return Made::nothing();
    };
    let here = l.here();
    if !(pad == 0 || (pad == 1 && size == 3)) {
        keys.unsupported(
            "pad",
            format!(
                "layer {here} [local]: pad={pad} with size {size} is inconsistent in Darknet itself"
            ),
            "pad=0, or pad=1 with size=3",
        );
        return Made::nothing();
    }
    let taken = if pad == 0 { size } else { 1 };
    let axis = |e: usize| e.checked_sub(taken).map(|r| r / stride + 1);
    let (Some(oh), Some(ow)) = (axis(v.shape.h), axis(v.shape.w)) else {
        keys.error(
            "size",
            format!("layer {here} [local]: size {size} is larger than its input"),
            "lower the size",
        );
        return Made::nothing();
    };
    let k = v.shape.c.saturating_mul(size * size);
    let value = l.add(
        keys,
        "local",
        Op::Local {
            size,
            stride,
            pad,
            activation,
        },
        vec![v.tensor],
        Shape::new(oh, ow, n),
    );
    let macs = ((oh * ow) as u64)
        .saturating_mul(n as u64)
        .saturating_mul(k as u64);
    Made {
        stored: Stored::Local {
            positions: oh * ow,
            n,
            k,
        },
        macs,
        ..Made::value(value)
    }
}

pub(super) fn crop(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let h = keys.size("crop_height", 1, 1);
    let w = keys.size("crop_width", 1, 1);
    let adjust = !keys.flag("noadjust");
    let (Some(h), Some(w), Some(v)) = (h, w, l.previous()) else {
        return Made::nothing();
    };
    if h > v.shape.h || w > v.shape.w {
        keys.error(
            "",
            format!(
                "layer {} [crop]: {w} x {h} does not fit into {} x {}",
                l.here(),
                v.shape.w,
                v.shape.h
            ),
            "crop less",
        );
        return Made::nothing();
    }
    let op = Op::Crop {
        y: (v.shape.h - h) / 2,
        x: (v.shape.w - w) / 2,
        adjust,
    };
    Made::value(l.add(
        keys,
        "crop",
        op,
        vec![v.tensor],
        Shape::new(h, w, v.shape.c),
    ))
}

pub(super) fn softmax(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let groups = keys.size("groups", 1, 1);
    let temperature = keys.float("temperature", 1.0);
    let refused = [
        ("tree", keys.text("tree").is_some()),
        ("spatial", keys.flag("spatial")),
    ];
    for (key, set) in refused {
        if set {
            keys.unsupported(
                key,
                format!("[softmax] with `{key}` is not supported"),
                "use a network with a plain softmax",
            );
            return Made::nothing();
        }
    }
    let (Some(groups), Some(v)) = (groups, l.previous()) else {
        return Made::nothing();
    };
    let n = v.shape.len();
    if n % groups != 0 || temperature <= 0.0 {
        keys.error(
            "groups",
            format!(
                "layer {} [softmax]: {n} values in {groups} groups at temperature {temperature}",
                l.here()
            ),
            "groups must divide the values, the temperature be above 0",
        );
        return Made::nothing();
    }
    Made::value(l.add(
        keys,
        "softmax",
        Op::Softmax {
            groups,
            temperature,
        },
        vec![v.tensor],
        Shape::new(1, 1, n),
    ))
}
