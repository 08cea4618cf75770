//! The search weighs stages that are cut by output channels: where only they fit into memory, where a fast wire makes
//! them worthwhile, and with ranges by the speed of boards.

use std::path::Path;

use tessera_plan::{
    graph::Darknet,
    plan::{Plan, Split},
};
use tessera_planner::{
    boards::{Board, Link, Medium},
    cfg,
    make::{self, PlanError},
    memory,
    model::Model,
    options::{PlanOptions, Target},
    weights,
};

/// Small maps and 47 MiB of weights, of which no layer has more than 18 MiB.
const HEAVY: &str = "[net]\nwidth=32\nheight=32\nchannels=3\n\
    [convolutional]\nfilters=256\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [maxpool]\nsize=2\nstride=2\n\
    [convolutional]\nfilters=512\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=1024\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=512\nsize=1\nactivation=leaky\n\
    [convolutional]\nfilters=1024\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=512\nsize=1\nactivation=linear\n";

fn model(name: &str, text: &[u8]) -> Model {
    weights::without(cfg::read(text, name, Darknet::Alexey).0.unwrap())
}

fn by_channels(p: &Plan) -> Vec<[usize; 2]> {
    let stages = p.dataflow.stages.iter();
    let cut = stages.filter(|s| s.split == Split::Channels);
    cut.map(|s| [s.first_layer, s.grid[1]]).collect()
}

#[test]
fn where_weights_fit_no_board_they_are_cut() {
    let m = model("heavy", HEAVY.as_bytes());
    let mut o = PlanOptions::of(4, &Board::new(Target::Aarch64));
    for board in o.boards.iter_mut().chain([&mut o.gateway]) {
        board.memory_bytes = Some(28 << 20);
    }
    let p = make::plan(&m, &o).unwrap();
    let why = p.estimates.why.join("\n");
    assert!(!by_channels(&p).is_empty(), "{why}");
    assert!(why.contains("cut by channels, so that"), "{why}");
    assert!(why.contains("no other plan fits"), "{why}");
    let needed = &p.estimates.memory;
    assert!(memory::source_bytes(needed) <= 28 << 20, "{needed:?}");
    assert!(memory::gateway_bytes(needed) <= 28 << 20, "{needed:?}");
    // No offload point leaves little enough on either side.
    for offload in 0..=m.graph.layers.len() {
        for grid in [[1, 1], [2, 2], [4, 1]] {
            let asked = PlanOptions {
                grids: vec![grid],
                offload: Some(offload),
                ..o.clone()
            };
            let made = make::plan(&m, &asked);
            assert!(
                matches!(made, Err(PlanError::OverLimit { .. })),
                "{offload} {grid:?}: {made:?}"
            );
        }
    }
}

#[test]
fn exact_plans_have_no_partial_sums() {
    let m = model("heavy", HEAVY.as_bytes());
    let mut o = PlanOptions {
        exact: true,
        ..PlanOptions::of(4, &Board::new(Target::Aarch64))
    };
    for board in o.boards.iter_mut().chain([&mut o.gateway]) {
        board.memory_bytes = Some(28 << 20);
        board.link.bytes_per_s = 1e9 / 8.0;
        board.link.medium = Medium::Switched;
    }
    let p = make::plan(&m, &o).unwrap();
    assert!(!by_channels(&p).is_empty(), "{:?}", p.estimates.why);
    let parts = p.dataflow.tensors.iter().map(|t| t.parts);
    assert!(parts.max() <= Some(1), "{:?}", p.dataflow.stages);
}

/// YOLOv2's plan for six boards of four cores on links of this rate and medium, and their gateway.
fn yolov2_on(bytes_per_s: f64, medium: Medium) -> Plan {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let text = std::fs::read(models.join("yolov2.cfg")).unwrap();
    let board = Board {
        cores: 4,
        link: Link {
            bytes_per_s,
            delay_s: 0.2e-3,
            medium,
        },
        ..Board::new(Target::Aarch64)
    };
    let o = PlanOptions::of(6, &board).with_gateway_workers(4);
    make::plan(&model("yolov2", &text), &o).unwrap()
}

#[test]
fn late_layers_are_cut_by_channels_on_a_fast_wire() {
    let wired = yolov2_on(1e9 / 8.0, Medium::Switched);
    let why = wired.estimates.why.join("\n");
    let cut = by_channels(&wired);
    assert!(!cut.is_empty(), "{why}");
    // The maps of layers behind 17 are small.
    assert!(cut.iter().all(|[first, _]| *first >= 12), "{cut:?}");
    assert!(why.contains("best without: "), "{why}");
}

#[test]
fn ranges_are_in_proportion_to_the_boards_speed() {
    let m = model("heavy", HEAVY.as_bytes());
    let mut o = PlanOptions {
        split: Split::Speed,
        cuts: vec![2, 3, 4],
        grids: vec![[1, 1], [1, 3], [1, 3]],
        channels: vec![false, true, true],
        ..PlanOptions::of(3, &Board::new(Target::Aarch64))
    };
    o.boards[1].share = 0.5;
    o.boards[2].share = 0.5;
    let p = make::plan(&m, &o).unwrap();
    let widths = |stage: usize| -> Vec<usize> {
        let tiles = &p.dataflow.stages[stage].tiles;
        tiles.iter().map(|t| t.outputs[0].c.len()).collect()
    };
    for (stage, channels) in [(1, 512), (2, 1024)] {
        let w = widths(stage);
        assert_eq!(w.iter().sum::<usize>(), channels);
        // Whole blocks of 8 or 16 channels: a half and two quarters, as nearly as these allow.
        assert!(w[0].abs_diff(channels / 2) <= 16, "{w:?}");
        assert!(w[1].abs_diff(channels / 4) <= 16, "{w:?}");
    }
    // The fast board has the wide range.
    let home = |stage: usize, tile: usize| p.dataflow.stages[stage].tiles[tile].home;
    assert_eq!([home(1, 0), home(2, 0)], [0, 0]);
}
