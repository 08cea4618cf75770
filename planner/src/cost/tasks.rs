//! Seconds of tasks and tails on boards.

use tessera_plan::graph::Graph;

use super::layers::LayerTimes;
use crate::{
    boards::Board,
    ftp::StageGraph,
    options::PlanOptions,
    stages::{self, AxisParts, ReuseStage},
};

/// Time and threads of a task on a board.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskTime {
    /// Seconds of the task on its threads, with the board's overhead per task.
    pub seconds: f64,
    /// Number of threads that share the task.
    pub threads: usize,
    /// Seconds of the computation by one thread, without overhead.
    pub one_thread_s: f64,
}

/// Times of a stage's tiles on a board, in row-major order. Tiles of one class take the same time.
pub fn stage_times(
    layers: &LayerTimes<'_>,
    stage: &StageGraph,
    [ys, xs]: [&AxisParts; 2],
    board: &Board,
) -> Vec<TaskTime> {
    let parts = stages::narrowed(layers.graph(), stage);
    let threads = board.threads(ys.classes.len() * xs.classes.len() * parts.len() == 1);
    let class = |layers: &LayerTimes<'_>, r: usize, c: usize| {
        let spec = stages::tile_spec(stage, "", [(ys, r), (xs, c)]);
        let one_thread_s = layers.chain_s(&spec);
        TaskTime {
            seconds: board.shared_s(one_thread_s, threads) + board.task_overhead_s / board.share,
            threads,
            one_thread_s,
        }
    };
    let place = |r: usize, c: usize| -> Vec<TaskTime> {
        if stage.ranges.is_empty() && stage.own.is_none() {
            return vec![class(layers, r, c)];
        }
        let of_part = |p: &stages::Narrowed<'_>| class(&layers.on(&p.graph), r, c);
        parts.iter().map(of_part).collect()
    };
    let classes: Vec<Vec<Vec<TaskTime>>> = (ys.firsts.iter())
        .map(|r| xs.firsts.iter().map(|c| place(*r, *c)).collect())
        .collect();
    let rows = ys.classes.iter().map(|y| &classes[*y]);
    rows.flat_map(|row| xs.classes.iter().flat_map(|x| row[*x].clone()))
        .collect()
}

/// Times of the tasks of a stage whose tiles have two colours.
pub fn reuse_times(
    layers: &LayerTimes<'_>,
    stage: &StageGraph,
    reuse: &ReuseStage,
    board: &Board,
) -> Vec<TaskTime> {
    let network = stage.network(layers.graph());
    let (direct, threads) = (layers.direct(), board.threads(false));
    let of_class = |k: &usize| {
        let one_thread_s = (direct.on(network)).chain_s(&reuse.tasks[*k].spec(stage, ""));
        TaskTime {
            seconds: board.shared_s(one_thread_s, threads) + board.task_overhead_s / board.share,
            threads,
            one_thread_s,
        }
    };
    let classes: Vec<TaskTime> = reuse.firsts.iter().map(of_class).collect();
    reuse.tasks.iter().map(|t| classes[t.class]).collect()
}

/// Seconds of a tail on whole maps, by one thread of a board.
pub fn tail_s(graph: &Graph, tail: &StageGraph, o: &PlanOptions, board: &Board) -> f64 {
    let graph = tail.network(graph);
    let whole = stages::whole_maps(graph, tail);
    let spec = stages::tail_spec(tail, &whole);
    LayerTimes::new(graph, o, board).chain_s(&spec)
}

/// Seconds of the whole network on whole maps, by one thread of a board.
pub fn net_s(graph: &Graph, o: &PlanOptions, board: &Board) -> f64 {
    let wanted = stages::wanted(graph, o.dump);
    let all = StageGraph::new(graph, 0, graph.layers.len(), &wanted);
    tail_s(graph, &all, o, board)
}
