//! A run of layers as a sub-graph: the tensors that it reads, and those that it makes.

use std::sync::Arc;

use super::{
    axis::{Axis, extent},
    cyclic,
};
use tessera_plan::{
    graph::{Graph, NodeIx, Op, TensorIx},
    region::Span,
};

/// Why layers cannot form a tiled stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Bad {
    /// A layer of a stage of several tiles needs whole maps.
    #[error(
        "layer {layer} [{kind}] needs whole maps, so its stage has one tile: give the stage the grid 1x1, or end the stages at layer {largest}{}",
        alone(*largest)
    )]
    Barrier {
        /// The layer.
        layer: usize,
        /// The layer's section name.
        kind: String,
        /// The largest offload point of stages with several tiles.
        largest: usize,
    },
    /// The layers compute nothing.
    #[error("layers {first} to {last} compute nothing that is needed later; choose other cuts")]
    Empty {
        /// First layer.
        first: usize,
        /// Last layer.
        last: usize,
    },
}

/// What to do where no layer can run on edges.
fn alone(largest: usize) -> &'static str {
    if largest == 0 {
        ", which is everything on the gateway: --offload 0"
    } else {
        ""
    }
}

/// A stage, or the tail, as a sub-graph.
#[derive(Clone, Debug, PartialEq)]
pub struct StageGraph {
    /// First cfg layer.
    pub first_layer: usize,
    /// First cfg layer behind the stage.
    pub end_layer: usize,
    /// Indices of the stage's nodes, in order.
    pub nodes: Vec<NodeIx>,
    /// Tensors that the stage reads and earlier layers make. A tensor of which tiles may need rows that go on at the
    /// map's other end stands twice: for the rows up to the map's end, and for those from its beginning on.
    pub inputs: Vec<TensorIx>,
    /// Tensors that the stage makes, and later nodes or `wanted` ask for.
    pub outputs: Vec<TensorIx>,
    /// Ranges of channels of what the stage makes, one for each tile; empty: tiles have all channels.
    pub ranges: Vec<Span>,
    /// The convolution whose input channels the ranges are: the stage makes a partial sum of it for every range.
    pub sums: Option<NodeIx>,
    /// The network as the stage has it, if it reads partial sums: with nodes that add them.
    pub own: Option<Arc<Graph>>,
}

impl StageGraph {
    /// Layers `first..end` of `graph`. `wanted` are tensors that must leave the stage even if no later layer
    /// reads them.
    pub fn new(graph: &Graph, first: usize, end: usize, wanted: &[TensorIx]) -> Self {
        let inside = |n: NodeIx| (first..end).contains(&graph.nodes[n].layer);
        let nodes: Vec<NodeIx> = graph.node_ixs().filter(|n| inside(*n)).collect();
        let made_inside = |t: TensorIx| t.producer().is_some_and(inside);
        let mut inputs: Vec<TensorIx> = nodes
            .iter()
            .flat_map(|n| &graph.nodes[*n].inputs)
            .copied()
            .filter(|t| !made_inside(*t))
            .collect();
        inputs.sort_unstable();
        inputs.dedup();
        let twice = cyclic_inputs(graph, &nodes, &inputs);
        inputs.extend(twice);
        inputs.sort_unstable();
        let read_later = |t: TensorIx| {
            graph
                .nodes
                .iter()
                .any(|n| n.layer >= end && n.inputs.contains(&t))
        };
        let outputs = nodes
            .iter()
            .map(|n| TensorIx::node(*n))
            .filter(|t| wanted.contains(t) || read_later(*t))
            .collect();
        Self {
            first_layer: first,
            end_layer: end,
            nodes,
            inputs,
            outputs,
            ranges: Vec::new(),
            sums: None,
            own: None,
        }
    }

    /// The network as the stage has it.
    pub fn network<'a>(&'a self, graph: &'a Graph) -> &'a Graph {
        self.own.as_deref().unwrap_or(graph)
    }

    /// Checks that the stage can be cut into several tiles.
    ///
    /// # Errors
    /// When a layer needs whole maps.
    pub fn check_tiled(&self, graph: &Graph) -> Result<(), Bad> {
        if let Some(n) = self.nodes.iter().find(|n| !graph.nodes[**n].op.is_local()) {
            let layer = graph.nodes[*n].layer;
            let largest = first_barrier(graph).unwrap_or(layer);
            return Err(Bad::Barrier {
                layer,
                kind: graph.layers[layer].kind.clone(),
                largest,
            });
        }
        Ok(())
    }

    /// Checks that the stage computes something.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_busy(&self) -> Result<(), Bad> {
        if self.outputs.is_empty() {
            return Err(Bad::Empty {
                first: self.first_layer,
                last: self.end_layer.saturating_sub(1),
            });
        }
        Ok(())
    }
}

/// Those of `inputs` that a reorg among `nodes` reads, itself or through layers that make each row out of the same row.
fn cyclic_inputs(graph: &Graph, nodes: &[NodeIx], inputs: &[TensorIx]) -> Vec<TensorIx> {
    let mut read: std::collections::BTreeSet<TensorIx> = std::collections::BTreeSet::new();
    for n in nodes.iter().rev() {
        let node = &graph.nodes[*n];
        let starts = matches!(node.op, Op::Reorg { reverse: false, .. });
        if starts || cyclic::is_row_wise(node) && read.contains(&TensorIx::node(*n)) {
            read.extend(&node.inputs);
        }
    }
    let among = inputs.iter().copied();
    among.filter(|t| read.contains(t)).collect()
}

/// First layer with an operation that cannot be tiled.
pub fn first_barrier(graph: &Graph) -> Option<usize> {
    graph
        .nodes
        .iter()
        .filter(|n| !n.op.is_local())
        .map(|n| n.layer)
        .min()
}

/// Number of rows or columns of the coarsest output.
pub fn coarsest(graph: &Graph, stage: &StageGraph, axis: Axis) -> usize {
    stage
        .outputs
        .iter()
        .map(|t| extent(graph, *t, axis))
        .min()
        .unwrap_or(0)
}
