//! Boards and links as a run measured them.

use std::path::Path;

use tessera_plan::{
    dataflow::TaskGraph,
    files::{counters::FrameRun, statistics::TaskWork},
    graph::Darknet,
    plan::Plan,
};
use tessera_planner::{
    boards::{Board, Scale},
    cfg, cost,
    estimate::ends_s,
    make,
    model::Model,
    options::{PlanOptions, Target},
    refine::{self, Measured, RefineError},
    weights,
};

fn model(name: &str) -> Model {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let text = std::fs::read(models.join(name).with_extension("cfg")).unwrap();
    weights::without(cfg::read(&text, name, Darknet::Alexey).0.unwrap())
}

/// Three boards with a plan of two stages.
fn options() -> PlanOptions {
    PlanOptions {
        grids: vec![[3, 2]],
        cuts: vec![4, 8],
        ..PlanOptions::of(3, &Board::new(Target::Aarch64))
    }
}

/// A run of `plan` as the schedule has it on boards whose second one takes twice as long and whose channel has a quarter
/// of the rate.
fn run(m: &Model, plan: &Plan) -> (Measured, PlanOptions) {
    let mut o = options();
    o.boards[1].scale = Scale::of_ranges(vec![(4, 3.0), (usize::MAX, 1.5)]);
    for board in o.boards.iter_mut().chain([&mut o.gateway]) {
        board.link.bytes_per_s /= 4.0;
    }
    let times: Vec<_> = (o.boards.iter())
        .map(|b| refine::task_times(&m.graph, &o, plan, b))
        .collect();
    let tasks = TaskGraph::of(&plan.dataflow).unwrap();
    let homes: Vec<usize> = tasks.tasks.iter().map(|t| usize::from(t.home)).collect();
    let of_boards: Vec<_> = times.iter().map(Vec::as_slice).collect();
    let course = cost::schedule_at_home(&tasks, &o.boards, &o.gateway, &of_boards, &homes);
    let us = |s: f64| (1e6 * s).round() as u64;
    let work = |board: usize| {
        let own = (0..).zip(&homes).filter(|(_, home)| **home == board);
        let work = own.map(|(task, _)| TaskWork {
            task,
            jobs: 2,
            busy_us: us(2.0 * times[board][task as usize].one_thread_s),
        });
        work.collect()
    };
    let measured = Measured {
        edges: (0..3).map(|b| (b as u16 + 1, work(b))).collect(),
        tail_s: None,
        frames: vec![(
            1,
            FrameRun {
                frame: 0,
                makers: homes.iter().map(|h| *h as u16 + 1).collect(),
                stage_us: ends_s(2, &tasks, &course).into_iter().map(us).collect(),
            },
        )],
    };
    (measured, o)
}

#[test]
fn boards_and_links_become_those_of_the_run() {
    let m = model("yolov3-tiny");
    let plan = make::plan(&m, &options()).unwrap();
    assert!(
        plan.dataflow
            .stages
            .iter()
            .all(|s| s.tiles.iter().any(|t| t.home == 1))
    );
    let (measured, truth) = run(&m, &plan);
    let mut refined = options();
    let said = refine::refine(&m.graph, &mut refined, &plan, &measured).unwrap();
    for (have, want) in refined.boards.iter().zip(&truth.boards) {
        for layer in [0, 3, 4, 7] {
            let (have, want) = (have.scale.at(layer), want.scale.at(layer));
            assert!(
                (have / want - 1.0).abs() < 0.01,
                "layer {layer}: {have} {want}"
            );
        }
        let rate = have.link.bytes_per_s / want.link.bytes_per_s;
        assert!((0.7..1.5).contains(&rate), "{rate}: {said:?}");
    }
    assert_eq!(said.len(), 4, "{said:?}");
    // The plan for them takes what the run took, and one that is free to choose less.
    let again = make::plan(&m, &refined).unwrap();
    let last = |p: &Plan| p.estimates.seconds["stage1.end"];
    let took = measured.frames[0].1.stage_us[1] as f64 / 1e6;
    assert!(
        last(&again) < 1.05 * took && last(&again) > 1.2 * last(&plan),
        "{took}"
    );
}

#[test]
fn what_was_not_measured_is_taken_for_its_like() {
    let m = model("yolov3-tiny");
    let plan = make::plan(&m, &options()).unwrap();
    let (mut measured, _) = run(&m, &plan);
    measured.edges.truncate(2);
    measured.frames.clear();
    let mut refined = options();
    refined.boards.push(Board {
        name: "edge 4".into(),
        ..refined.boards[0].clone()
    });
    refine::refine(&m.graph, &mut refined, &plan, &measured).unwrap();
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|b| refined.boards[b].scale.at(0));
    assert!(
        first < third && third < second && third == fourth,
        "{third}"
    );
    assert_eq!(refined.boards[0].link, options().boards[0].link);
}

#[test]
fn runs_of_something_else_are_refused() {
    let m = model("yolov3-tiny");
    let plan = make::plan(&m, &options()).unwrap();
    let (measured, _) = run(&m, &plan);
    let other = refine::refine(&model("yolov2").graph, &mut options(), &plan, &measured);
    assert_eq!(other, Err(RefineError::Network));
    let nothing = refine::refine(&m.graph, &mut options(), &plan, &Measured::default());
    assert_eq!(nothing, Err(RefineError::Nothing));
    let mut strangers = options();
    strangers.boards.iter_mut().for_each(|b| b.name.push('!'));
    let strangers = refine::refine(&m.graph, &mut strangers, &plan, &measured);
    assert!(matches!(strangers, Err(RefineError::Boards { .. })));
}
