//! What chains' firings say of tasks whose rows are on their way: [`Progress`](tessera_plan::dataflow::Progress).

use tessera_plan::{
    dataflow::{TaskGraph, TaskId},
    graph::Darknet,
};
use tessera_planner::{
    boards::Board,
    cfg, make,
    options::{PlanOptions, Target},
    weights,
};

/// Two stages: high tiles with few weights, then low ones whose weights fill no cache.
const NET: &str = "[net]\nwidth=384\nheight=96\nchannels=3\n\
    [convolutional]\nfilters=16\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=16\nsize=3\npad=1\nactivation=leaky\n\
    [maxpool]\nsize=8\nstride=8\n\
    [convolutional]\nfilters=512\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=512\nsize=3\npad=1\nactivation=leaky\n";

fn tasks() -> TaskGraph {
    let graph = cfg::read(NET.as_bytes(), "net", Darknet::Alexey).0.unwrap();
    let o = PlanOptions {
        cuts: vec![2, 5],
        grids: vec![[1, 2]],
        ..PlanOptions::of(2, &Board::new(Target::Portable))
    };
    let plan = make::plan(&weights::without(graph), &o).unwrap();
    TaskGraph::with_progress(&plan).unwrap()
}

/// The share of a task that can be computed with so many rows of its input.
fn with_rows(tasks: &TaskGraph, task: u32, rows: usize) -> f64 {
    let id = TaskId(task);
    let first = tasks.tasks[id.index()].inputs[0].region.y.lo;
    tasks.share_with_rows(id, [Some(first + rows)])
}

#[test]
fn high_tiles_keep_step_with_their_rows() {
    let tasks = tasks();
    let all: Vec<f64> = (0..=96).map(|rows| with_rows(&tasks, 0, rows)).collect();
    assert!(all.is_sorted(), "{all:?}");
    assert_eq!((all[0], all[96]), (0.0, 1.0));
    // Eight rows are loaded at a time, and two windows come first.
    for (rows, share) in all.iter().enumerate() {
        let even = rows as f64 / 96.0;
        assert!(
            (even - 0.13..=even + 0.01).contains(share),
            "{rows}: {all:?}"
        );
    }
    let made = |share| tasks.rows_made(TaskId(0), 0, share);
    assert!((40..=48).contains(&made(0.5)) && made(1.0) == 96);
    let share = tasks.share_made(TaskId(0), 0, 48);
    assert!((0.5..0.6).contains(&share), "{share}");
}

#[test]
fn low_tiles_wait_for_all_their_rows() {
    let tasks = tasks();
    let low = 2;
    assert_eq!(tasks.tasks[2].stage, 1);
    // The pool goes on as rows come; the first layer behind it needs all of them.
    let rows = tasks.tasks[2].inputs[0].region.h();
    let before = with_rows(&tasks, low, rows - 1);
    assert!(before < 0.1, "{before}");
    assert_eq!(with_rows(&tasks, low, rows), 1.0);
    assert_eq!(tasks.rows_made(TaskId(low), 0, 0.9), 0);
    assert!(tasks.share_made(TaskId(low), 0, 1) > 0.9);
    assert_eq!(tasks.next_row(TaskId(low), 0, rows - 8), rows);
}
