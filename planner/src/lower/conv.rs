//! `[convolutional]` (Darknet `convolutional_layer.c`, `docs/darknet.md#convolutional`).

use super::{Lowering, Made, Value};
use crate::cfg::keys::Keys;
use tessera_plan::{
    graph::{Activation, Conv, Op, Stored, WeightSource},
    region::Shape,
};

/// What `share_index` requires to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Layer that owns the weights.
    pub layer: usize,
    pub filters: usize,
    pub size: usize,
    pub cin: usize,
    pub groups: usize,
}

pub(super) fn conv(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let n = keys.size("filters", 1, 1);
    let size = keys.size("size", 1, 1);
    let stride = keys.size("stride", 1, 1);
    let axis = |key: &'static str| match keys.int(key, -1) {
        s if s < 1 => stride,
        s => usize::try_from(s).ok(),
    };
    let (stride_x, stride_y) = (axis("stride_x"), axis("stride_y"));
    let pad_flag = keys.flag("pad");
    let padding = keys.size("padding", 0, 0);
    let dilation = keys.size("dilation", 1, 1);
    let groups = usize::try_from(keys.int("groups", 1).max(1)).ok();
    if keys.text("groups").is_some() && keys.int("groups", 1) < 1 {
        keys.error(
            "groups",
            "`groups` must be at least 1",
            "delete the key for an ordinary convolution",
        );
    }
    let batch_norm = keys.flag("batch_normalize") || keys.flag("cbn");
    if keys.flag("dontloadscales") && batch_norm {
        keys.unsupported(
            "dontloadscales",
            "`dontloadscales=1` with batch norm: the file holds no statistics to normalise with (Darknet divides by a variance of 0)",
            "delete the key if the weights file holds them",
        );
    }
    let flipped = keys.flag("flipped");
    let activation = keys.activation(Activation::Logistic);
    let antialiasing = keys.int("antialiasing", 0);
    for key in ["xnor", "bin_output"] {
        if keys.flag(key) {
            keys.unsupported(
                key,
                format!("`{key}=1`: binary (xnor) networks are not supported"),
                "use the float version of this network",
            );
        }
    }
    let share = keys
        .text("share_index")
        .map(|_| keys.int("share_index", -1));
    let (
        Some(n),
        Some(size),
        Some(sx),
        Some(sy),
        Some(padding),
        Some(dilation),
        Some(groups),
        Some(input),
    ) = (
        n,
        size,
        stride_x,
        stride_y,
        padding,
        dilation,
        groups,
        l.previous(),
    )
    else {
        return Made::nothing();
    };
    let here = l.here();
    let dilation = if size == 1 { 1 } else { dilation };
    let p = if pad_flag { size / 2 } else { padding };
    let c = input.shape.c;
    if c % groups != 0 || n % groups != 0 {
        keys.error(
            "groups",
            format!("layer {here}: {groups} groups divide neither or only one of {c} input channels and {n} filters"),
            "channels and filters must both be multiples of groups",
        );
        return Made::nothing();
    }
    if dilation > 1 && 2 * p != size - 1 {
        keys.unsupported(
            "dilation",
            format!("layer {here}: dilation {dilation} with size {size} and padding {p}: Darknet's own sizes disagree there"),
            "use an odd size with pad=1",
        );
        return Made::nothing();
    }
    if p > 0 && p * dilation > (size - 1) * dilation {
        keys.unsupported(
            "padding",
            format!("layer {here}: padding {p} with size {size}: some windows lie wholly outside the map"),
            "use a padding below size",
        );
        return Made::nothing();
    }
    let (stride_x, stride_y) = if antialiasing != 0 { (1, 1) } else { (sx, sy) };
    let axis =
        |extent: usize, stride: usize| (extent + 2 * p).checked_sub(size).map(|v| v / stride + 1);
    let (Some(oh), Some(ow)) = (axis(input.shape.h, stride_y), axis(input.shape.w, stride_x))
    else {
        keys.error(
            "size",
            format!(
                "layer {here}: size {size} is larger than its padded input of {} x {}",
                input.shape.h + 2 * p,
                input.shape.w + 2 * p
            ),
            "enlarge the network's input or use pad=1",
        );
        return Made::nothing();
    };
    let mine = Shared {
        layer: here,
        filters: n,
        size,
        cin: c,
        groups,
    };
    let (owner, stored) = match share {
        None => {
            let k = size
                .checked_mul(size)
                .and_then(|n| n.checked_mul(c / groups));
            let Some(k) = k else {
                too_large(keys, here);
                return Made::nothing();
            };
            (
                mine,
                Stored::Conv {
                    n,
                    k,
                    batch_norm,
                    flipped,
                },
            )
        }
        Some(index) => match shared(l, keys, index, mine) {
            Some(owner) => (owner, Stored::Nothing),
            None => return Made::nothing(),
        },
    };
    let op = Op::Conv(Conv {
        size,
        stride_y,
        stride_x,
        pad: p * dilation,
        dilation,
        groups,
        activation,
        source: WeightSource::Layer(owner.layer),
    });
    let shape = Shape::new(oh, ow, n);
    let value = l.add(keys, "conv", op, vec![input.tensor], shape);
    let macs = [oh, ow, n, c / groups, size, size]
        .iter()
        .fold(1u64, |product, f| product.saturating_mul(*f as u64));
    let value = match (antialiasing, value) {
        (0, v) => v,
        (_, None) => None,
        (mode, Some(v)) => blur(l, keys, v, mode, sy, sx),
    };
    Made {
        value,
        stored,
        macs,
        conv: Some(owner),
        antialiased: antialiasing != 0,
    }
}

fn too_large(keys: &Keys<'_>, here: usize) {
    keys.error(
        "size",
        format!("layer {here}: its windows are too large"),
        "correct size or filters",
    );
}

fn shared(l: &Lowering<'_>, keys: &Keys<'_>, index: i64, mine: Shared) -> Option<Shared> {
    let (to, _) = super::refs::layer(l, keys, "share_index", index)?;
    let Some(theirs) = l.layers[to].conv else {
        keys.error(
            "share_index",
            format!(
                "layer {} shares weights with layer {to}, which is no convolution",
                l.here()
            ),
            "point at a [convolutional] layer",
        );
        return None;
    };
    if (theirs.filters, theirs.size, theirs.cin, theirs.groups)
        != (mine.filters, mine.size, mine.cin, mine.groups)
    {
        keys.error(
            "share_index",
            format!("layer {} shares weights with layer {to}, but filters, size, channels or groups differ", l.here()),
            "both must have equal filters, size, groups and input channels",
        );
        return None;
    }
    Some(theirs)
}

/// The blur of `antialiasing`: 1 is a 3x3 binomial with padding 1, 2 a 2x2 mean without padding.
pub(super) fn blur(
    l: &mut Lowering<'_>,
    keys: &Keys<'_>,
    v: Value,
    mode: i64,
    stride_y: usize,
    stride_x: usize,
) -> Option<Value> {
    let (size, pad) = match mode {
        1 => (3, 1),
        2 => (2, 0),
        _ => {
            keys.error(
                "antialiasing",
                format!("`antialiasing={mode}` is unknown"),
                "1 (3x3) or 2 (2x2)",
            );
            return None;
        }
    };
    let axis =
        |extent: usize, stride: usize| (extent + 2 * pad).checked_sub(size).map(|e| e / stride + 1);
    let (Some(oh), Some(ow)) = (axis(v.shape.h, stride_y), axis(v.shape.w, stride_x)) else {
        keys.error(
            "antialiasing",
            "the map is too small to be blurred",
            "enlarge the network's input",
        );
        return None;
    };
    let op = Op::Conv(Conv {
        size,
        stride_y,
        stride_x,
        pad,
        dilation: 1,
        groups: v.shape.c,
        activation: Activation::Linear,
        source: WeightSource::Blur,
    });
    l.add(
        keys,
        "blur",
        op,
        vec![v.tensor],
        Shape::new(oh, ow, v.shape.c),
    )
}
