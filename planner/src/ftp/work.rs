//! Multiply-adds of layers, tiled and whole.

use tessera_plan::graph::{Graph, NodeIx, Op};

/// Multiply-adds per output pixel of a node.
pub fn per_pixel(graph: &Graph, n: NodeIx) -> u64 {
    let node = &graph.nodes[n];
    match &node.op {
        Op::Conv(c) => {
            let cin = graph.shape(node.inputs[0]).c / c.groups;
            (cin * c.size * c.size * node.shape.c) as u64
        }
        Op::Local { size, .. } => {
            (graph.shape(node.inputs[0]).c * size * size * node.shape.c) as u64
        }
        Op::Connected { .. } => (graph.shape(node.inputs[0]).len() * node.shape.c) as u64,
        _ => 0,
    }
}

/// Multiply-adds of layers `first..end` on whole maps.
pub fn untiled_macs(graph: &Graph, first: usize, end: usize) -> u64 {
    graph
        .node_ixs()
        .filter(|n| (first..end).contains(&graph.nodes[*n].layer))
        .map(|n| per_pixel(graph, n) * (graph.nodes[n].shape.h * graph.nodes[n].shape.w) as u64)
        .sum()
}

/// The redundancy of tiles that take `macs` multiply-adds together: relative to layers `0..offload` on whole
/// maps.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
pub fn redundancy(graph: &Graph, macs: u64, offload: usize) -> f64 {
    match untiled_macs(graph, 0, offload) {
        0 => 1.0,
        untiled => macs as f64 / untiled as f64,
    }
}
