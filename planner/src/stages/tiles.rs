//! The regions of tiles, as plans write them.

use std::collections::BTreeSet;

use super::parts::AxisParts;
use crate::{
    chain,
    ftp::{StageGraph, work::per_pixel},
    wire::Elements,
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Border, Split, Stage, Tensor, Tile},
    region::{Region, Span},
};

/// A stage of a plan, with the regions of its tiles.
pub fn stage_data(
    graph: &Graph,
    stage: &StageGraph,
    grid: [usize; 2],
    split: Split,
    [ys, xs]: [&AxisParts; 2],
) -> Stage {
    let mut tiles = Vec::new();
    for (row, ty) in ys.traces.iter().enumerate() {
        for (col, tx) in xs.traces.iter().enumerate() {
            let outputs = stage
                .outputs
                .iter()
                .enumerate()
                .map(|(k, t)| Region {
                    y: ys.ends[row][k],
                    x: xs.ends[col][k],
                    c: Span::new(0, graph.shape(*t).c),
                })
                .collect();
            let macs = stage
                .nodes
                .iter()
                .map(|&n| {
                    let t = TensorIx::node(n);
                    per_pixel(graph, n) * (ty.span(t).len() * tx.span(t).len()) as u64
                })
                .sum();
            tiles.push(Tile {
                row,
                col,
                class: ys.classes[row] * xs.firsts.len() + xs.classes[col],
                inputs: (0..stage.inputs.len())
                    .map(|k| chain::input_region(graph, &stage.inputs, k, ty, tx))
                    .collect(),
                outputs,
                home: 0,
                macs,
            });
        }
    }
    Stage {
        first_layer: stage.first_layer,
        end_layer: stage.end_layer,
        grid,
        split,
        border: Border::Recompute,
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
            element: elements.crossing(id, &made),
        })
        .collect()
}
