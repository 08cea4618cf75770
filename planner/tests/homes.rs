//! Tasks at home against tasks stolen, by the schedule.

use std::path::Path;

use tessera_plan::{dataflow::TaskGraph, graph::Darknet};
use tessera_planner::{
    boards::Board,
    cfg,
    cost::{self, Schedule, TaskTime},
    make,
    options::{PlanOptions, Target},
    stages, weights,
};

/// Stolen, and at home.
fn both(net: &str, cuts: &[usize], grid: [usize; 2], edges: usize, mbit_s: f64) -> [Schedule; 2] {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let text = std::fs::read(models.join(net).with_extension("cfg")).unwrap();
    let graph = cfg::read(&text, net, Darknet::Alexey).0.unwrap();
    let mut options = PlanOptions {
        grids: vec![grid],
        cuts: cuts.to_vec(),
        ..PlanOptions::of(edges, &Board::new(Target::Aarch64))
    };
    for board in options.boards.iter_mut().chain([&mut options.gateway]) {
        board.link.bytes_per_s = mbit_s * 1e6 / 8.0;
    }
    let (staged, _) = stages::stages(&graph, cuts, false).unwrap();
    let layers = cost::LayerTimes::new(&graph, &options, options.first());
    let mut times: Vec<TaskTime> = Vec::new();
    for stage in &staged {
        let [ys, xs] = stages::grid_parts(&graph, stage, grid, options.split).unwrap();
        times.extend(cost::stage_times(
            &layers,
            stage,
            [&ys, &xs],
            options.first(),
        ));
    }
    let plan = make::plan(&weights::without(graph), &options).unwrap();
    let tasks = TaskGraph::of(&plan.dataflow).unwrap();
    let of_boards: Vec<&[TaskTime]> = vec![&times; edges];
    let (boards, gateway) = (&options.boards, &options.gateway);
    [
        cost::schedule(&tasks, boards, gateway, &of_boards),
        cost::place(&tasks, boards, gateway, &of_boards).schedule,
    ]
}

#[test]
fn tasks_at_home_move_fewer_bytes() {
    for (net, cuts, grid, edges) in [
        ("yolov2", &[16][..], [3, 3], 6),
        ("yolov2", &[16], [3, 4], 6),
        ("yolov2", &[4, 8, 12, 16], [3, 2], 6),
        ("yolov2", &[4, 8, 12, 16], [3, 4], 6),
        ("yolov2", &[8, 16], [3, 2], 6),
        ("yolov2", &[8, 10, 12, 14], [2, 6], 6),
        ("yolov3-tiny", &[4, 8], [3, 3], 4),
        ("yolov4-tiny", &[3, 11, 19], [2, 3], 4),
    ] {
        for mbit_s in [38.4, 100.0] {
            let [stolen, home] = both(net, cuts, grid, edges, mbit_s);
            let bytes =
                |s: &Schedule| (s.frame_bytes + s.halo_bytes + s.result_bytes) as f64 / 1048576.0;
            println!(
                "{net} {cuts:?} {grid:?} on {edges} at {mbit_s}: stolen {:.3} s {:.2} MiB, home {:.3} s {:.2} MiB",
                stolen.seconds,
                bytes(&stolen),
                home.seconds,
                bytes(&home)
            );
            if grid == [3, 4] && cuts.len() > 1 {
                assert!(3 * home.halo_bytes < 2 * stolen.halo_bytes);
                // A faster channel makes bytes cheaper, and homes worth less.
                let share = if mbit_s < 50.0 { 0.8 } else { 0.95 };
                assert!(home.seconds < share * stolen.seconds);
            }
        }
    }
}
