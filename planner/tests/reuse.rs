//! Tiles of two colours: work and strips as the DeepThings paper's formulas have them, and what is refused.

use std::path::{Path, PathBuf};

use tessera_plan::{
    graph::{Darknet, TensorIx},
    plan::{Border, Placement, Plan, Split, Stage, Tile},
};
use tessera_planner::{
    boards::Board,
    cfg,
    ftp::{reuse::reuse, work::untiled_macs},
    make::{self, PlanError},
    model::Model,
    options::{PlanOptions, Target},
    report, weights,
    wire::Wire,
};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

fn model(name: &str) -> Model {
    let text = std::fs::read(models().join(name)).unwrap();
    let graph = cfg::read(&text, name.trim_end_matches(".cfg"), Darknet::Alexey);
    weights::without(graph.0.unwrap())
}

fn options(grid: [usize; 2], layers: usize, border: Border) -> PlanOptions {
    PlanOptions {
        grids: vec![grid],
        offload: Some(layers),
        split: Split::Equal,
        wire: Wire::floats(),
        borders: vec![border],
        ..PlanOptions::of(2, &Board::new(Target::Portable))
    }
}

fn tiles(s: &Stage) -> impl Iterator<Item = &Tile> {
    s.tiles.iter().filter(|t| t.instead_of.is_none())
}

/// Bytes of all strips of a plan.
fn strips(plan: &Plan) -> u64 {
    let strips = plan.dataflow.tensors.iter().filter(|t| t.is_strip());
    strips
        .map(|t| (t.shape.len() * t.element.bytes()) as u64)
        .sum()
}

/// Of tiles of a sixth of the columns, neighbours compute all.
#[test]
fn tiles_that_are_narrower_than_a_strip_are_refused() {
    let refused = make::plan(&model("yolov2.cfg"), &options([1, 6], 16, Border::Reuse));
    let why = refused.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(why.contains("layer 3"), "{why}");
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn work_is_that_of_the_papers_schedule() {
    let m = model("yolov2.cfg");
    // Multiply-adds to those of the untiled layers, and MiB of strips: `ftp_facts.py`.
    let facts = [
        ([2, 2], 1.017, 0.95),
        ([3, 3], 1.069, 1.71),
        ([4, 4], 1.155, 2.30),
        ([5, 5], 1.276, 2.70),
        ([2, 3], 1.034, 1.38),
    ];
    let untiled = untiled_macs(&m.graph, 0, 16);
    for (grid, ratio, mib) in facts {
        let plan = make::plan(&m, &options(grid, 16, Border::Reuse)).unwrap();
        let plain = make::plan(&m, &options(grid, 16, Border::Recompute)).unwrap();
        let counted = reuse(&m.graph, &plain.dataflow.stages[0]).unwrap();
        let stage = &plan.dataflow.stages[0];
        assert_eq!(stage.border, Border::Reuse);
        for tile in tiles(stage) {
            let mut same = counted.tiles.iter();
            let same = same
                .find(|t| (t.row, t.col) == (tile.row, tile.col))
                .unwrap();
            assert_eq!(
                tile.macs,
                counted.macs(&m.graph, same),
                "{grid:?} {}x{}",
                tile.row,
                tile.col
            );
        }
        let macs: u64 = tiles(stage).map(|t| t.macs).sum();
        assert!(
            (macs as f64 / untiled as f64 - ratio).abs() < 6e-4,
            "{grid:?}"
        );
        assert!((plan.estimates.redundancy - ratio).abs() < 6e-4, "{grid:?}");
        // Corners are handed over once; in the paper, by two neighbours.
        let paper: u64 = counted.donated(&m.graph).iter().sum();
        assert!((paper as f64 / 1_048_576.0 - mib).abs() < 6e-3, "{grid:?}");
        let ours = strips(&plan);
        assert!(
            ours <= paper && ours as f64 > 0.8 * paper as f64,
            "{grid:?}: {ours}, {paper}"
        );
        // What chains do is what is counted.
        let chains = &plan.target["portable"].stages[0];
        for tile in &stage.tiles {
            let chain = &chains[tile.class];
            assert_eq!(chain.macs, tile.macs);
            assert_eq!(chain.steps.iter().map(|s| s.macs).sum::<u64>(), chain.macs);
        }
        // To make all strips of a tile alone takes less than to wait for a tile that is lost.
        let dearest = tiles(stage).map(|t| t.macs).max().unwrap();
        let alone = stage.tiles.iter().filter(|t| t.instead_of.is_some());
        assert!(alone.map(|t| t.macs).all(|macs| macs < dearest), "{grid:?}");
    }
}

/// Routes and shortcuts, with every border policy's plan checked; every strip lies in its map.
#[test]
fn layers_with_branches_hand_over_strips_too() {
    for (name, layers, grid) in [
        ("demo/demo.cfg", 8, [3, 3]),
        ("yolov3-tiny.cfg", 8, [2, 3]),
        ("yolov3.cfg", 12, [2, 2]),
        ("yolov4-tiny.cfg", 18, [2, 2]),
    ] {
        let m = model(name);
        let plan = make::plan(&m, &options(grid, layers, Border::Reuse)).unwrap();
        assert!(strips(&plan) > 0, "{name}");
        let shown = report::render(&plan, &m.graph);
        assert!(shown.contains("reuse"), "{shown}");
    }
}

fn refused(m: &Model, o: &PlanOptions) -> PlanError {
    make::plan(m, o).map(|p| p.name).unwrap_err()
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let m = model("yolov2.cfg");
    let reuse = |grid, layers| options(grid, layers, Border::Reuse);
    let shared = PlanOptions {
        placement: Placement::Share,
        ..reuse([3, 3], 16)
    };
    assert!(matches!(refused(&m, &shared), PlanError::ReuseShared));
    assert!(matches!(
        refused(&m, &reuse([1, 1], 16)),
        PlanError::ReuseAlone
    ));
    // The last part of 38 rows in 6 has three, and its neighbour's halo covers them.
    let narrow = refused(&m, &reuse([6, 6], 16));
    assert!(matches!(narrow, PlanError::ReuseNarrow { .. }), "{narrow}");
    // Layer 27 reorganises pixels.
    let reorg = refused(&m, &reuse([2, 2], 28));
    assert!(matches!(reorg, PlanError::ReuseCyclic { .. }), "{reorg}");
    let channels = PlanOptions {
        grids: vec![[1, 2]],
        channels: vec![true],
        cuts: vec![1],
        offload: None,
        split: Split::Balanced,
        ..reuse([1, 2], 1)
    };
    let channels = refused(&m, &channels);
    assert!(
        matches!(channels, PlanError::ReuseChannels { .. }),
        "{channels}"
    );
}

/// Strips of one pair are made by one more task, whose chain starts from the stage's input alone.
#[test]
fn every_pair_of_neighbours_has_a_task_of_its_own() {
    let m = model("yolov2.cfg");
    let plan = make::plan(&m, &options([3, 3], 16, Border::Reuse)).unwrap();
    let stage = &plan.dataflow.stages[0];
    let alone: Vec<&Tile> = stage
        .tiles
        .iter()
        .filter(|t| t.instead_of.is_some())
        .collect();
    assert_eq!(alone.len(), 12);
    let layers = |t: &Tile| -> Vec<i32> {
        let strips = t.gives.iter().map(|k| &plan.dataflow.tensors[*k]);
        strips.map(|s| s.layer).collect()
    };
    for t in &alone {
        // What a 3x3 convolution reads, but for the first one, which reads the frame.
        assert_eq!(layers(t), [1, 3, 5, 7, 9, 11, 13]);
        assert!(t.outputs.is_empty() && t.takes.is_empty());
    }
    let tensor = |k: &usize| plan.dataflow.tensors[*k].id;
    let middle = stage
        .tiles
        .iter()
        .find(|t| (t.row, t.col) == (1, 1))
        .unwrap();
    assert_eq!(middle.gives.len(), 4 * 7);
    assert!(middle.gives.iter().map(tensor).all(|t| t > TensorIx::INPUT));
}
