//! What a tile needs of every tensor of its stage: halos, added up from the outputs back to the inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    StageGraph,
    axis::{Axis, extent},
    cyclic, halo,
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    region::Span,
};

/// The range of every tensor that a tile needs, along one axis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Ranges by tensor; tensors that are not needed are missing. Rows may go on at the map's other end
    /// ([`cyclic`]).
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
    /// a tensor has several readers, its range is the union of what they need. Rows that go on at the map's other end
    /// lie side by side in every tensor, or the tensor is whole.
    pub fn trace(&self, graph: &Graph, axis: Axis, outputs: &[Span]) -> Trace {
        let mut whole = BTreeSet::new();
        // Every turn makes one more tensor whole.
        loop {
            let trace = self.trace_but(graph, axis, outputs, &whole);
            match self.torn(graph, axis, &trace) {
                Some(t) => whole.insert(t),
                None => return trace,
            };
        }
    }

    /// A tensor whose rows go on at the map's other end although those that it is made of do not lie side by side.
    fn torn(&self, graph: &Graph, axis: Axis, trace: &Trace) -> Option<TensorIx> {
        let wrapped = self.nodes.iter().filter(|n| {
            let t = TensorIx::node(**n);
            cyclic::wraps(trace.span(t), extent(graph, t, axis))
        });
        let torn = |n: &&_| {
            let node = &graph.nodes[**n];
            let out = trace.span(TensorIx::node(**n));
            node.inputs.iter().enumerate().any(|(k, t)| {
                let extent = extent(graph, *t, axis);
                let need = halo::input_range(node, k, out, axis, extent).span;
                cyclic::offset(trace.span(*t), need, extent).is_none()
            })
        };
        wrapped.into_iter().find(torn).map(|n| TensorIx::node(*n))
    }

    /// The trace with the tensors `whole` computed as whole maps.
    fn trace_but(
        &self,
        graph: &Graph,
        axis: Axis,
        outputs: &[Span],
        whole: &BTreeSet<TensorIx>,
    ) -> Trace {
        let mut spans: BTreeMap<TensorIx, Span> = BTreeMap::new();
        for (t, s) in self.outputs.iter().zip(outputs) {
            spans.insert(*t, *s);
        }
        for &n in self.nodes.iter().rev() {
            let node = &graph.nodes[n];
            let made = TensorIx::node(n);
            let Some(mut out) = spans.get(&made).copied().filter(|s| !s.is_empty()) else {
                continue;
            };
            let rows = extent(graph, made, axis);
            let passes_on = cyclic::is_row_wise(node) && !whole.contains(&made);
            if cyclic::wraps(out, rows) && !passes_on {
                out = Span::new(0, rows);
                spans.insert(made, out);
            }
            for (k, &t) in node.inputs.iter().enumerate() {
                let extent = extent(graph, t, axis);
                let range = halo::input_range(node, k, out, axis, extent).span;
                spans
                    .entry(t)
                    .and_modify(|s| *s = cyclic::join(*s, range, extent))
                    .or_insert(range);
            }
        }
        Trace { spans }
    }
}
