//! Seconds of a given plan's tasks on a board.

use tessera_plan::{
    graph::Graph,
    plan::{Border, Plan, Stage, Tile},
};

use crate::{
    boards::Board,
    cost::{self, LayerTimes, TaskTime},
    ftp::{Axis, StageGraph, axis::extent, stage::coarsest, work::untiled_macs},
    options::PlanOptions,
    stages::{self, AxisParts, ReuseStage},
};

/// Times of all tasks of a plan on a board, by the board's costs.
pub fn times(graph: &Graph, o: &PlanOptions, plan: &Plan, board: &Board) -> Vec<TaskTime> {
    let layers = LayerTimes::new(graph, o, board);
    let wanted = stages::wanted(graph, o.dump);
    let of_stage = |stage: &Stage| {
        let layered = StageGraph::new(graph, stage.first_layer, stage.end_layer, &wanted);
        let again = parts(graph, &layered, stage);
        again.map_or_else(
            || by_macs(graph, o, board, stage, &layered),
            |[ys, xs]| {
                let reuses = stage.border == Border::Reuse;
                let reuse = reuses.then(|| ReuseStage::new(graph, &layered, [&ys, &xs]).ok());
                match reuse.flatten() {
                    Some(reuse) => cost::reuse_times(&layers, &layered, &reuse, board),
                    None => cost::stage_times(&layers, &layered, [&ys, &xs], board),
                }
            },
        )
    };
    plan.dataflow.stages.iter().flat_map(of_stage).collect()
}

/// The rows and columns of a stage's tiles, found again in the plan; `None` where the plan cuts otherwise than by rows and
/// columns.
fn parts(graph: &Graph, layered: &StageGraph, stage: &Stage) -> Option<[AxisParts; 2]> {
    if layered.outputs != stage.outputs {
        return None;
    }
    let axis = |axis: Axis| {
        let base = coarsest(graph, layered, axis);
        let at = |t| extent(graph, t, axis) == base;
        let coarse = stage.outputs.iter().position(|t| at(*t))?;
        let mut cut = vec![0];
        let mut tiles: Vec<&Tile> = stage
            .tiles
            .iter()
            .filter(|t| t.instead_of.is_none())
            .collect();
        tiles.sort_by_key(|t| (t.row, t.col));
        for tile in tiles {
            let region = tile.outputs.get(coarse)?;
            let (other, span) = match axis {
                Axis::Y => (tile.col, region.y),
                Axis::X => (tile.row, region.x),
            };
            if other == 0 {
                cut.push(span.hi);
            }
        }
        let rises = cut.windows(2).all(|w| w[0] < w[1]) && cut.last() == Some(&base);
        rises.then(|| stages::of_cut(graph, layered, axis, &cut))
    };
    let [ys, xs] = [axis(Axis::Y)?, axis(Axis::X)?];
    let how = (stage.split, stage.border);
    let again = match stage.border {
        Border::Reuse => {
            let reuse = ReuseStage::new(graph, layered, [&ys, &xs]).ok()?;
            stages::reuse_data(graph, layered, &reuse, (stage.grid, stage.split), 0)
        }
        Border::Recompute | Border::Exchange => {
            stages::stage_data(graph, layered, stage.grid, how, [&ys, &xs])
        }
    };
    let macs = |s: &Stage| s.tiles.iter().map(|t| t.macs).collect::<Vec<_>>();
    (macs(&again) == macs(stage)).then_some([ys, xs])
}

/// Times of a stage's tiles by their parts of the stage's multiply-adds.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn by_macs(
    graph: &Graph,
    o: &PlanOptions,
    board: &Board,
    stage: &Stage,
    layered: &StageGraph,
) -> Vec<TaskTime> {
    let whole_s = cost::tail_s(graph, layered, o, board);
    let all: u64 = untiled_macs(graph, stage.first_layer, stage.end_layer);
    let time = |tile: &Tile| {
        let one_thread_s = whole_s * tile.macs as f64 / all.max(1) as f64;
        let threads = board.threads(stage.tiles.len() == 1);
        TaskTime {
            seconds: board.shared_s(one_thread_s, threads) + board.task_overhead_s / board.share,
            threads,
            one_thread_s,
        }
    };
    stage.tiles.iter().map(time).collect()
}
