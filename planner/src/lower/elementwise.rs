//! Layers that work value by value, and layers that do nothing at inference.

use super::{Lowering, Made, refs};
use crate::cfg::keys::Keys;
use tessera_plan::graph::{Activation, Op, Stored};

/// Marks keys of layers that do nothing at inference as known.
pub(super) fn ignore_all(keys: &Keys<'_>) {
    for key in [
        "probability",
        "dropblock",
        "type",
        "scale",
        "classes",
        "temperature",
        "steps",
        "itself_truth",
        "filters",
        "size",
        "output",
        "batch_normalize",
        "hidden",
        "activation",
        "stride",
        "pad",
        "padding",
    ] {
        keys.know(key);
    }
}

pub(super) fn sam(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let from = keys.int("from", 0);
    let activation = keys.activation_elsewhere(Activation::Linear);
    if keys.text("from").is_none() {
        keys.error(
            "from",
            format!("layer {} [sam] has no `from`", l.here()),
            "name the layer to multiply with",
        );
        return Made::nothing();
    }
    let (Some((to, f)), Some(v)) = (refs::layer(l, keys, "from", from), l.previous()) else {
        return Made::nothing();
    };
    if f.shape != v.shape {
        keys.error(
            "from",
            format!(
                "layer {} [sam] multiplies with layer {to}, whose shape differs",
                l.here()
            ),
            if (f.shape.h, f.shape.w) == (v.shape.h, v.shape.w) {
                "both maps need the same shape".into()
            } else {
                l.misfit("both maps need the same shape")
            },
        );
        return Made::nothing();
    }
    Made::value(l.add(
        keys,
        "sam",
        Op::Sam { activation },
        vec![v.tensor, f.tensor],
        v.shape,
    ))
}

pub(super) fn scale_channels(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let from = keys.int("from", 0);
    let per_pixel = keys.flag("scale_wh");
    let activation = keys.activation_elsewhere(Activation::Linear);
    if keys.text("from").is_none() {
        keys.error(
            "from",
            format!("layer {} [scale_channels] has no `from`", l.here()),
            "name the layer to scale",
        );
        return Made::nothing();
    }
    let (Some((to, f)), Some(v)) = (refs::layer(l, keys, "from", from), l.previous()) else {
        return Made::nothing();
    };
    let fits = if per_pixel {
        (v.shape.h, v.shape.w, v.shape.c) == (f.shape.h, f.shape.w, 1)
    } else {
        (v.shape.h, v.shape.w, v.shape.c) == (1, 1, f.shape.c)
    };
    if !fits {
        let want = if per_pixel {
            "one channel of its size"
        } else {
            "one value per channel"
        };
        keys.error(
            "from",
            format!(
                "layer {} [scale_channels] scales layer {to}: the layer before must hold {want}",
                l.here()
            ),
            "correct `from` or `scale_wh`",
        );
        return Made::nothing();
    }
    Made::value(l.add(
        keys,
        "scale_channels",
        Op::ScaleChannels {
            per_pixel,
            activation,
        },
        vec![v.tensor, f.tensor],
        f.shape,
    ))
}

pub(super) fn batchnorm(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let Some(v) = l.previous() else {
        return Made::nothing();
    };
    let value = l.add(keys, "batchnorm", Op::BatchNorm, vec![v.tensor], v.shape);
    Made {
        stored: Stored::BatchNorm { c: v.shape.c },
        ..Made::value(value)
    }
}

pub(super) fn activation(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let activation = keys.activation_elsewhere(Activation::Linear);
    let Some(v) = l.previous() else {
        return Made::nothing();
    };
    if activation == Activation::Linear {
        return Made::value(Some(v));
    }
    Made::value(l.add(
        keys,
        "activation",
        Op::Activate(activation),
        vec![v.tensor],
        v.shape,
    ))
}

pub(super) fn lrn(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let size = keys.size("size", 5, 1);
    let (alpha, beta, kappa) = (
        keys.float("alpha", 0.0001),
        keys.float("beta", 0.75),
        keys.float("kappa", 1.0),
    );
    let (Some(size), Some(v)) = (size, l.previous()) else {
        return Made::nothing();
    };
    Made::value(l.add(
        keys,
        "lrn",
        Op::Lrn {
            size,
            alpha,
            beta,
            kappa,
        },
        vec![v.tensor],
        v.shape,
    ))
}
