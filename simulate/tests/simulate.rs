//! Plans on simulated boards.
#![forbid(unsafe_code)]

use std::{error::Error, path::Path, time::Instant};

use tessera_plan::{
    graph::Darknet,
    plan::{Placement, Plan},
};
use tessera_planner::{
    boards::{Board, Link, Medium},
    cfg, make,
    options::{PlanOptions, Target},
    weights,
};
use tessera_sim::course::Sources;
use tessera_simulate::{Kill, Outcome, Settings, SimulatedCluster, document, table, timeline};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The demo's plan of 3x3 tiles for three boards on one channel, and its options.
fn demo(change: impl Fn(&mut PlanOptions)) -> Result<(Plan, PlanOptions)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo/demo.cfg");
    let graph = cfg::read(&std::fs::read(file)?, "demo", Darknet::Alexey).0;
    let model = weights::without(graph.ok_or("the demo's cfg")?);
    let board = Board {
        link: Link {
            bytes_per_s: 4.8e6,
            delay_s: 3e-3,
            medium: Medium::Shared(0),
        },
        ..Board::new(Target::Aarch64)
    };
    let mut options = PlanOptions {
        grids: vec![[3, 3]],
        offload: Some(8),
        ..PlanOptions::of(3, &board)
    };
    change(&mut options);
    Ok((make::plan(&model, &options)?, options))
}

fn cluster((plan, options): &(Plan, PlanOptions)) -> Result<SimulatedCluster> {
    Ok(SimulatedCluster::new(&plan.network, plan, options)?)
}

/// Three frames of two sources, a twentieth of the datagrams lost, and a board that dies.
fn rough(seed: u64) -> Settings {
    Settings {
        sources: Sources {
            boards: 2,
            frames: 3,
            in_flight: 2,
            interval_s: 0.0,
        },
        loss: 0.05,
        kills: vec![Kill { node: 3, at_s: 0.1 }],
        seed,
        ..Settings::one_frame()
    }
}

/// The document, the drawing and the table.
fn written(made: &(Plan, PlanOptions), settings: &Settings) -> Result<[String; 3]> {
    let cluster = cluster(made)?;
    let outcome = cluster.run(settings)?;
    Ok([
        document::write(&made.0, &cluster, settings, &outcome)?,
        timeline::draw(&made.0, &cluster, settings, &outcome),
        table::render(&made.0, &cluster, settings, &outcome),
    ])
}

#[test]
fn the_same_seed_gives_the_same_bytes() -> Result<()> {
    let made = demo(|_| {})?;
    let one = written(&made, &rough(7))?;
    assert_eq!(one, written(&made, &rough(7))?);
    assert_ne!(one[0], written(&made, &rough(8))?[0]);
    Ok(())
}

#[test]
fn times_and_bytes_do_not_depend_on_values() -> Result<()> {
    for placement in [Placement::Home, Placement::Steal] {
        let made = demo(|o| o.placement = placement)?;
        let mut settings = rough(3);
        let quick = written(&made, &settings)?;
        settings.values = true;
        assert_eq!(quick, written(&made, &settings)?, "{placement:?}");
    }
    Ok(())
}

#[test]
fn frames_outlive_a_board_and_the_killed_source_brings_none() -> Result<()> {
    let cluster = cluster(&demo(|_| {})?)?;
    let ended = |o: &Outcome| (o.summary.detected, o.summary.unfinished);
    let outcome = cluster.run(&rough(1))?;
    assert_eq!(ended(&outcome), (6, 0), "{:?}", outcome.summary);
    assert!(outcome.course.boards[2].is_none() && outcome.summary.rerequested > 0);
    let mut settings = rough(1);
    settings.kills[0].node = 2;
    let outcome = cluster.run(&settings)?;
    assert!(outcome.summary.detected >= 3 && outcome.course.finished);
    Ok(())
}

/// What a source checks it computes itself: all tasks of all frames where it checks everything.
#[test]
fn a_source_that_checks_everything_computes_everything() -> Result<()> {
    for placement in [Placement::Home, Placement::Steal] {
        let made = demo(|o| o.placement = placement)?;
        let cluster = cluster(&made)?;
        let mut settings = Settings::one_frame();
        settings.sources.frames = 4;
        let of_source = |o: &Outcome| o.boards[0].tasks;
        let usual = cluster.run(&settings)?;
        settings.verify = 1.0;
        let outcome = cluster.run(&settings)?;
        let all = 4 * cluster.info.tasks.len();
        assert!(of_source(&usual) < all && of_source(&outcome) == all);
        let checks = &outcome.course.boards[0].as_ref().unwrap().checks;
        assert_eq!((checks.begun, checks.differed), (checks.equal, 0));
        assert!(checks.equal > 0 && outcome.summary.detected == 4);
    }
    Ok(())
}

/// Every byte of values crosses once in a quiet world, so the counts are the plan's.
#[test]
fn bytes_of_a_quiet_frame_are_those_of_the_plan() -> Result<()> {
    let made = demo(|_| {})?;
    let outcome = cluster(&made)?.run(&Settings::one_frame())?;
    let planned = &made.0.estimates.traffic;
    assert_eq!(outcome.summary.kinds[0], planned["expected.frame"]);
    assert_eq!(outcome.summary.kinds[1], planned["expected.stage0"]);
    assert_eq!(outcome.summary.rerequested, 0);
    Ok(())
}

#[test]
fn what_the_gateways_board_makes_does_not_travel_to_it() -> Result<()> {
    let made = demo(|o| *o = o.clone().with_gateway_workers(4))?;
    let cluster = cluster(&made)?;
    let outcome = cluster.run(&Settings::one_frame())?;
    let own = cluster.boards.len();
    assert!(outcome.boards[own - 1].tasks > 0, "{:?}", outcome.boards);
    let local: u64 = (outcome.course.transfers.iter())
        .filter(|t| (t.from, t.to) == (own, 0))
        .map(|t| t.bytes)
        .sum();
    let all: u64 = outcome.course.transfers.iter().map(|t| t.bytes).sum();
    assert!(local > 0);
    assert_eq!(outcome.summary.values_bytes(), all - local);
    Ok(())
}

/// Real seconds that a large cluster may take.
const REAL_S_MAX: f64 = 60.0;

#[test]
fn three_hundred_boards_and_a_hundred_sources_take_less_than_a_minute() -> Result<()> {
    let made = demo(|o| {
        for board in o.boards.iter_mut().chain([&mut o.gateway]) {
            board.link.medium = Medium::Switched;
        }
    })?;
    let settings = Settings {
        sources: Sources {
            boards: 100,
            frames: 2,
            in_flight: 2,
            interval_s: 0.0,
        },
        ..Settings::one_frame()
    };
    let begun = Instant::now();
    let outcome = cluster(&made)?.with_boards(300).run(&settings)?;
    let took_s = begun.elapsed().as_secs_f64();
    println!("{} events in {took_s:.1} s", outcome.course.events);
    assert_eq!(outcome.summary.detected, 200);
    assert!(took_s < REAL_S_MAX, "{took_s} s");
    Ok(())
}

/// Tasks have homes on the boards that were planned for; the table says what the others do.
#[test]
fn boards_that_nothing_was_planned_for_are_named() -> Result<()> {
    for (placement, named) in [(Placement::Home, true), (Placement::Steal, false)] {
        let made = demo(|o| o.placement = placement)?;
        let seven = cluster(&made)?.with_boards(7);
        let settings = Settings::one_frame();
        let outcome = seven.run(&settings)?;
        let table = table::render(&made.0, &seven, &settings, &outcome);
        let words = "at home on these, and the other 4 compute only what is late";
        assert_eq!(table.contains(words), named, "{table}");
        let idle = outcome.boards.iter().filter(|b| b.tasks == 0).count();
        assert_eq!(idle >= 4, named, "{placement:?}");
    }
    Ok(())
}

#[test]
fn a_table_for_people() -> Result<()> {
    let made = demo(|_| {})?;
    let [json, svg, table] = written(&made, &Settings::one_frame())?;
    insta::assert_snapshot!(table);
    // The form is versioned, and the drawing names every board and stage.
    assert!(json.starts_with("{\n  \"version\": 1,"));
    for name in [
        "gateway",
        "edge 1",
        "edge 3",
        "layers 0 to 7",
        "prefers-color-scheme",
    ] {
        assert!(svg.contains(name), "{name}");
    }
    Ok(())
}
