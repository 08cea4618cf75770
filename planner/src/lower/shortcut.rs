//! `[shortcut]`: sums of layers (`docs/darknet.md#shortcut`).

use super::{Lowering, Made, Value, refs};
use crate::cfg::{
    diag::{Diagnostic, Severity},
    keys::Keys,
};
use tessera_plan::graph::{Activation, Darknet, Normalization, Op, ShortcutKind, Stored};

pub(super) fn shortcut(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let asked = Asked::read(keys);
    if asked.from.is_empty() {
        keys.error(
            "from",
            format!("layer {} [shortcut] has no `from`", l.here()),
            "name the layer to add, as in from=-3",
        );
        return Made::nothing();
    }
    let (Some(found), Some(first)) = (refs::layers(l, keys, "from", &asked.from), l.previous())
    else {
        return Made::nothing();
    };
    let Some((kind, stored)) = kind(l, keys, &asked, first, &found) else {
        return Made::nothing();
    };
    let others = found.iter().map(|(_, v)| v.tensor);
    let value = l.add(
        keys,
        "shortcut",
        Op::Shortcut {
            kind,
            activation: asked.activation,
        },
        [first.tensor].into_iter().chain(others).collect(),
        first.shape,
    );
    Made {
        stored,
        ..Made::value(value)
    }
}

/// Values of the section's keys.
struct Asked {
    from: Vec<i64>,
    activation: Activation,
    /// For weighted sums: true if every channel has its own weight. `None` for other sums.
    per_channel: Option<bool>,
    normalization: Normalization,
    /// Factors of the previous layer and of the added one.
    alpha: f32,
    beta: f32,
}

impl Asked {
    fn read(keys: &Keys<'_>) -> Self {
        Self {
            from: keys.ints("from"),
            activation: keys.activation(Activation::Linear),
            per_channel: keys.choice(
                "weights_type",
                &[
                    ("none", None),
                    ("per_feature", Some(false)),
                    ("per_layer", Some(false)),
                    ("per_channel", Some(true)),
                ],
            ),
            normalization: keys.choice(
                "weights_normalization",
                &[
                    ("none", Normalization::None),
                    ("relu", Normalization::Relu),
                    ("avg_relu", Normalization::Relu),
                    ("softmax", Normalization::Softmax),
                ],
            ),
            alpha: keys.float("alpha", 1.0),
            beta: keys.float("beta", 1.0),
        }
    }
}

/// The sum that the shapes of the previous layer (`first`) and of the added layers allow, and the sum's
/// stored weights. `None` after an error.
fn kind(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    asked: &Asked,
    first: Value,
    found: &[(usize, Value)],
) -> Option<(ShortcutKind, Stored)> {
    if let Some(per_channel) = asked.per_channel {
        if found.iter().any(|(_, v)| v.shape != first.shape) {
            keys.unsupported(
                "weights_type",
                format!(
                    "layer {}: a weighted shortcut needs layers of one shape",
                    l.here()
                ),
                "make the shapes equal",
            );
            return None;
        }
        let stored = Stored::Shortcut {
            inputs: 1 + found.len(),
            c: first.shape.c,
            per_channel,
            normalization: asked.normalization,
        };
        return Some((ShortcutKind::Weighted, stored));
    }
    let side = |v: Value| (v.shape.h, v.shape.w);
    let same_side = found.iter().all(|(_, v)| side(*v) == side(first));
    let is_scaled = (asked.alpha, asked.beta) != (1.0, 1.0);
    let kind = if same_side && !(l.darknet == Darknet::Pjreddie && is_scaled) {
        ShortcutKind::Add
    } else {
        resized(l, keys, first, found, [asked.alpha, asked.beta])?
    };
    Some((kind, Stored::Nothing))
}

/// The original fork's shortcut between maps of different sizes, whose ratio is a whole number.
fn resized(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    first: Value,
    found: &[(usize, Value)],
    [alpha, beta]: [f32; 2],
) -> Option<ShortcutKind> {
    let (to, from) = found[0];
    let (s, o) = (from.shape, first.shape);
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
