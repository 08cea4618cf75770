//! The regions of tiles, as plans write them.

use std::collections::BTreeSet;

use super::{
    parts::AxisParts,
    ranges::narrowed,
    reuse::{Part, ReuseStage, ReuseTask},
};
use crate::{
    chain::{self, StripBox},
    ftp::{StageGraph, work::per_pixel},
    wire::Elements,
};
use tessera_plan::{
    graph::{Graph, NodeIx, TensorIx},
    plan::{Border, Split, Stage, Tensor, Tile},
    region::{Region, Shape, Span},
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
                    takes: Vec::new(),
                    gives: Vec::new(),
                    instead_of: None,
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

/// For whom a task makes strips: the tile that it stands in for, the place of the one that takes them, and their numbers.
type Handed = (usize, [usize; 2], Vec<usize>);

/// The same of a stage whose tiles have two colours. Its strips are the plan's tensors from number `first` on.
pub fn reuse_data(
    graph: &Graph,
    stage: &StageGraph,
    reuse: &ReuseStage,
    (grid, split): ([usize; 2], Split),
    first: usize,
) -> Stage {
    let network = stage.network(graph);
    let instead = |t: &&ReuseTask| matches!(t.part, Part::InsteadOf(_));
    let mut handed: Vec<Handed> = Vec::new();
    let mut next = first;
    for task in reuse.tasks.iter().filter(instead) {
        let Part::InsteadOf(maker) = task.part else {
            continue;
        };
        let end = next + task.gives(stage).count();
        handed.push((maker, task.at, (next..end).collect()));
        next = end;
    }
    let mut own = handed.iter();
    let tiles = reuse.tasks.iter().enumerate().map(|(k, task)| {
        let strips = |of: &dyn Fn(&Handed) -> bool| -> Vec<usize> {
            let mine = handed.iter().filter(|h| of(h));
            mine.flat_map(|h| h.2.iter().copied()).collect()
        };
        let gives = match task.part {
            Part::First => strips(&|h| h.0 == k),
            Part::InsteadOf(_) => own.next().map(|h| h.2.clone()).unwrap_or_default(),
            Part::Second => Vec::new(),
        };
        let takes = match task.part {
            Part::Second => strips(&|h| h.1 == task.at),
            _ => Vec::new(),
        };
        let [y, x] = &task.held;
        let inputs = 0..stage.inputs.len();
        let ends = task.ends.iter().take(task.own_outputs(stage));
        let outputs = ends.zip(&stage.outputs).map(|((y, x), t)| Region {
            y: *y,
            x: *x,
            c: Span::new(0, network.shape(*t).c),
        });
        Tile {
            row: task.at[0],
            col: task.at[1],
            class: task.class,
            inputs: inputs
                .map(|k| chain::input_region(network, &stage.inputs, k, y, x))
                .collect(),
            outputs: outputs.collect(),
            home: 0,
            macs: task.macs(network, stage),
            takes,
            gives,
            instead_of: match task.part {
                Part::InsteadOf(maker) => Some(maker),
                _ => None,
            },
        }
    });
    let tiles = tiles.collect();
    Stage {
        first_layer: stage.first_layer,
        end_layer: stage.end_layer,
        grid,
        split,
        border: Border::Reuse,
        inputs: stage.inputs.clone(),
        outputs: stage.outputs.clone(),
        tiles,
    }
}

/// The strips of a stage whose tiles have two colours, as tensors of a plan.
pub fn strip_tensors(
    graph: &Graph,
    stage: &StageGraph,
    reuse: &ReuseStage,
    elements: Elements<'_>,
) -> Vec<Tensor> {
    let network = stage.network(graph);
    let instead = |t: &&ReuseTask| matches!(t.part, Part::InsteadOf(_));
    let strips = reuse
        .tasks
        .iter()
        .filter(instead)
        .flat_map(|t| t.gives(stage));
    let tensor = |s: StripBox| Tensor {
        id: s.tensor,
        layer: s.tensor.producer().map_or(-1, |n| {
            i32::try_from(network.nodes[n].layer).unwrap_or(i32::MAX)
        }),
        shape: Shape::new(s.y.len(), s.x.len(), network.shape(s.tensor).c),
        parts: 1,
        element: elements.strip(s.tensor),
        strip: Some([s.y, s.x]),
        scales: None,
    };
    strips.map(tensor).collect()
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
            strip: None,
            scales: None,
        })
        .collect()
}
