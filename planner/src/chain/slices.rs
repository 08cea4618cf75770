//! Which slices of channels are read where they lie.

use std::collections::BTreeMap;

use super::spec::ChainSpec;
use tessera_plan::graph::{Graph, Op, TensorIx};

/// Channels of another tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// The tensor that holds the channels.
    pub of: TensorIx,
    /// First channel.
    pub channel: usize,
}

/// Tensors that are some channels of another one (`[route]` with `groups`) and that convolutions alone read:
/// kernels go from pixel to pixel by all channels of a buffer, whichever they read.
pub(super) fn slices_in_place(graph: &Graph, spec: &ChainSpec<'_>) -> BTreeMap<TensorIx, Slice> {
    let mut found: BTreeMap<TensorIx, Slice> = BTreeMap::new();
    for &n in spec.nodes {
        let (node, t) = (&graph.nodes[n], TensorIx::node(n));
        let (Op::Concat(parts), [of]) = (&node.op, node.inputs.as_slice()) else {
            continue;
        };
        let [part] = parts.as_slice() else { continue };
        let mut readers = (spec.nodes.iter())
            .map(|n| &graph.nodes[*n])
            .filter(|n| n.inputs.contains(&t));
        let by_convolutions = readers.all(|n| matches!(&n.op, Op::Conv(c) if c.groups == 1));
        if by_convolutions
            && !spec.outputs.contains(&t)
            && !spec.has_strips(t)
            && !found.contains_key(of)
        {
            let channel = part.c.lo;
            found.insert(t, Slice { of: *of, channel });
        }
    }
    found
}
