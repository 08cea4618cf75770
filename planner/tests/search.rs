//! The first planner choice: never worse than one stage, inside the memory limit, explained, and
//! the same for any number of threads.

use std::{path::Path, sync::Arc};

use tessera_plan::{
    graph::Darknet,
    plan::{Placement, Plan, WeightFormat},
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    boards::Board,
    cfg,
    kernel::{
        Family, Storage,
        costs::{CostTable, Kernel, Row},
    },
    make::{self, PlanError},
    memory,
    model::Model,
    options::{Costs, PlanOptions, Target},
    weights,
    wire::Wire,
};

fn model(name: &str) -> Model {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let text = std::fs::read(models.join(name).with_extension("cfg")).unwrap();
    weights::without(cfg::read(&text, name, Darknet::Alexey).0.unwrap())
}

/// Boards of the paper's kind: slow cores on a slow channel.
fn board() -> Board {
    Board::new(Target::Aarch64)
}

fn options(edges: usize) -> PlanOptions {
    PlanOptions::of(edges, &board())
}

/// The same with a memory limit for every edge.
fn within(mut o: PlanOptions, memory_bytes: u64) -> PlanOptions {
    for board in &mut o.boards {
        board.memory_bytes = Some(memory_bytes);
    }
    o
}

fn frame(p: &Plan) -> f64 {
    p.estimates.seconds["frame"]
}

#[test]
fn never_slower_than_the_best_single_stage() {
    for (name, edges) in [("yolov2", 6), ("yolov3-tiny", 2), ("yolov4-tiny", 4)] {
        let m = model(name);
        let chosen = make::plan(&m, &options(edges)).unwrap();
        let layers = m.graph.layers.len();
        let last = tessera_planner::ftp::first_barrier(&m.graph).unwrap_or(layers);
        let mut best = f64::MAX;
        for offload in 1..=last {
            for grid in [
                [1, 1],
                [2, 2],
                [2, 3],
                [3, 2],
                [3, 3],
                [4, 3],
                [5, 5],
                [6, 6],
            ] {
                let one = PlanOptions {
                    grids: vec![grid],
                    offload: Some(offload),
                    ..options(edges)
                };
                if let Ok(p) = make::plan(&m, &one) {
                    best = best.min(frame(&p));
                }
            }
        }
        // Times are rounded to milliseconds.
        assert!(
            frame(&chosen) <= best + 0.0011,
            "{name}: {} {best}",
            frame(&chosen)
        );
    }
}

#[test]
fn several_stages_are_chosen_where_only_halos_travel() {
    let m = model("yolov2");
    let o = PlanOptions {
        offload: Some(16),
        ..options(6)
    };
    let p = make::plan(&m, &o).unwrap();
    assert!(p.dataflow.stages.len() > 1);
    assert_eq!(p.dataflow.tail.first_layer, 16);
    assert!(p.estimates.redundancy < 1.2, "{}", p.estimates.redundancy);
    assert!(p.estimates.traffic["expected.halos"] > 0);
    let why = p.estimates.why.join("\n");
    for words in ["searched", "chosen", "best with one stage", "bind"] {
        assert!(why.contains(words), "{why}");
    }
    // The design's example: cuts after layers 4, 8 and 12 cost 1.04x. Successors stay at home and move 1.4 MiB of
    // halos; among thieves, who begin as soon as rows come, it is nearly twice that.
    let design = PlanOptions {
        grids: vec![[3, 2]],
        cuts: vec![4, 8, 12, 16],
        wire: Wire::floats(),
        ..options(6)
    };
    let d = make::plan(&m, &design).unwrap();
    assert!((d.estimates.redundancy - 1.04).abs() < 0.005);
    assert_eq!(d.estimates.traffic["expected.halos"], 1_458_176);
    let stolen = PlanOptions {
        placement: Placement::Steal,
        ..design
    };
    let stolen = make::plan(&m, &stolen).unwrap();
    let halos = stolen.estimates.traffic["expected.halos"];
    assert!((2_600_000..3_200_000).contains(&halos), "{halos}");
    assert!(frame(&d) < frame(&stolen));
    assert!(frame(&p) <= frame(&d));
}

#[test]
fn a_grid_alone_leaves_the_offload_point_to_the_search() {
    let m = model("yolov2");
    let o = PlanOptions {
        grids: vec![[5, 5]],
        ..options(6)
    };
    let p = make::plan(&m, &o).unwrap();
    assert_eq!(p.dataflow.stages.len(), 1);
    assert_eq!(p.dataflow.stages[0].grid, [5, 5]);
    for offload in [2, 4, 8, 12, 16, 20] {
        let other = PlanOptions {
            offload: Some(offload),
            ..o.clone()
        };
        let other = make::plan(&m, &other).unwrap();
        assert!(frame(&p) <= frame(&other) + 0.0011, "offload {offload}");
    }
}

#[test]
fn the_memory_limit_is_kept() {
    let m = model("yolov2");
    let mut before = 0.0;
    for mib in [400, 60, 40, 24] {
        let o = within(options(6), mib << 20);
        let p = make::plan(&m, &o).unwrap();
        let bytes = memory::source_bytes(&p.estimates.memory);
        assert!(bytes <= mib << 20, "{mib} MiB: {bytes}");
        // Less memory never helps, but for what climbs from other plans may find.
        assert!(frame(&p) * 1.04 >= before, "{mib} MiB");
        before = frame(&p);
    }
    let tight = within(options(6), 24 << 20);
    let why = make::plan(&m, &tight).unwrap().estimates.why.join("\n");
    assert!(why.contains("above the memory limit"), "{why}");
    let none = within(options(6), 1 << 20);
    let Err(e @ PlanError::Memory { limit, smallest }) = make::plan(&m, &none) else {
        panic!("1 MiB is too little");
    };
    assert!(limit == 1 << 20 && smallest > limit);
    assert!(e.to_string().contains("MiB"), "{e}");
    // What the refusal names is possible.
    let least = within(options(6), smallest);
    assert!(make::plan(&m, &least).is_ok());
    // And so is a limit for a plan that was asked for.
    let asked = PlanOptions {
        grids: vec![[5, 5]],
        offload: Some(16),
        ..within(options(6), 20 << 20)
    };
    let Err(PlanError::OverLimit { needed, .. }) = make::plan(&m, &asked) else {
        panic!("5x5 of 16 layers needs more than 20 MiB at a source");
    };
    let more = within(asked, needed);
    assert!(make::plan(&m, &more).is_ok());
}

/// Offload point of a plan, and its reasons.
fn offload(p: &Plan) -> (usize, String) {
    (p.dataflow.tail.first_layer, p.estimates.why.join("\n"))
}

#[test]
fn the_gateway_computes_everything_where_that_is_faster() {
    // The core of one board is no match for the four of the gateway.
    let m = model("yolov2");
    let p = make::plan(&m, &options(1)).unwrap();
    let (point, why) = offload(&p);
    assert_eq!(point, 0, "{why}");
    assert!(why.contains("chosen: everything on the gateway"), "{why}");
    assert!(
        why.contains("Best with edges that compute (--offload "),
        "{why}"
    );
    // It is the plan that the flag asks for.
    let asked = PlanOptions {
        offload: Some(0),
        ..options(1)
    };
    let asked = make::plan(&m, &asked).unwrap();
    assert_eq!((&p.dataflow, frame(&p)), (&asked.dataflow, frame(&asked)));
    let (point, why) = offload(&make::plan(&m, &options(6)).unwrap());
    assert_ne!(point, 0, "{why}");
    // A grid or a stage that was asked for is a wish for edges that compute.
    for wish in [
        PlanOptions {
            grids: vec![[2, 2]],
            ..options(2)
        },
        PlanOptions {
            cuts: vec![4, 8],
            ..options(2)
        },
    ] {
        let (point, why) = offload(&make::plan(&m, &wish).unwrap());
        assert_ne!(point, 0, "{why}");
    }
}

#[test]
fn less_memory_means_leaner_kernels_before_idle_edges() {
    let m = model("yolov2");
    let alone = PlanOptions {
        offload: Some(0),
        ..options(6)
    };
    let alone = frame(&make::plan(&m, &alone).unwrap());
    let p = make::plan(&m, &within(options(6), 19 << 20)).unwrap();
    let (point, why) = offload(&p);
    // Edges compute with leaner kernels where that is faster than the gateway alone.
    let lean = why.contains("for the memory limit");
    assert!(frame(&p) <= alone && (lean || point == 0), "{why}");
}

#[test]
fn nets_that_begin_with_whole_maps_are_planned_on_the_gateway() {
    for first in ["[avgpool]\n", "[connected]\noutput=48\n", "[softmax]\n"] {
        let text = format!("[net]\nwidth=32\nheight=32\nchannels=3\n{first}");
        let graph = cfg::read(text.as_bytes(), "net", Darknet::Alexey)
            .0
            .unwrap();
        let m = weights::without(graph);
        for exact in [false, true] {
            let o = PlanOptions {
                exact,
                ..within(options(3), 64 << 20)
            };
            let (point, why) = offload(&make::plan(&m, &o).unwrap());
            assert_eq!(point, 0, "{why}");
            assert!(why.contains("no plan that lets them compute"), "{why}");
        }
        // What cannot be had is refused, and what can is named.
        for wish in [
            PlanOptions {
                grids: vec![[2, 2]],
                ..options(3)
            },
            PlanOptions {
                grids: vec![[2, 2]],
                offload: Some(1),
                ..options(3)
            },
        ] {
            let e = make::plan(&m, &wish).unwrap_err().to_string();
            assert!(e.contains("--offload 0"), "{e}");
        }
        // One tile is the whole map.
        for wish in [
            PlanOptions {
                offload: Some(1),
                ..options(3)
            },
            PlanOptions {
                cuts: vec![1],
                ..options(3)
            },
        ] {
            let p = make::plan(&m, &wish).unwrap();
            assert_eq!(p.dataflow.stages[0].grid, [1, 1]);
        }
    }
}

/// Convolutions of a plan's tail by Winograd tiles.
fn by_winograd(p: &Plan) -> usize {
    let steps = p.target.values().flat_map(|t| &t.tail.steps);
    let kernels = steps.filter_map(|s| s.conv.as_ref());
    kernels.filter(|k| k.algorithm.tile().is_some()).count()
}

/// A table of two kernels for one layer: the direct one at a multiply-add a nanosecond, the other one
/// faster by so much.
fn table(target: Target, winograd4: f64) -> Costs {
    let row = |kernel, gmacs| Row {
        kernel,
        cin: 64,
        filters: 64,
        side: 64,
        gmacs,
    };
    Costs::Table(Arc::new(CostTable {
        schema: 1,
        target: target.name().into(),
        core: "drawn".into(),
        how: "by hand".into(),
        rows: vec![row(Kernel::Direct, 1.0), row(Kernel::Winograd4, winograd4)],
    }))
}

#[test]
fn tables_choose_kernels() {
    let m = model("yolov2");
    let plan = |target, costs: Costs| {
        let o = PlanOptions {
            offload: Some(0),
            ..PlanOptions::of(
                1,
                &Board {
                    costs,
                    ..Board::new(target)
                },
            )
        };
        make::plan(&m, &o).unwrap()
    };
    for target in [Target::X86_64V3, Target::Aarch64, Target::Armv7] {
        // A map of 19x19 is 25 tiles of 4x4, and three more for the weights: 1.24 times its pixels.
        let fast = plan(target, table(target, 1.5));
        // All 3x3 convolutions but the first, of three channels.
        assert_eq!(by_winograd(&fast), 14, "{}", target.name());
        let why = fast.estimates.why.join("\n");
        assert!(why.contains("the table of drawn"), "{why}");
        assert_eq!(by_winograd(&plan(target, table(target, 1.05))), 0);
    }
    // Another target's table is not this one's.
    let other = plan(Target::Aarch64, table(Target::Armv7, 0.5));
    assert!(by_winograd(&other) > 8);
    assert!(other.estimates.why.join("").contains("cortex-a53"));
    let exact = PlanOptions {
        exact: true,
        offload: Some(0),
        ..options(1)
    };
    assert_eq!(by_winograd(&make::plan(&m, &exact).unwrap()), 0);
}

#[test]
fn kernels_work_in_the_memory_that_is_left() {
    let m = model("yolov2");
    let asked = PlanOptions {
        grids: vec![[5, 5]],
        offload: Some(16),
        ..options(2).on(Target::X86_64V3)
    };
    let needs = |o: &PlanOptions| {
        let p = make::plan(&m, o).unwrap();
        memory::source_bytes(&p.estimates.memory)
    };
    let with = |kernels, tiles| PlanOptions {
        kernels,
        tiles,
        ..asked.clone()
    };
    let (most, fewer, direct) = (
        needs(&asked),
        needs(&with(Family::Auto, 16)),
        needs(&with(Family::Direct, 64)),
    );
    assert!(direct < fewer && fewer < most, "{direct} {fewer} {most}");
    let kept = |limit, word: &str| {
        let o = within(asked.clone(), limit);
        let p = make::plan(&m, &o).unwrap();
        assert!(memory::source_bytes(&p.estimates.memory) <= limit);
        let why = p.estimates.why.join("\n");
        assert!(why.contains(word), "{why}");
    };
    kept(fewer, "tiles a call");
    kept(direct, "direct ones, for the memory limit");
    // What was asked for by name stays.
    let forced = within(with(Family::Winograd(4), 64), direct);
    assert!(matches!(
        make::plan(&m, &forced),
        Err(PlanError::OverLimit { .. })
    ));
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let plan = |name: &str, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| make::plan(&model(name), &options(5)).unwrap().to_toml())
    };
    for name in ["yolov3-tiny", "darknet19"] {
        let one = plan(name, 1);
        for threads in [1, 2, 5] {
            assert!(plan(name, threads) == one, "{name} with {threads} threads");
        }
    }
}

#[test]
fn weights_are_stored_transformed_where_memory_allows() {
    let text = b"[net]\nwidth=32\nheight=32\nchannels=16\n\
        [convolutional]\nfilters=32\nsize=3\npad=1\n\
        [convolutional]\nfilters=256\nsize=3\npad=1\n";
    let m = weights::without(cfg::read(text, "two", Darknet::Alexey).0.unwrap());
    let asked = |weights, memory: Option<u64>| PlanOptions {
        grids: vec![[1, 1]],
        cuts: vec![2],
        weights,
        ..within(options(1), memory.unwrap_or(u64::MAX)).on(Target::X86_64V3)
    };
    // Per layer: whether it is a Winograd kernel's, and whether its weights are stored transformed.
    let stored = |o: &PlanOptions| {
        let p = make::plan(&m, o).unwrap();
        let layers: Vec<_> = p.target["x86-64-v3"]
            .packing
            .iter()
            .map(|p| matches!(p.weights, WeightFormat::Transformed { .. }))
            .collect();
        (layers, memory::source_bytes(&p.estimates.memory))
    };
    let (layers, most) = stored(&asked(Storage::Auto, None));
    assert_eq!(layers, [true, false], "only what stays in a cache");
    let (layers, least) = stored(&asked(Storage::Trained, None));
    assert_eq!(layers, [false, false]);
    let (layers, all) = stored(&asked(Storage::Transformed, None));
    assert_eq!(layers, [true, true]);
    assert!(least < most && most < all, "{least} {most} {all}");
    let (layers, _) = stored(&asked(Storage::Auto, Some(most - 1)));
    assert_eq!(layers, [false, false]);
}

#[test]
fn a_board_shares_one_tile_or_computes_several() {
    let m = model("yolov2");
    let made = |edges, cores, team| {
        let board = Board {
            cores,
            team,
            ..board()
        };
        let o = PlanOptions {
            cuts: vec![8, 16],
            ..PlanOptions::of(edges, &board)
        };
        let p = make::plan(&m, &o).unwrap();
        let grids: Vec<[usize; 2]> = p.dataflow.stages.iter().map(|s| s.grid).collect();
        (grids, p.estimates.why.join("\n"))
    };
    let (grids, why) = made(1, 4, 4);
    assert!(grids.contains(&[1, 1]), "{why}");
    assert!(
        why.contains("a board's cores: one tile in some stages, best with"),
        "{why}"
    );
    let (grids, why) = made(1, 4, 1);
    assert!(
        !grids.contains(&[1, 1]),
        "nobody to share a tile with: {why}"
    );
    let (grids, why) = made(4, 2, 2);
    assert_ne!(grids[0], [1, 1], "other boards would idle: {why}");
}

#[test]
fn seconds_add_up() {
    let m = model("yolov3-tiny");
    let plan = |grid, offload, team| {
        let board = Board { team, ..board() };
        let o = PlanOptions {
            grids: vec![grid],
            offload: Some(offload),
            ..PlanOptions::of(2, &board)
        };
        make::plan(&m, &o).unwrap().estimates
    };
    let near = |a: f64, b: f64| (a - b).abs() < 5e-6;
    for (grid, offload) in [([1, 1], 8), ([2, 2], 8), ([3, 2], 5)] {
        let e = plan(grid, offload, 1);
        let s = |key: &str| e.seconds[key];
        assert!(near(s("frame"), s("stages") + s("tail")), "{:?}", e.seconds);
        // What cores compute on edges, without what tasks cost beside; and the tail.
        let tiles = (grid[0] * grid[1]) as f64;
        let overhead = tiles * board().task_overhead_s;
        let computed = s("cores_busy") - overhead + s("tail");
        assert!(near(s("one_thread"), computed), "{:?}", e.seconds);
        let channel = 8.0 * e.traffic["expected.total"] as f64 / 100e6;
        assert!(near(s("channel_busy"), channel), "{:?}", e.seconds);
    }
    // Without stages the picture goes to the gateway, whose team computes all.
    let (one, four) = (plan([1, 1], 0, 1), plan([1, 1], 0, 4));
    let send = 8.0 * one.traffic["expected.total"] as f64 / 100e6;
    let all = one.seconds["one_thread"];
    assert!(near(one.seconds["frame"], send + all), "{:?}", one.seconds);
    assert!(near(four.seconds["one_thread"], all));
    let shared = send + all / (1.0 + 3.0 * board().team_gain);
    assert!(near(four.seconds["frame"], shared), "{:?}", four.seconds);
}

#[test]
fn tables_reach_the_schedule() {
    let m = model("yolov2");
    let plan = |winograd4: f64, exact| {
        let o = PlanOptions {
            grids: vec![[2, 2]],
            offload: Some(12),
            exact,
            ..PlanOptions::of(
                2,
                &Board {
                    costs: table(Target::Aarch64, winograd4),
                    ..board()
                },
            )
        };
        make::plan(&m, &o).unwrap()
    };
    let (slow, fast) = (plan(2.0, false), plan(4.0, false));
    assert_eq!(slow.dataflow, fast.dataflow);
    assert_eq!(slow.target, fast.target);
    for key in ["stages", "tail", "one_thread", "cores_busy"] {
        let (slow, fast) = (slow.estimates.seconds[key], fast.estimates.seconds[key]);
        assert!(fast < 0.9 * slow, "{key}: {fast} {slow}");
    }
    // A multiply-add a nanosecond, where all kernels are direct ones.
    let direct = plan(4.0, true);
    let stages: u64 = direct.dataflow.stages[0].tiles.iter().map(|t| t.macs).sum();
    let tail = direct.target["aarch64"].tail.macs;
    let seconds = direct.estimates.seconds["one_thread"];
    let expected = 1e-9 * (stages + tail) as f64;
    assert!(
        (seconds / expected - 1.0).abs() < 0.2,
        "{seconds} {expected}"
    );
    assert!(seconds > fast.estimates.seconds["one_thread"]);
}
