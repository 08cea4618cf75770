//! What writes among the channels of a concatenation, which then copies nothing.

use std::collections::BTreeMap;

use super::spec::{ChainSpec, region};
use tessera_plan::{
    graph::{Graph, NodeIx, Op, TensorIx},
    region::Span,
};

/// A place among the channels of a concatenation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The node that concatenates.
    pub node: NodeIx,
    /// First channel of its output.
    pub channel: usize,
}

/// Fewest channels of a convolution that writes into a concatenation: all of every kernel's widest block.
const PART_CHANNELS: usize = 32;

/// Convolutions, pools and upsamplings that can write their channels where a concatenation, their only
/// reader, would copy them to; by node.
pub(super) fn parts_in_place(graph: &Graph, spec: &ChainSpec<'_>) -> BTreeMap<NodeIx, Part> {
    // An activation must be the kernel's: a pass over rows would touch other parts.
    let writes = |n: NodeIx| match &graph.nodes[n].op {
        Op::Conv(c) => {
            let wide = graph.nodes[n].shape.c >= PART_CHANNELS;
            wide && c.groups == 1 && c.activation.is_pointwise()
        }
        Op::MaxPool(_) | Op::Upsample { .. } => true,
        _ => false,
    };
    let mut found = BTreeMap::new();
    for &node in spec.nodes {
        let Op::Concat(list) = &graph.nodes[node].op else {
            continue;
        };
        if spec.has_strips(TensorIx::node(node)) {
            continue;
        }
        let out = region(graph, TensorIx::node(node), spec.y, spec.x);
        let mut channel = 0;
        for part in list {
            let t = graph.nodes[node].inputs[part.input];
            let c = graph.shape(t).c;
            let maker = spec.nodes.iter().find(|n| TensorIx::node(**n) == t);
            let whole = part.c == Span::new(0, c) && list.len() > 1;
            let own = region(graph, t, spec.y, spec.x);
            let alike = (own.y, own.x) == (out.y, out.x);
            let alone = spec.is_read_once(graph, t);
            if let Some(&maker) = maker.filter(|n| writes(**n) && whole && alike && alone) {
                found.insert(maker, Part { node, channel });
            }
            channel += part.c.len();
        }
    }
    found
}
