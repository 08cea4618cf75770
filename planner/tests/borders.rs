//! Halos computed again, and halos exchanged: what both cost, by formula.

use std::path::{Path, PathBuf};

use tessera_plan::{
    dataflow::TaskGraph,
    graph::{Darknet, Op},
    plan::{Border, ElementType, Plan, Split, Stage},
};
use tessera_planner::{
    boards::Board,
    cfg,
    ftp::work::untiled_macs,
    make::{self, PlanError},
    model::Model,
    options::{PlanOptions, Target},
    report, weights,
};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

fn model(name: &str) -> Model {
    let text = std::fs::read(models().join(name)).unwrap();
    let graph = cfg::read(&text, name.trim_end_matches(".cfg"), Darknet::Alexey);
    weights::without(graph.0.unwrap())
}

fn options(grids: &[[usize; 2]], cuts: &[usize], borders: &[Border]) -> PlanOptions {
    PlanOptions {
        grids: grids.to_vec(),
        cuts: cuts.to_vec(),
        borders: borders.to_vec(),
        ..PlanOptions::of(6, &Board::new(Target::Portable))
    }
}

fn yolov2(borders: &[Border]) -> (Model, Plan) {
    let m = model("yolov2.cfg");
    let plan = make::plan(&m, &options(&[[3, 3]], &[16], borders)).unwrap();
    (m, plan)
}

fn macs(stages: &[Stage]) -> u64 {
    stages.iter().flat_map(|s| &s.tiles).map(|t| t.macs).sum()
}

#[test]
fn stages_end_where_the_next_layer_needs_a_halo() {
    let (_, plan) = yolov2(&[Border::Exchange]);
    let stages = &plan.dataflow.stages;
    let ends: Vec<usize> = stages.iter().map(|s| s.end_layer).collect();
    // Each pool goes with the convolution before it, each 1x1 convolution too.
    assert_eq!(ends, [2, 4, 6, 8, 10, 12, 14, 16]);
    for s in stages {
        assert_eq!(
            (s.border, s.grid, s.split),
            (Border::Exchange, [3, 3], Split::Balanced)
        );
    }
}

#[test]
fn exchange_computes_nothing_twice_and_fetches_one_row_and_column_each_way() {
    let (m, plan) = yolov2(&[Border::Exchange]);
    let stages = &plan.dataflow.stages;
    assert_eq!(plan.estimates.redundancy.to_bits(), 1f64.to_bits());
    for s in stages {
        assert_eq!(
            macs(std::slice::from_ref(s)),
            untiled_macs(&m.graph, s.first_layer, s.end_layer)
        );
    }
    // Of 3 x 3 tiles, two cuts each way: every one of them is read one row (column) further on both sides.
    let mut bytes = 0;
    for (i, s) in stages.iter().enumerate() {
        let shape = m.graph.shape(s.inputs[0]);
        let size = if i == 0 { 1 } else { 2 };
        let want = (shape.h + 4) * (shape.w + 4) * shape.c * size;
        assert_eq!(
            plan.estimates.traffic[&format!("stage{i}.inputs")],
            want as u64,
            "stage {i}"
        );
        bytes += want - shape.len() * size;
    }
    let shown = report::render(&plan, &m.graph);
    assert!(!shown.contains("--border exchange would"), "{shown}");
    // The halos of all eight stages: what the report of the other plan says of exchange.
    let (_, recomputed) = yolov2(&[]);
    let shown = report::render(&recomputed, &m.graph);
    println!("{shown}");
    let is_row = |l: &&str| l.contains(" exchange ") && l.contains("1.000x");
    let line = shown.lines().find(is_row).unwrap();
    let said = tessera_planner::text::bytes(bytes as u64);
    assert!(line.contains(&said), "{line}, not {said}");
    assert!(recomputed.estimates.redundancy > 1.3);
    assert!(
        recomputed
            .dataflow
            .stages
            .iter()
            .all(|s| s.border == Border::Recompute)
    );
}

/// With every tile on a board of its own, halos are all that travels between stages.
#[test]
fn only_halos_travel_between_tiles_of_one_place() {
    let (m, plan) = yolov2(&[Border::Exchange]);
    let tasks = TaskGraph::of(&plan.dataflow).unwrap();
    let homes: Vec<usize> = (0..tasks.tasks.len()).map(|t| t % 9).collect();
    let crossing = tasks.crossing(0, &homes, usize::MAX, |_, _| true);
    let kinds = plan.dataflow.stages.len();
    for (s, bytes) in plan
        .dataflow
        .stages
        .iter()
        .zip(&crossing[1..])
        .take(kinds - 1)
    {
        let shape = m.graph.shape(s.outputs[0]);
        let want = ((shape.h + 4) * (shape.w + 4) - shape.h * shape.w) * shape.c * 2;
        assert_eq!(*bytes, want as u64, "behind layer {}", s.end_layer - 1);
    }
}

#[test]
fn policies_are_named_per_stage() {
    let m = model("yolov2.cfg");
    let mixed = [Border::Recompute, Border::Exchange];
    let o = options(&[[3, 3], [2, 2]], &[8, 16], &mixed);
    let plan = make::plan(&m, &o).unwrap();
    let stages = &plan.dataflow.stages;
    let ends: Vec<_> = stages
        .iter()
        .map(|s| (s.end_layer, s.grid, s.border))
        .collect();
    assert_eq!(ends[0], (8, [3, 3], Border::Recompute));
    let rest = [10, 12, 14, 16].map(|end| (end, [2, 2], Border::Exchange));
    assert_eq!(ends[1..], rest);
    // Formats are named per stage of the flags.
    let mut o = o;
    o.wire.objects = vec![ElementType::F32, ElementType::F16];
    let plan = make::plan(&m, &o).unwrap();
    let format = |t| {
        plan.dataflow
            .tensors
            .iter()
            .find(|x| x.id == t)
            .unwrap()
            .element
    };
    let made: Vec<_> = plan
        .dataflow
        .stages
        .iter()
        .map(|s| format(s.outputs[0]))
        .collect();
    let mut want = [ElementType::F16; 5];
    want[0] = ElementType::F32;
    assert_eq!(made, want);
    let o = options(&[[3, 3]], &[8, 16], &[Border::Exchange; 3]);
    let refused = make::plan(&m, &o).unwrap_err();
    assert!(
        matches!(
            refused,
            PlanError::BorderCount {
                policies: 3,
                cuts: 2
            }
        ),
        "{refused}"
    );
}

/// Branches, upsamplings and shortcuts: stages up to the first layer that needs whole maps, in grids that leave odd
/// maps and cuts.
#[test]
fn nothing_is_computed_twice_in_any_network() {
    for name in [
        "yolov2.cfg",
        "yolov2-tiny.cfg",
        "yolov3-tiny.cfg",
        "yolov4-tiny.cfg",
        "yolov3.cfg",
    ] {
        let m = model(name);
        let barrier = tessera_planner::ftp::first_barrier(&m.graph);
        let end = barrier.unwrap_or(m.graph.layers.len());
        let grids: &[[usize; 2]] = if name == "yolov3.cfg" {
            &[[3, 2]]
        } else {
            &[[3, 3], [1, 5], [4, 2]]
        };
        for &grid in grids {
            let plan = make::plan(&m, &options(&[grid], &[end], &[Border::Exchange])).unwrap();
            let stages = &plan.dataflow.stages;
            assert!(
                stages.iter().all(|s| s.border == Border::Exchange),
                "{name}"
            );
            assert_eq!(
                macs(stages),
                untiled_macs(&m.graph, 0, end),
                "{name} {grid:?}"
            );
        }
    }
}

/// An antialiased convolution is two operations; the second one needs a halo of the first.
#[test]
fn a_layer_that_needs_a_halo_inside_says_that_it_computes_again() {
    let text = "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nantialiasing=1\n\
        [convolutional]\nfilters=4\nsize=3\npad=1\n";
    let graph = cfg::read(text.as_bytes(), "blur", Darknet::Alexey)
        .0
        .unwrap();
    let of_layer = graph.nodes.iter().filter(|n| n.layer == 0);
    assert_eq!(of_layer.filter(|n| matches!(n.op, Op::Conv(_))).count(), 2);
    let m = weights::without(graph);
    let plan = make::plan(&m, &options(&[[2, 2]], &[2], &[Border::Exchange])).unwrap();
    let borders: Vec<Border> = plan.dataflow.stages.iter().map(|s| s.border).collect();
    assert_eq!(borders, [Border::Recompute, Border::Exchange]);
}

#[test]
fn a_search_weighs_both_policies_and_obeys_one() {
    let m = model("yolov2-tiny.cfg");
    let search = |borders: &[Border]| {
        let mut o = options(&[], &[], borders);
        o.offload = Some(9);
        make::plan(&m, &o).unwrap()
    };
    let exchanges = |p: &Plan| {
        p.dataflow
            .stages
            .iter()
            .any(|s| s.border == Border::Exchange)
    };
    let (free, again, exchanged) = (
        search(&[]),
        search(&[Border::Recompute]),
        search(&[Border::Exchange]),
    );
    assert!(!exchanges(&again));
    let computed = macs(&exchanged.dataflow.stages);
    assert_eq!(computed, untiled_macs(&m.graph, 0, 9));
    let why = free.estimates.why.join("\n");
    let other = if exchanges(&free) {
        "computed again"
    } else {
        "exchanged"
    };
    assert!(why.contains(&format!("best with halos {other}: ")), "{why}");
    let frame = |p: &Plan| p.estimates.seconds["frame"];
    assert!(frame(&free) <= frame(&again) * 1.011 && frame(&free) <= frame(&exchanged) * 1.011);
}
