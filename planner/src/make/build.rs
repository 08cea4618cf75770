//! The dataflow part of a plan, and the plan around it.

use super::{Parts, PlanError, Shape, grid_parts, stages, target::Parted};
use crate::{
    chain, estimate,
    ftp::{StageGraph, cuts},
    model::Model,
    options::{PlanOptions, Target},
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Border, Dataflow, ElementType, Plan, SCHEMA_VERSION, Stage, Tail, Tensor, Tile},
    region::{Region, Span},
};

/// Builds the whole plan of a shape.
///
/// # Errors
/// When a stage or grid is impossible.
pub fn build(model: &Model, options: &PlanOptions, shape: &Shape) -> Result<Plan, PlanError> {
    let graph = &model.graph;
    let (stages, tail) = stages(graph, &shape.cuts, options.dump)?;
    let mut dataflow_stages = Vec::new();
    let mut tiled = Vec::new();
    for (stage, &[rows, cols]) in stages.iter().zip(&shape.grids) {
        let (ys, xs) = grid_parts(graph, stage, [rows, cols], options.split)?;
        dataflow_stages.push(stage_data(graph, stage, [rows, cols], options, &ys, &xs));
        tiled.push((ys, xs));
    }
    let parted = Parted {
        graph,
        stages: &stages,
        tiled: &tiled,
        tail: &tail,
        options,
    };
    let target = options
        .targets
        .iter()
        .map(|t| (t.name().to_string(), parted.target(*t)))
        .collect();
    let dataflow = Dataflow {
        model: graph.name.clone(),
        digest: hex::encode(model.digest),
        darknet: graph.darknet,
        input: graph.input,
        tensors: tensors(graph, &stages, &tail),
        stages: dataflow_stages,
        tail: Tail {
            first_layer: tail.first_layer,
            end_layer: tail.end_layer,
            inputs: tail.inputs.clone(),
            outputs: tail.outputs.clone(),
        },
    };
    let mut plan = Plan {
        schema: SCHEMA_VERSION,
        hash: dataflow.hash(),
        name: crate_name(
            graph,
            shape,
            options.targets.first().copied().unwrap_or(Target::Portable),
        ),
        command: options.command.clone(),
        dataflow,
        target,
        estimates: tessera_plan::plan::Estimates::default(),
    };
    plan.estimates = estimate::estimate(graph, &plan, options);
    Ok(plan)
}

pub(crate) fn stage_data(
    graph: &Graph,
    stage: &StageGraph,
    grid: [usize; 2],
    options: &PlanOptions,
    ys: &Parts,
    xs: &Parts,
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
                    cuts::per_pixel(graph, n) * (ty.span(t).len() * tx.span(t).len()) as u64
                })
                .sum();
            tiles.push(Tile {
                row,
                col,
                class: ys.classes[row] * xs.firsts.len() + xs.classes[col],
                inputs: stage
                    .inputs
                    .iter()
                    .map(|t| chain::region(graph, *t, ty, tx))
                    .collect(),
                outputs,
                macs,
            });
        }
    }
    Stage {
        first_layer: stage.first_layer,
        end_layer: stage.end_layer,
        grid,
        split: options.split,
        border: Border::Recompute,
        inputs: stage.inputs.clone(),
        outputs: stage.outputs.clone(),
        tiles,
    }
}

fn tensors(graph: &Graph, stages: &[StageGraph], tail: &StageGraph) -> Vec<Tensor> {
    let mut ids: Vec<TensorIx> = vec![TensorIx::INPUT];
    ids.extend(stages.iter().flat_map(|s| s.outputs.iter().copied()));
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
            element: ElementType::F32,
        })
        .collect()
}

/// `<model>-<grid>-<target>` as a valid crate name.
fn crate_name(graph: &Graph, shape: &Shape, target: Target) -> String {
    let mut model: String = graph
        .name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    model.truncate(64);
    if !model.starts_with(|c: char| c.is_ascii_alphabetic()) {
        model.insert_str(0, "net-");
    }
    let grid = match shape.grids.as_slice() {
        [] => "tail".to_string(),
        [g] => format!("{}x{}", g[0], g[1]),
        all => {
            let list: Vec<String> = all.iter().map(|g| format!("{}x{}", g[0], g[1])).collect();
            if all.windows(2).all(|w| w[0] == w[1]) {
                format!("{}-s{}", list[0], all.len())
            } else {
                list.join("-")
            }
        }
    };
    format!("{}-{grid}-{}", model.trim_matches('-'), target.name())
}
