//! What a tile needs of every tensor of its stage: halos, added up from the outputs back to the inputs.

use std::collections::BTreeMap;

use super::{
    StageGraph,
    axis::{Axis, extent},
    halo,
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    region::Span,
};

/// The range of every tensor that a tile needs, along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Ranges by tensor; tensors that are not needed are missing.
    pub spans: BTreeMap<TensorIx, Span>,
}

impl Trace {
    /// The range of a tensor; empty when it is not needed.
    pub fn span(&self, t: TensorIx) -> Span {
        self.spans.get(&t).copied().unwrap_or(Span::new(0, 0))
    }
}

impl StageGraph {
    /// Traces ranges of the stage's outputs (one per output, in order) back through its nodes, along one axis. Where
    /// a tensor has several readers, its range is the union of what they need.
    pub fn trace(&self, graph: &Graph, axis: Axis, outputs: &[Span]) -> Trace {
        let mut spans: BTreeMap<TensorIx, Span> = BTreeMap::new();
        for (t, s) in self.outputs.iter().zip(outputs) {
            spans.insert(*t, *s);
        }
        for &n in self.nodes.iter().rev() {
            let node = &graph.nodes[n];
            let Some(out) = spans
                .get(&TensorIx::node(n))
                .copied()
                .filter(|s| !s.is_empty())
            else {
                continue;
            };
            for (k, &t) in node.inputs.iter().enumerate() {
                let range = halo::input_range(node, k, out, axis, extent(graph, t, axis)).span;
                spans
                    .entry(t)
                    .and_modify(|s| *s = s.join(range))
                    .or_insert(range);
            }
        }
        Trace { spans }
    }
}
