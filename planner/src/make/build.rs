//! Builds a plan: its dataflow, and how every target computes it.

use crate::{
    boards::Kinds,
    cost::{self, LayerTimes, TaskTime},
    error::PlanError,
    estimate::{self, TailTime},
    ftp::StageGraph,
    model::Model,
    options::{PlanOptions, Target},
    stages::{self, AxisParts, Parted, StageCuts},
};
use tessera_plan::{
    dataflow::TaskGraph,
    graph::Graph,
    limits::GATEWAY_EDGE_ID,
    plan::{Board, Dataflow, Plan, SCHEMA_VERSION, Split, Tail},
};
use tessera_plan_text::PlanText;

/// A plan, and the task graph of its dataflow.
pub(super) struct Built {
    pub plan: Plan,
    pub tasks: TaskGraph,
}

/// Stages of a plan with their tiles, and what comes behind them.
struct Tiled {
    stages: Vec<StageGraph>,
    /// Rows and columns of tiles, per stage.
    parts: Vec<[AxisParts; 2]>,
    tail: StageGraph,
}

/// Builds the plan of stages and grids.
///
/// # Errors
/// When a stage or grid is impossible, or what would travel is too much.
pub(super) fn build(model: &Model, o: &PlanOptions, cuts: &StageCuts) -> Result<Built, PlanError> {
    let graph = &model.graph;
    let tiled = tile(graph, o, cuts)?;
    let mut dataflow = dataflow(model, o, cuts, &tiled);
    let mut tasks = TaskGraph::of(&dataflow).map_err(|e| PlanError::of_dataflow(e, &dataflow))?;
    let parted = Parted {
        graph,
        stages: &tiled.stages,
        tiled: &tiled.parts,
        tail: &tiled.tail,
        options: o,
    };
    let targets = o.targets();
    let target: std::collections::BTreeMap<_, _> = (targets.iter())
        .map(|t| (t.name().to_string(), parted.target(*t)))
        .collect();
    let times = times(graph, o, &tiled);
    let tail = TailTime::new(graph, &tiled.tail, o);
    let expected = estimate::seconds(&tasks, &times, tail, o);
    let tiles = dataflow.stages.iter_mut().flat_map(|s| &mut s.tiles);
    for ((tile, task), home) in tiles.zip(&mut tasks.tasks).zip(&expected.homes) {
        tile.home = u16::try_from(*home).unwrap_or(0);
        task.home = tile.home;
    }
    let first = target.get(o.target().name());
    let estimates = estimate::estimate(graph, &dataflow, &tasks, first, &expected, o);
    let mut plan = Plan {
        schema: SCHEMA_VERSION,
        hash: String::new(),
        name: crate_name(graph, cuts, &targets),
        command: o.command.clone(),
        network: graph.clone(),
        dataflow,
        target,
        boards: recorded(o),
        estimates,
    };
    plan.hash = plan.content_hash();
    Ok(Built { plan, tasks })
}

/// The boards as the plan records them: edges by their ids, the one on the gateway's board last, then the gateway.
fn recorded(o: &PlanOptions) -> Vec<Board> {
    let edges = (o.boards.iter().zip(1..)).map(|(b, id)| {
        b.recorded(if b.is_gateway {
            usize::from(GATEWAY_EDGE_ID)
        } else {
            id
        })
    });
    edges.chain([o.gateway.recorded(0)]).collect()
}

fn tile(graph: &Graph, o: &PlanOptions, cuts: &StageCuts) -> Result<Tiled, PlanError> {
    let (stages, tail) = stages::stages(graph, &cuts.ends, o.dump)?;
    let grids = stages.iter().zip(&cuts.grids).zip(&cuts.shares);
    let parts = grids
        .map(|((stage, grid), shares)| match shares {
            Some(shares) => stages::grid_parts_by(graph, stage, shares),
            None => stages::grid_parts(graph, stage, *grid, o.split),
        })
        .collect::<Result<_, _>>()?;
    Ok(Tiled {
        stages,
        parts,
        tail,
    })
}

fn dataflow(model: &Model, o: &PlanOptions, cuts: &StageCuts, tiled: &Tiled) -> Dataflow {
    let graph = &model.graph;
    let Tiled {
        stages,
        parts,
        tail,
    } = tiled;
    let outputs = stages.iter().map(|s| s.outputs.as_slice());
    let stages_data = (stages
        .iter()
        .zip(parts)
        .zip(cuts.grids.iter().zip(&cuts.shares)))
    .map(|((stage, [ys, xs]), (grid, shares))| {
        let split = shares.as_ref().map_or(o.split, |_| Split::Speed);
        stages::stage_data(graph, stage, *grid, split, [ys, xs])
    })
    .collect();
    Dataflow {
        digest: hex::encode(model.digest),
        placement: o.placement,
        boards: o.boards.len().max(1),
        tensors: stages::boundary_tensors(graph, outputs, tail, o.stored(graph)),
        stages: stages_data,
        tail: Tail {
            first_layer: tail.first_layer,
            end_layer: tail.end_layer,
            inputs: tail.inputs.clone(),
            outputs: tail.outputs.clone(),
        },
    }
}

/// Times of all tasks, per kind of edge.
fn times(graph: &Graph, o: &PlanOptions, tiled: &Tiled) -> Vec<Vec<TaskTime>> {
    let of_board = |board| {
        let layers = LayerTimes::new(graph, o, board);
        let stages = tiled.stages.iter().zip(&tiled.parts);
        stages
            .flat_map(|(s, [ys, xs])| cost::stage_times(&layers, s, [ys, xs], board))
            .collect()
    };
    Kinds::new(&o.boards)
        .boards
        .into_iter()
        .map(of_board)
        .collect()
}

/// `<model>-<grid>-<target>` as a valid crate name; with several targets, all of them.
fn crate_name(graph: &Graph, cuts: &StageCuts, targets: &[Target]) -> String {
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
    let grid = match cuts.grids.as_slice() {
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
    let targets: Vec<&str> = targets.iter().map(|t| t.name()).collect();
    format!("{}-{grid}-{}", model.trim_matches('-'), targets.join("-"))
}
