//! What a chain computes, and how.

use std::collections::BTreeSet;

use crate::{
    ftp::{Axis, Trace, axis::extent, halo, phase::phase},
    kernel,
    options::Rows,
    wire::Elements,
};
use tessera_plan::{
    graph::{Graph, NodeIx, TensorIx},
    region::{Region, Span},
};

/// How chains are computed.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// How kernels are chosen.
    pub kernels: kernel::Wanted<'a>,
    /// How rows move through the chain.
    pub rows: Rows,
    /// Nodes whose weights are not stored transformed, since chains do not agree on their kernel.
    pub apart: &'a BTreeSet<NodeIx>,
    /// Threads that share a firing.
    pub team: usize,
    /// How inputs and outputs are stored: only float32 is read or written where it lies.
    pub elements: Elements<'a>,
}

/// What a chain computes.
#[derive(Clone, Copy, Debug)]
pub struct ChainSpec<'a> {
    /// Name of the emitted module.
    pub name: &'a str,
    /// Nodes, in order.
    pub nodes: &'a [NodeIx],
    /// Tensors that the chain loads.
    pub inputs: &'a [TensorIx],
    /// Tensors that the chain stores.
    pub outputs: &'a [TensorIx],
    /// The rows of every tensor that the chain needs.
    pub y: &'a Trace,
    /// The columns of every tensor that the chain needs.
    pub x: &'a Trace,
    /// True if every input arrives as one packed map, which can be read in place. That is so for tails.
    pub packed: bool,
}

/// The region of a tensor that traces of rows and columns name, with all channels.
pub fn region(graph: &Graph, t: TensorIx, y: &Trace, x: &Trace) -> Region {
    let (ys, xs) = (y.span(t), x.span(t));
    if ys.is_empty() || xs.is_empty() {
        let none = Span::new(0, 0);
        return Region {
            y: none,
            x: none,
            c: none,
        };
    }
    Region {
        y: ys,
        x: xs,
        c: Span::new(0, graph.shape(t).c),
    }
}

impl ChainSpec<'_> {
    /// Whether a tensor has one reader in the chain, and none behind it.
    pub(super) fn is_read_once(&self, graph: &Graph, t: TensorIx) -> bool {
        let inputs = self.nodes.iter().flat_map(|n| &graph.nodes[*n].inputs);
        inputs.filter(|i| **i == t).count() == 1 && !self.outputs.contains(&t)
    }

    /// The region of a tensor that the chain holds; all channels.
    pub fn region(&self, graph: &Graph, t: TensorIx) -> Region {
        region(graph, t, self.y, self.x)
    }
}

/// The geometry of a tile along one axis, relative to its own position. Tiles of equal signatures share code.
pub fn signature(
    graph: &Graph,
    nodes: &[NodeIx],
    inputs: &[TensorIx],
    outputs: &[TensorIx],
    ends: &[Span],
    trace: &Trace,
    axis: Axis,
) -> Vec<usize> {
    let mut s = Vec::new();
    for t in inputs {
        s.push(trace.span(*t).len());
    }
    for &n in nodes {
        let node = &graph.nodes[n];
        let out = trace.span(TensorIx::node(n));
        s.extend([out.len(), phase(node, out)]);
        if out.is_empty() {
            continue;
        }
        for (k, &t) in node.inputs.iter().enumerate() {
            let need = halo::input_range(node, k, out, axis, extent(graph, t, axis));
            s.extend([
                need.span.lo - trace.span(t).lo,
                need.span.len(),
                need.before,
                need.after,
            ]);
        }
    }
    for (t, e) in outputs.iter().zip(ends) {
        s.extend([e.lo - trace.span(*t).lo.min(e.lo), e.len()]);
    }
    s
}
