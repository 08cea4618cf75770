//! Rules of detection heads: they decode what a detection layer of the network makes.

use super::{Rule, is_before, rule};
use crate::graph::{Graph, Head, HeadKind, NmsKind, Op, TensorIx};

pub(super) fn heads(g: &Graph) -> Rule {
    for (i, h) in g.heads.iter().enumerate() {
        let at = || format!("network, head {i}");
        rule(
            h.layer < g.layers.len() && g.outputs.contains(&h.tensor),
            &at,
            "decodes an output of the network",
        )?;
        rule(
            h.tensor != TensorIx::INPUT
                && is_before(h.tensor, g.nodes.len())
                && g.shape(h.tensor) == h.shape
                && is_made(g, h),
            &at,
            "decodes another layer than its map's",
        )?;
        let beta = match h.nms {
            NmsKind::Default | NmsKind::Greedy => 0.0,
            NmsKind::Diou { beta } => beta,
        };
        let sides = h.anchors.iter().flat_map(|(w, h)| [w, h]);
        rule(
            sides.chain([&beta]).all(|v| v.is_finite()),
            &at,
            "has parameters that are no numbers",
        )?;
    }
    Ok(())
}

/// Whether the operation that makes a head's map has the head's parameters.
fn is_made(g: &Graph, h: &Head) -> bool {
    let op = h.tensor.producer().map(|n| &g.nodes[n].op);
    let anchors = h.anchors.len();
    match (h.kind, op) {
        (
            HeadKind::Yolo { new_coords },
            Some(Op::Yolo {
                masks,
                classes,
                new_coords: made,
                ..
            }),
        ) => (*masks, *classes, *made) == (anchors, h.classes, new_coords),
        (HeadKind::Gaussian { point }, Some(Op::GaussianYolo { masks, classes, .. })) => {
            (-1..=1).contains(&point) && (*masks, *classes) == (anchors, h.classes)
        }
        (HeadKind::Region, Some(Op::Region { num, classes, .. })) => {
            (*num, *classes) == (anchors, h.classes)
        }
        (
            HeadKind::Detection { side, num, .. },
            Some(Op::Detection {
                side: cells,
                num: boxes,
                classes,
                ..
            }),
        ) => (*cells, *boxes, *classes, 0) == (side, num, h.classes, anchors),
        _ => false,
    }
}
