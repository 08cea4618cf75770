//! `[convolutional]` (Darknet `convolutional_layer.c`, `docs/darknet.md#convolutional`).

use super::{Lowering, Made, Value};
use crate::cfg::keys::Keys;
use tessera_plan::{
    graph::{Activation, Conv, Op, Stored, WeightSource},
    region::Shape,
};

/// Geometry of a convolution; `share_index` requires equal geometry of both layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Layer that owns the weights.
    pub layer: usize,
    pub filters: usize,
    pub size: usize,
    pub cin: usize,
    pub groups: usize,
}

/// The numeric keys of a `[convolutional]` section.
struct Numbers {
    filters: usize,
    size: usize,
    stride_y: usize,
    stride_x: usize,
    /// Zero pixels before the map, not yet multiplied by the dilation.
    pad: usize,
    dilation: usize,
    groups: usize,
}

pub(super) fn conv(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let numbers = numbers(keys);
    let batch_norm = batch_norm(keys);
    let flipped = keys.flag("flipped");
    let activation = keys.activation(Activation::Logistic);
    let antialiasing = keys.int("antialiasing", 0);
    refuse_binary(keys);
    let share = keys
        .text("share_index")
        .map(|_| keys.int("share_index", -1));
    let (Some(n), Some(input)) = (numbers, l.previous()) else {
        return Made::nothing();
    };
    if !fits(keys, l.here(), &n, input.shape) {
        return Made::nothing();
    }
    // A blur behind the layer takes its strides.
    let stride = [n.stride_y, n.stride_x];
    let [stride_y, stride_x] = if antialiasing == 0 { stride } else { [1, 1] };
    let Some(shape) = output(keys, l.here(), &n, input.shape, [stride_y, stride_x]) else {
        return Made::nothing();
    };
    let Some((owner, stored)) = weights(l, keys, &n, input.shape.c, share, batch_norm, flipped)
    else {
        return Made::nothing();
    };
    let op = Op::Conv(Conv {
        size: n.size,
        stride_y,
        stride_x,
        pad: n.pad * n.dilation,
        dilation: n.dilation,
        groups: n.groups,
        activation,
        source: WeightSource::Layer(owner.layer),
    });
    let value = l.add(keys, "conv", op, vec![input.tensor], shape);
    let factors = [
        shape.h,
        shape.w,
        n.filters,
        input.shape.c / n.groups,
        n.size,
        n.size,
    ];
    let value = match (antialiasing, value) {
        (0, v) => v,
        (_, None) => None,
        (mode, Some(v)) => blur(l, keys, v, mode, n.stride_y, n.stride_x),
    };
    Made {
        value,
        stored,
        macs: factors
            .iter()
            .fold(1u64, |product, f| product.saturating_mul(*f as u64)),
        conv: Some(owner),
        antialiased: antialiasing != 0,
    }
}

/// Reads all numbers, so that the user sees every error at once; `None` after any error.
fn numbers(keys: &Keys<'_>) -> Option<Numbers> {
    let filters = keys.size("filters", 1, 1);
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
    let (size, padding, dilation) = (size?, padding?, dilation?);
    Some(Numbers {
        filters: filters?,
        size,
        stride_y: stride_y?,
        stride_x: stride_x?,
        pad: if pad_flag { size / 2 } else { padding },
        dilation: if size == 1 { 1 } else { dilation },
        groups: groups?,
    })
}

/// True if the weights file holds batch norm of the layer.
fn batch_norm(keys: &Keys<'_>) -> bool {
    let batch_norm = keys.flag("batch_normalize") || keys.flag("cbn");
    if keys.flag("dontloadscales") && batch_norm {
        keys.unsupported(
            "dontloadscales",
            "`dontloadscales=1` with batch norm: the file holds no statistics to normalise with (Darknet divides by a variance of 0)",
            "delete the key if the weights file holds them",
        );
    }
    batch_norm
}

fn refuse_binary(keys: &Keys<'_>) {
    for key in ["xnor", "bin_output"] {
        if keys.flag(key) {
            keys.unsupported(
                key,
                format!("`{key}=1`: binary (xnor) networks are not supported"),
                "use the float version of this network",
            );
        }
    }
}

/// True if groups, dilation and padding fit each other and the input; reports those that do not.
fn fits(keys: &Keys<'_>, here: usize, n: &Numbers, input: Shape) -> bool {
    let (c, groups) = (input.c, n.groups);
    if [c, n.filters].iter().any(|n| !n.is_multiple_of(groups)) {
        keys.error(
            "groups",
            format!("layer {here}: {groups} groups divide neither or only one of {c} input channels and {} filters", n.filters),
            "channels and filters must both be multiples of groups",
        );
        return false;
    }
    let (size, p, dilation) = (n.size, n.pad, n.dilation);
    if dilation > 1 && 2 * p != size - 1 {
        keys.unsupported(
            "dilation",
            format!("layer {here}: dilation {dilation} with size {size} and padding {p}: Darknet's own sizes disagree there"),
            "use an odd size with pad=1",
        );
        return false;
    }
    if p > 0 && p * dilation > (size - 1) * dilation {
        keys.unsupported(
            "padding",
            format!("layer {here}: padding {p} with size {size}: some windows lie wholly outside the map"),
            "use a padding below size",
        );
        return false;
    }
    true
}

/// The output's shape with strides over rows and columns.
fn output(
    keys: &Keys<'_>,
    here: usize,
    n: &Numbers,
    input: Shape,
    stride: [usize; 2],
) -> Option<Shape> {
    let axis = |extent: usize, stride: usize| {
        let room = (extent + 2 * n.pad).checked_sub(n.size);
        room.map(|v| v / stride + 1)
    };
    let (Some(h), Some(w)) = (axis(input.h, stride[0]), axis(input.w, stride[1])) else {
        keys.error(
            "size",
            format!(
                "layer {here}: size {} is larger than its padded input of {} x {}",
                n.size,
                input.h + 2 * n.pad,
                input.w + 2 * n.pad
            ),
            "enlarge the network's input or use pad=1",
        );
        return None;
    };
    Some(Shape::new(h, w, n.filters))
}

/// The owner of the layer's weights, and the arrays that the weights file holds for the layer.
fn weights(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    n: &Numbers,
    cin: usize,
    share: Option<i64>,
    batch_norm: bool,
    flipped: bool,
) -> Option<(Shared, Stored)> {
    let mine = Shared {
        layer: l.here(),
        filters: n.filters,
        size: n.size,
        cin,
        groups: n.groups,
    };
    if let Some(index) = share {
        return Some((shared(l, keys, index, mine)?, Stored::Nothing));
    }
    let window = n.size.checked_mul(n.size);
    let Some(k) = window.and_then(|taps| taps.checked_mul(cin / n.groups)) else {
        too_large(keys, mine.layer);
        return None;
    };
    let stored = Stored::Conv {
        n: n.filters,
        k,
        batch_norm,
        flipped,
    };
    Some((mine, stored))
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
