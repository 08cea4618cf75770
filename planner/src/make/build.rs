//! Builds a plan: its dataflow, and how every target computes it.

use std::collections::BTreeMap;

use crate::{
    boards::{self, Kinds},
    cost::{self, LayerTimes, TaskTime},
    error::PlanError,
    estimate::{self, Homes, TailTime},
    ftp::StageGraph,
    memory,
    model::Model,
    options::{PlanOptions, Target},
    stages::{self, AxisParts, Parted, ReuseStage, StageCut, StageCuts},
    whole,
};
use tessera_plan::{
    dataflow::TaskGraph,
    graph::{Graph, TensorIx},
    limits::SOURCE_FRAMES,
    placement::Placement,
    plan::{
        Board, Border, Dataflow, ElementType, Plan, SCHEMA_VERSION, Split, Tail, TargetPlan, Tensor,
    },
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
    /// Tasks of stages whose tiles have two colours, per stage.
    reuse: Vec<Option<ReuseStage>>,
    tail: StageGraph,
}

/// Builds the plan of stages and grids.
///
/// # Errors
/// When a stage or grid is impossible, or what would travel is too much.
pub(super) fn build(
    model: &Model,
    o: &PlanOptions,
    cuts: &StageCuts,
    homes: Homes<'_>,
) -> Result<Built, PlanError> {
    let graph = &model.graph;
    let tiled = tile(graph, o, cuts)?;
    let mut dataflow = dataflow(model, o, cuts, &tiled);
    scale(graph, o, &mut dataflow)?;
    let mut tasks = TaskGraph::of(&dataflow).map_err(|e| PlanError::of_dataflow(e, &dataflow))?;
    let parted = Parted {
        graph,
        stages: &tiled.stages,
        tiled: &tiled.parts,
        reuse: &tiled.reuse,
        tail: &tiled.tail,
        options: o,
    };
    let targets = o.targets();
    let target: BTreeMap<_, _> = (targets.iter())
        .map(|t| (t.name().to_string(), parted.target(*t)))
        .collect();
    if let Some(first) = target.get(o.target().name()) {
        tasks.set_progress(&dataflow, &first.stages);
    }
    let times = times(graph, o, &tiled);
    let tail = TailTime::new(graph, &tiled.tail, o);
    let is_whole = whole::is_whole(graph, cuts, o);
    let (homes, in_flight) = if is_whole {
        let fits = |n: usize| {
            let (needed, limit) = tightest(o, &tasks, &target, true, n);
            needed <= limit
        };
        let wanted = whole::frames_in_flight(o);
        (
            Homes::None,
            (1..=wanted).rev().find(|n| fits(*n)).unwrap_or(1),
        )
    } else {
        (homes, SOURCE_FRAMES)
    };
    dataflow.frames_in_flight = in_flight;
    let expected = estimate::seconds(&tasks, &times, tail, o, homes, in_flight).unwrap_or_default();
    let tiles = dataflow.stages.iter_mut().flat_map(|s| &mut s.tiles);
    for ((tile, task), home) in tiles.zip(&mut tasks.tasks).zip(&expected.homes) {
        tile.home = u16::try_from(*home).unwrap_or(0);
        task.home = tile.home;
    }
    if o.placement == Placement::Share {
        tasks = tasks.shared();
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
        boards: recorded(o, is_whole),
        estimates,
    };
    plan.hash = plan.content_hash();
    Ok(Built { plan, tasks })
}

/// The boards as the plan records them: edges by their ids, the one on the gateway's board last, then the gateway. Ids
/// without gaps: an edge finds its homes by its id.
fn recorded(o: &PlanOptions, is_whole: bool) -> Vec<Board> {
    let edges =
        (o.boards.iter().zip(1..)).map(|(b, id)| b.recorded(id, whole::workers(b, is_whole)));
    edges
        .chain([o.gateway.recorded(0, o.gateway.cores)])
        .collect()
}

/// Bytes that a plan needs on the board that is nearest to its limit, and the limit, where sources have `in_flight` frames
/// in flight.
pub(super) fn tightest(
    o: &PlanOptions,
    tasks: &TaskGraph,
    targets: &BTreeMap<String, TargetPlan>,
    is_whole: bool,
    in_flight: usize,
) -> (u64, u64) {
    let memory = |b: &boards::Board| {
        let target = targets.get(b.target.name());
        target.map(|t| memory::memory(tasks, t, whole::workers(b, is_whole), in_flight))
    };
    let kinds = Kinds::new(&o.boards);
    let of_kind: Vec<_> = kinds.boards.iter().map(|b| memory(b)).collect();
    let gateway = memory(&o.gateway).map_or(0, |m| memory::gateway_bytes(&m));
    let edges = o.boards.iter().zip(&kinds.of).map(|(b, kind)| {
        let needed = of_kind[*kind].as_ref().map_or(0, |m| {
            if b.source {
                memory::source_bytes(m)
            } else {
                memory::edge_bytes(m)
            }
        });
        // The gateway's board has its edge beside it.
        let beside = if b.is_gateway { gateway } else { 0 };
        (needed + beside, b.memory_bytes)
    });
    let limited = o.gateway.memory_bytes.map(|limit| (gateway, Some(limit)));
    memory::tightest(edges.chain(limited))
}

fn tile(graph: &Graph, o: &PlanOptions, cuts: &StageCuts) -> Result<Tiled, PlanError> {
    let (mut stages, mut tail) = stages::stages(graph, &cuts.ends, o.dump)?;
    let (mut parts, mut reuse) = (Vec::new(), Vec::new());
    for (i, grid) in cuts.grids.iter().enumerate() {
        let (stage, later) = match stages[i..].split_first_mut() {
            Some(split) => split,
            None => break,
        };
        let how = StageCut {
            grid: *grid,
            shares: cuts.shares[i].as_ref(),
            border: cuts.borders[i],
            channels: cuts.channels[i],
        };
        let axes = stages::cut_stage(graph, stage, how, o)?;
        let reuses = cuts.borders[i] == Border::Reuse;
        let [ys, xs] = &axes;
        let tasks = reuses.then(|| ReuseStage::new(stage.network(graph), stage, [ys, xs]));
        reuse.push(tasks.transpose()?);
        parts.push(axes);
        if let Some(made) = stage.sums {
            stages::share_sums(graph, made, stage.ranges.len(), later, &mut tail);
        }
    }
    Ok(Tiled {
        stages,
        parts,
        reuse,
        tail,
    })
}

fn dataflow(model: &Model, o: &PlanOptions, cuts: &StageCuts, tiled: &Tiled) -> Dataflow {
    let graph = &model.graph;
    let Tiled {
        stages,
        parts,
        reuse,
        tail,
    } = tiled;
    let outputs = stages.iter().map(|s| s.outputs.as_slice());
    let elements = o.stored(graph);
    let mut tensors = stages::boundary_tensors(graph, outputs, tail, elements);
    let stages_data = (stages
        .iter()
        .zip(parts.iter().zip(reuse))
        .zip(cuts.grids.iter().zip(cuts.shares.iter().zip(&cuts.borders))))
    .map(|((stage, ([ys, xs], reuse)), (grid, (shares, border)))| {
        let split = match shares {
            _ if !stage.ranges.is_empty() => Split::Channels,
            Some(_) if *border != Border::Exchange => Split::Speed,
            _ => o.split,
        };
        if let Some(reuse) = reuse {
            let first = tensors.len();
            tensors.extend(stages::strip_tensors(graph, stage, reuse, elements));
            return stages::reuse_data(graph, stage, reuse, (*grid, split), first);
        }
        stages::stage_data(graph, stage, *grid, (split, *border), [ys, xs])
    })
    .collect();
    let partial = stages
        .iter()
        .filter_map(|s| Some((s.sums?, s.ranges.len())));
    stages::mark_sums(&mut tensors, partial);
    Dataflow {
        digest: hex::encode(model.digest),
        placement: o.placement,
        boards: o.boards.len().max(1),
        frames_in_flight: SOURCE_FRAMES,
        tensors,
        stages: stages_data,
        tail: Tail {
            first_layer: tail.first_layer,
            end_layer: tail.end_layer,
            inputs: tail.inputs.clone(),
            outputs: tail.outputs.clone(),
        },
    }
}

/// Gives tensors of bytes their scales.
fn scale(graph: &Graph, o: &PlanOptions, d: &mut Dataflow) -> Result<(), PlanError> {
    let of_bytes = |t: &&mut Tensor| t.element == ElementType::U8 && t.id != TensorIx::INPUT;
    for t in d.tensors.iter_mut().filter(of_bytes) {
        let ranges = o.ranges.as_ref().ok_or(PlanError::NoRanges)?;
        let scales = ranges.scales(graph, t.id);
        t.scales = Some(scales.ok_or(PlanError::NoRange { layer: t.layer })?);
    }
    Ok(())
}

/// Times of all tasks, per kind of edge.
fn times(graph: &Graph, o: &PlanOptions, tiled: &Tiled) -> Vec<Vec<TaskTime>> {
    let of_board = |board| {
        let layers = LayerTimes::new(graph, o, board);
        let stages = tiled
            .stages
            .iter()
            .zip(tiled.parts.iter().zip(&tiled.reuse));
        stages
            .flat_map(|(s, ([ys, xs], reuse))| match reuse {
                Some(reuse) => cost::reuse_times(&layers, s, reuse, board),
                None => cost::stage_times(&layers, s, [ys, xs], board),
            })
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
    let grid = match cuts.grid_names().as_slice() {
        [] => "tail".to_string(),
        [grid] => grid.clone(),
        all if all.windows(2).all(|w| w[0] == w[1]) => format!("{}-s{}", all[0], all.len()),
        all => all.join("-"),
    };
    let targets: Vec<&str> = targets.iter().map(|t| t.name()).collect();
    format!("{}-{grid}-{}", model.trim_matches('-'), targets.join("-"))
}
