//! `[shortcut]`: sums of layers (`docs/darknet.md#shortcut`).

use super::{Lowering, Made, Value, refs};
use crate::cfg::{
    diag::{Diagnostic, Severity},
    keys::Keys,
};
use tessera_plan::graph::{Activation, Darknet, Normalization, Op, ShortcutKind, Stored};

pub(super) fn shortcut(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let from = keys.ints("from");
    let activation = keys.activation(Activation::Linear);
    let per_channel = keys.choice(
        "weights_type",
        &[
            ("none", None),
            ("per_feature", Some(false)),
            ("per_layer", Some(false)),
            ("per_channel", Some(true)),
        ],
    );
    let normalization = keys.choice(
        "weights_normalization",
        &[
            ("none", Normalization::None),
            ("relu", Normalization::Relu),
            ("avg_relu", Normalization::Relu),
            ("softmax", Normalization::Softmax),
        ],
    );
    let (alpha, beta) = (keys.float("alpha", 1.0), keys.float("beta", 1.0));
    let here = l.here();
    if from.is_empty() {
        keys.error(
            "from",
            format!("layer {here} [shortcut] has no `from`"),
            "name the layer to add, as in from=-3",
        );
        return Made::nothing();
    }
    let found: Vec<_> = from
        .iter()
        .map(|i| refs::layer(l, keys, "from", *i))
        .collect();
    let (Some(found), Some(v0)) = (found.into_iter().collect::<Option<Vec<_>>>(), l.previous())
    else {
        return Made::nothing();
    };
    let mut inputs = vec![v0.tensor];
    inputs.extend(found.iter().map(|(_, v)| v.tensor));
    let same_side = found
        .iter()
        .all(|(_, v)| (v.shape.h, v.shape.w) == (v0.shape.h, v0.shape.w));
    let (kind, stored) = if let Some(per_channel) = per_channel {
        if !found.iter().all(|(_, v)| v.shape == v0.shape) {
            keys.unsupported(
                "weights_type",
                format!("layer {here}: a weighted shortcut needs layers of one shape"),
                "make the shapes equal",
            );
            return Made::nothing();
        }
        let stored = Stored::Shortcut {
            inputs: inputs.len(),
            c: v0.shape.c,
            per_channel,
            normalization,
        };
        (ShortcutKind::Weighted, stored)
    } else if same_side && !(l.darknet == Darknet::Pjreddie && (alpha, beta) != (1.0, 1.0)) {
        (ShortcutKind::Add, Stored::Nothing)
    } else {
        match resized(l, keys, v0, &found, alpha, beta) {
            Some(kind) => (kind, Stored::Nothing),
            None => return Made::nothing(),
        }
    };
    let value = l.add(
        keys,
        "shortcut",
        Op::Shortcut { kind, activation },
        inputs,
        v0.shape,
    );
    Made {
        stored,
        ..Made::value(value)
    }
}

/// The original fork's shortcut between maps of different size, where the ratio is whole.
fn resized(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    v0: Value,
    found: &[(usize, Value)],
    alpha: f32,
    beta: f32,
) -> Option<ShortcutKind> {
    let (to, from) = found[0];
    let (s, o) = (from.shape, v0.shape);
    let down = (s.w / o.w).max(1);
    let up = (o.w / s.w).max(1);
    let agrees = found.len() == 1
        && (s.h / o.h).max(1) == down
        && (o.h / s.h).max(1) == up
        && s.w * up == o.w * down
        && s.h * up == o.h * down;
    if !agrees {
        keys.say(
            Diagnostic::new(
                Severity::Error,
                keys.at("from"),
                format!(
                    "layer {} [shortcut] adds layer {to} of {} x {} to a map of {} x {}",
                    l.here(),
                    s.w,
                    s.h,
                    o.w,
                    o.h
                ),
                "added here",
                l.misfit("width and height must be equal, or one a whole multiple of the other"),
            )
            .with(l.layers[to].span, "this layer"),
        );
        return None;
    }
    Some(ShortcutKind::Resized {
        down,
        up,
        alpha,
        beta,
    })
}
