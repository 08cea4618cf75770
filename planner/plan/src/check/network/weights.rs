//! Rules of what the weights file stores.

use super::{Rule, rule};
use crate::{
    graph::{Conv, Graph, Node, Op, ShortcutKind, Stored, WeightSource},
    limits::VALUES_MAX,
    region::Shape,
};

/// Layers name the sizes of what they store; all of it is smaller than the bound of a weights file.
pub(super) fn layers(g: &Graph) -> Rule {
    let mut sum = 0_usize;
    for (i, l) in g.layers.iter().enumerate() {
        let at = || format!("network, layer {i}");
        rule(
            l.stored.floats() == Some(l.weights),
            &at,
            "stores other arrays than it has weights",
        )?;
        sum = sum.saturating_add(l.weights);
        rule(sum < VALUES_MAX, &at, "too many weights")?;
        // A plan's text holds signed numbers of 64 bits.
        rule(i64::try_from(l.macs).is_ok(), &at, "too many multiply-adds")?;
    }
    Ok(())
}

/// Whether the layer that a node's weights come from stores them; `ins` are the shapes of its inputs.
pub(super) fn are_stored(g: &Graph, n: &Node, ins: &[Shape]) -> bool {
    let (x, out) = (ins[0], n.shape);
    let stored = &g.layers[n.layer].stored;
    match &n.op {
        Op::Conv(c) => conv(g, c, x, out),
        Op::Connected { .. } => matches!(
            stored,
            Stored::Connected { inputs, outputs, .. } if (*inputs, *outputs) == (x.len(), out.c)
        ),
        Op::BatchNorm => matches!(stored, Stored::BatchNorm { c } if *c == out.c),
        Op::Local { size, .. } => {
            let window = (size * size).checked_mul(x.c);
            matches!(
                stored,
                Stored::Local { positions, n, k }
                    if (*positions, *n, Some(*k)) == (out.h * out.w, out.c, window)
            )
        }
        Op::Shortcut {
            kind: ShortcutKind::Weighted,
            ..
        } => matches!(
            stored,
            Stored::Shortcut { inputs, c, .. } if (*inputs, *c) == (ins.len(), out.c)
        ),
        _ => true,
    }
}

fn conv(g: &Graph, c: &Conv, x: Shape, out: Shape) -> bool {
    let WeightSource::Layer(layer) = c.source else {
        return true;
    };
    let window = (c.size * c.size).checked_mul(x.c / c.groups);
    matches!(
        g.layers.get(layer).map(|l| &l.stored),
        Some(Stored::Conv { n, k, .. }) if (*n, Some(*k)) == (out.c, window)
    )
}
