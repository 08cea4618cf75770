//! A run of layers as a sub-graph: what it reads, what it makes, and what a tile of it needs.

use std::collections::BTreeMap;

use super::axis::{self, Axis};
use tessera_plan::{
    graph::{Graph, TensorIx},
    region::Span,
};

/// Why layers cannot form a tiled stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Bad {
    /// A layer needs whole maps.
    #[error(
        "layer {layer} [{kind}] needs whole maps, so it can only run on the gateway; the largest offload point is {largest}"
    )]
    Barrier {
        /// The layer.
        layer: usize,
        /// Its section name.
        kind: String,
        /// Largest offload point.
        largest: usize,
    },
    /// Nothing to compute.
    #[error("layers {first} to {last} compute nothing that is needed later; choose other cuts")]
    Empty {
        /// First layer.
        first: usize,
        /// Last layer.
        last: usize,
    },
}

/// A stage, or the tail, as a sub-graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageGraph {
    /// First cfg layer.
    pub first_layer: usize,
    /// First cfg layer behind.
    pub end_layer: usize,
    /// Its nodes, in order.
    pub nodes: Vec<usize>,
    /// Tensors made before and read here.
    pub inputs: Vec<TensorIx>,
    /// Tensors made here and wanted later, by nodes or by `wanted`.
    pub outputs: Vec<TensorIx>,
}

impl StageGraph {
    /// Layers `first..end` of `graph`; `wanted` are tensors that must leave the stage anyhow.
    pub fn new(graph: &Graph, first: usize, end: usize, wanted: &[TensorIx]) -> Self {
        let inside = |n: usize| (first..end).contains(&graph.nodes[n].layer);
        let nodes: Vec<usize> = (0..graph.nodes.len()).filter(|n| inside(*n)).collect();
        let made_inside = |t: TensorIx| t.producer().is_some_and(inside);
        let mut inputs: Vec<TensorIx> = nodes
            .iter()
            .flat_map(|n| &graph.nodes[*n].inputs)
            .copied()
            .filter(|t| !made_inside(*t))
            .collect();
        inputs.sort_unstable();
        inputs.dedup();
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
        }
    }

    /// Checks that the stage can be tiled.
    ///
    /// # Errors
    /// When a layer needs whole maps or nothing is computed.
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
        if self.outputs.is_empty() {
            return Err(Bad::Empty {
                first: self.first_layer,
                last: self.end_layer.saturating_sub(1),
            });
        }
        Ok(())
    }

    /// Traces ranges of the outputs back through the stage, along one axis.
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
                let need = axis::need(node, k, out, axis, extent(graph, t, axis)).span;
                spans
                    .entry(t)
                    .and_modify(|s| *s = s.join(need))
                    .or_insert(need);
            }
        }
        Trace { spans }
    }
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

/// Rows or columns of a tensor.
pub fn extent(graph: &Graph, t: TensorIx, axis: Axis) -> usize {
    let s = graph.shape(t);
    if axis == Axis::Y { s.h } else { s.w }
}

/// Rows or columns of the coarsest output.
pub fn coarsest(graph: &Graph, stage: &StageGraph, axis: Axis) -> usize {
    stage
        .outputs
        .iter()
        .map(|t| extent(graph, *t, axis))
        .min()
        .unwrap_or(0)
}

/// Which range of every tensor a tile needs, along one axis.
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
