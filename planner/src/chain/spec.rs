//! What a chain computes, and how.

use std::collections::BTreeSet;

use crate::{
    ftp::{Axis, Trace, axis::extent, cyclic, halo, phase::phase},
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
    /// The network. A convolution of which a chain makes some channels has the kernel of all of them.
    pub network: &'a Graph,
    /// Channels that the chain makes, if it does not make all.
    pub filters: Option<Span>,
    /// The convolution that sums only these channels, and the network in which its input has the most of them of all
    /// tiles: it chooses the kernel.
    pub sums: Option<(NodeIx, &'a Graph)>,
    /// How kernels are chosen.
    pub kernels: kernel::Wanted<'a>,
    /// How rows move through the chain.
    pub rows: Rows,
    /// Nodes whose weights are not stored transformed, since chains do not agree on their kernel.
    pub apart: &'a BTreeSet<NodeIx>,
    /// Threads that share a firing.
    pub team: usize,
    /// Whether inputs come from other boards, and outputs leave for them, while the chain computes.
    pub streams: bool,
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
    /// The rows and the columns of every tensor that the chain makes itself, where it takes the rest as `strips`.
    pub made: Option<[&'a Trace; 2]>,
    /// Boxes of tensors that the chain loads, and otherwise makes itself. They are inputs behind `inputs`.
    pub strips: &'a [StripBox],
    /// True if every input arrives as one packed map, which can be read in place. That is so for tails.
    pub packed: bool,
}

/// Rows and columns of a tensor that one tile hands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripBox {
    /// The tensor.
    pub tensor: TensorIx,
    /// Rows.
    pub y: Span,
    /// Columns.
    pub x: Span,
}

/// The region of a tensor that traces of rows and columns name, with all channels. Rows may go on at the map's other
/// end ([`cyclic`]).
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

/// The box that input `k` of a stage is, of the tensor that it names: of a tensor that stands twice, the rows up to the
/// map's end, then those from its beginning on.
pub fn input_region(graph: &Graph, inputs: &[TensorIx], k: usize, y: &Trace, x: &Trace) -> Region {
    let t = inputs[k];
    let all = region(graph, t, y, x);
    let run = usize::from(is_second(inputs, k));
    let rows = cyclic::runs(all.y, graph.shape(t).h)[run];
    if rows.is_empty() {
        Region::EMPTY
    } else {
        Region { y: rows, ..all }
    }
}

/// Whether an input names the tensor that the input before it names.
pub(super) fn is_second(inputs: &[TensorIx], k: usize) -> bool {
    k > 0 && inputs[k - 1] == inputs[k]
}

impl ChainSpec<'_> {
    /// Whether a tensor has one reader in the chain, and none behind it.
    pub(super) fn is_read_once(&self, graph: &Graph, t: TensorIx) -> bool {
        let inputs = self.nodes.iter().flat_map(|n| &graph.nodes[*n].inputs);
        inputs.filter(|i| **i == t).count() == 1
            && !self.outputs.contains(&t)
            && !self.has_strips(t)
    }

    /// Whether the chain takes parts of a tensor from others.
    pub(super) fn has_strips(&self, t: TensorIx) -> bool {
        self.strips.iter().any(|s| s.tensor == t)
    }

    /// The rows of a tensor that the chain makes itself.
    pub(super) fn made_y(&self, t: TensorIx) -> Span {
        self.made.map_or(self.y, |[y, _]| y).span(t)
    }

    /// The region of a tensor that the chain makes itself; all channels.
    pub fn made(&self, graph: &Graph, t: TensorIx) -> Region {
        let [y, x] = self.made.unwrap_or([self.y, self.x]);
        region(graph, t, y, x)
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
        let (span, extent) = (trace.span(*t), extent(graph, *t, axis));
        s.extend(cyclic::runs(span, extent).map(Span::len));
    }
    for &n in nodes {
        let node = &graph.nodes[n];
        let out = trace.span(TensorIx::node(n));
        s.extend([out.len(), phase(node, out, axis)]);
        if out.is_empty() {
            continue;
        }
        for (k, &t) in node.inputs.iter().enumerate() {
            let extent = extent(graph, t, axis);
            let need = halo::input_range(node, k, out, axis, extent);
            let at = cyclic::offset(trace.span(t), need.span, extent);
            s.extend([
                // Only a reorg reads rows that do not follow each other, of a whole map.
                at.unwrap_or(usize::MAX),
                need.span.len(),
                need.before,
                need.after,
            ]);
        }
    }
    for (t, e) in outputs.iter().zip(ends) {
        let at = cyclic::offset(trace.span(*t), *e, extent(graph, *t, axis));
        s.extend([at.unwrap_or(0), e.len()]);
    }
    s
}
