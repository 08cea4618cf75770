//! Cuts of networks into stages, for tests.

use tessera_plan::graph::{Graph, TensorIx};

/// Largest offload point: all layers before it can be tiled.
pub fn deepest(graph: &Graph) -> usize {
    tessera_planner::ftp::first_barrier(graph).unwrap_or(graph.layers.len())
}

/// Ends of the shortest possible stages of layers `0..end`: one layer each, or several where a layer makes
/// nothing that later layers read.
pub fn every(graph: &Graph, end: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = Vec::new();
    for at in 1..=end {
        if computes(graph, ends.last().copied().unwrap_or(0), at) {
            ends.push(at);
        }
    }
    ends
}

/// True if layers `first..end` make a tensor that later layers read, or an output of the network.
pub fn computes(graph: &Graph, first: usize, end: usize) -> bool {
    let made = |t: &TensorIx| {
        t.producer()
            .is_some_and(|n| (first..end).contains(&graph.nodes[n].layer))
    };
    graph.outputs.iter().any(made)
        || graph
            .nodes
            .iter()
            .any(|n| n.layer >= end && n.inputs.iter().any(made))
}
