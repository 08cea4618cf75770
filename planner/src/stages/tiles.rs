//! The regions of tiles, as plans write them.

use std::collections::BTreeSet;

use super::{parts::AxisParts, ranges::narrowed};
use crate::{
    chain,
    ftp::{StageGraph, work::per_pixel},
    wire::Elements,
};
use tessera_plan::{
    graph::{Graph, NodeIx, TensorIx},
    plan::{Border, Split, Stage, Tensor, Tile},
    region::Region,
};

/// A stage of a plan, with the regions of its tiles.
pub fn stage_data(
    graph: &Graph,
    stage: &StageGraph,
    grid: [usize; 2],
    (split, border): (Split, Border),
    [ys, xs]: [&AxisParts; 2],
) -> Stage {
    let parts = narrowed(graph, stage);
    let mut tiles = Vec::new();
    for (row, ty) in ys.traces.iter().enumerate() {
        for (col, tx) in xs.traces.iter().enumerate() {
            for (range, part) in parts.iter().enumerate() {
                let outputs = stage.outputs.iter().enumerate();
                let outputs = outputs.map(|(k, t)| Region {
                    y: ys.ends[row][k],
                    x: xs.ends[col][k],
                    c: part.channels(*t),
                });
                let macs = |n: &NodeIx| {
                    let t = TensorIx::node(*n);
                    per_pixel(&part.graph, *n) * (ty.span(t).len() * tx.span(t).len()) as u64
                };
                let class = ys.classes[row] * xs.firsts.len() + xs.classes[col];
                tiles.push(Tile {
                    row,
                    col: col * parts.len() + range,
                    class: class * parts.len() + range,
                    inputs: (0..stage.inputs.len())
                        .map(|k| chain::input_region(&part.graph, &stage.inputs, k, ty, tx))
                        .collect(),
                    outputs: outputs.collect(),
                    home: 0,
                    macs: stage.nodes.iter().map(macs).sum(),
                });
            }
        }
    }
    Stage {
        first_layer: stage.first_layer,
        end_layer: stage.end_layer,
        grid,
        split,
        border,
        inputs: stage.inputs.clone(),
        outputs: stage.outputs.clone(),
        tiles,
    }
}

/// Tensors that cross a boundary: the input, the outputs of stages, the inputs and outputs of the tail.
pub fn boundary_tensors<'a>(
    graph: &Graph,
    stages: impl IntoIterator<Item = &'a [TensorIx]>,
    tail: &StageGraph,
    elements: Elements<'_>,
) -> Vec<Tensor> {
    let made: BTreeSet<TensorIx> = stages.into_iter().flatten().copied().collect();
    let mut ids: Vec<TensorIx> = vec![TensorIx::INPUT];
    ids.extend(&made);
    ids.extend(&tail.inputs);
    ids.extend(&tail.outputs);
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| Tensor {
            id,
            layer: id.producer().map_or(-1, |n| {
                i32::try_from(graph.nodes[n].layer).unwrap_or(i32::MAX)
            }),
            shape: graph.shape(id),
            parts: 1,
            element: elements.crossing(id, &made),
            scales: None,
        })
        .collect()
}
