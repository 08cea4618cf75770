//! Which pools the convolutions before them do.

use std::collections::BTreeMap;

use super::spec::ChainSpec;
use crate::ftp::{Axis, halo};
use tessera_plan::graph::{Graph, NodeIx, Op, Pool, TensorIx};

/// Convolutions that store the maxima of squares of what they compute, each with its pool: the only
/// reader of a map that nobody else asks for, whose windows lie side by side and wholly inside of it.
pub(super) fn pools_in_kernels(graph: &Graph, spec: &ChainSpec<'_>) -> BTreeMap<NodeIx, NodeIx> {
    let squares = |p: &Pool| (p.size, p.stride_y, p.stride_x) == (2, 2, 2);
    let mut found = BTreeMap::new();
    for &pool in spec.nodes {
        let node = &graph.nodes[pool];
        let (Op::MaxPool(p), [t]) = (&node.op, node.inputs.as_slice()) else {
            continue;
        };
        let Some(conv) = spec.nodes.iter().find(|n| TensorIx::node(**n) == *t) else {
            continue;
        };
        let alone = spec.is_read_once(graph, *t);
        let works = match &graph.nodes[*conv].op {
            Op::Conv(c) => c.activation.is_in_registers(),
            _ => false,
        };
        let (out, held) = (
            spec.made(graph, TensorIx::node(pool)),
            spec.region(graph, *t),
        );
        if out.is_empty() || !(squares(p) && alone && works) {
            continue;
        }
        let shape = graph.shape(*t);
        let inside = [
            (out.y, held.y, Axis::Y, shape.h),
            (out.x, held.x, Axis::X, shape.w),
        ]
        .into_iter()
        .all(|(out, held, axis, extent)| {
            let need = halo::input_range(node, 0, out, axis, extent);
            need.span == held && held.len() == 2 * out.len() && need.before + need.after == 0
        });
        if inside {
            found.insert(*conv, pool);
        }
    }
    found
}
