//! Frames per second: whole frames on the simulated cluster against what the boards could compute at most, and a first
//! frame with others behind it.

use anyhow::{Context, Result, ensure};
use tessera_plan::{placement::ANYWHERE, plan::Plan};
use tessera_planner::{
    cluster::{self, Cluster},
    make,
    options::{Costs, Goal, PlanOptions},
};
use tessera_sim::{
    Fault,
    stream::{Sources, Stream},
    timing::SOURCE_START_US,
};
use tessera_simulate::SimulatedCluster;
use tessera_tests::model;

/// Part of the compute bound that must be reached.
const REACHED: f64 = 0.9;
/// The same for a whole run, at whose end boards idle.
const WHOLE_RUN: f64 = 0.8;
/// Most by which a frame may take longer because others are behind it.
const SLOWER_MAX: f64 = 1.1;
/// Seconds within which a source finds an idle board, and the board has fetched a frame.
const FOUND_S: f64 = 2.0;
/// Seconds without a renewal after which a lease is void.
const LEASE_S: f64 = 1.5;

/// Six boards with a small part of a core, and a gateway that is as fast as four of them and computes frames too.
fn boards() -> Result<Cluster> {
    let mut text = String::from(
        "version = 1\n[[link]]\nname = \"wifi\"\nrate = \"38.4Mbit\"\ndelay = \"15ms\"\n\
         [[board]]\nname = \"hub\"\nroles = [\"gateway\", \"edge\"]\ntarget = \"portable\"\nshare = 0.116\n",
    );
    for k in 1..=6 {
        text += &format!("[[board]]\nname = \"board {k}\"\ntarget = \"portable\"\nshare = 0.029\n");
    }
    let (cluster, found) = cluster::read(text.as_bytes(), &|_, _| Ok(Costs::default()));
    cluster.with_context(|| format!("{found:?}"))
}

fn options(goal: Goal, cameras: usize) -> Result<PlanOptions> {
    let Cluster { edges, gateway } = boards()?;
    Ok(PlanOptions {
        goal,
        cameras,
        boards: edges,
        gateway,
        ..PlanOptions::default()
    })
}

/// Frames of one or more cameras, as soon as there is room.
fn stream(cluster: &SimulatedCluster, plan: &Plan, boards: usize, frames: u32) -> Result<Stream> {
    let sources = Sources {
        boards,
        frames,
        in_flight: plan.dataflow.frames_in_flight,
        interval_s: 0.0,
    };
    Ok(cluster.stream(&sources, &[])?)
}

#[test]
fn whole_frames_reach_what_boards_can_compute() -> Result<()> {
    let m = model::shipped("yolov2")?;
    for cameras in [1, 6] {
        let o = options(Goal::Throughput, cameras)?;
        let plan = make::plan(&m, &o)?;
        println!("{}", plan.estimates.why.join("\n"));
        let tiles = || plan.dataflow.stages.iter().flat_map(|s| &s.tiles);
        ensure!(
            tiles().count() == 1 && tiles().all(|t| t.home == ANYWHERE),
            "{} is no plan of whole frames",
            plan.name
        );
        let cluster = SimulatedCluster::new(&m.graph, &plan, &o)?;
        let line = stream(&cluster, &plan, cameras, if cameras == 1 { 36 } else { 7 })?;
        let (fps, bound) = (line.fps(8), cluster.frames_per_second_max());
        let planned = 1.0 / plan.estimates.seconds["period"];
        println!(
            "{cameras} cameras, {} in flight: simulated {fps:.4} frames/s, planned {planned:.4}, bound {bound:.4} ({:.1} %), {} MiB",
            plan.dataflow.frames_in_flight,
            100.0 * fps / bound,
            line.objects_bytes >> 20,
        );
        ensure!(fps >= REACHED * bound, "{fps} of {bound}");
        ensure!((planned / fps - 1.0).abs() < 0.1, "{planned} {fps}");
    }
    Ok(())
}

/// Six cameras fill a board's memory with more frames than it has room for: it says so, and gets the others later.
#[test]
fn six_cameras_find_boards_that_were_full() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let o = options(Goal::Throughput, 1)?;
    let plan = make::plan(&m, &o)?;
    let cluster = SimulatedCluster::new(&m.graph, &plan, &o)?;
    let line = stream(&cluster, &plan, 6, 20)?;
    let last_s = line
        .frames
        .iter()
        .fold(0.0, |last, f| f.written_s.max(last));
    let (fps, bound) = (f64::from(6 * 20) / last_s, cluster.frames_per_second_max());
    println!("{fps:.4} frames/s of the whole run, bound {bound:.4}");
    ensure!(fps >= WHOLE_RUN * bound, "{fps} of {bound}");
    Ok(())
}

/// What a frame of tiles takes with another one right behind it, for plans of one stage and of several.
#[test]
fn a_frame_does_not_suffer_from_the_next_one() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let plans: [(&[usize], [usize; 2]); 3] = [
        (&[16], [3, 3]),
        (&[8, 16], [3, 2]),
        (&[4, 8, 12, 16], [3, 2]),
    ];
    for (cuts, grid) in plans {
        let mut o = PlanOptions {
            cuts: cuts.to_vec(),
            grids: vec![grid],
            ..options(Goal::Latency, 1)?
        };
        o.boards.retain(|b| !b.is_gateway);
        let plan = make::plan(&m, &o)?;
        let cluster = SimulatedCluster::new(&m.graph, &plan, &o)?;
        let first = |frames: u32| -> Result<f64> {
            let line = stream(&cluster, &plan, 1, frames)?;
            let first = line.frames.iter().find(|f| f.number == 0);
            Ok(first.context("the first frame")?.written_s)
        };
        let (alone_s, followed_s) = (first(1)?, first(3)?);
        println!(
            "{cuts:?} of {grid:?}: {alone_s:.3} s alone, {followed_s:.3} s with others behind it ({:+.1} %)",
            100.0 * (followed_s / alone_s - 1.0)
        );
        ensure!(followed_s <= SLOWER_MAX * alone_s, "{cuts:?} of {grid:?}");
    }
    Ok(())
}

#[test]
fn a_board_that_dies_with_a_frame_costs_its_lease() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let o = options(Goal::Throughput, 1)?;
    let plan = make::plan(&m, &o)?;
    let cluster = SimulatedCluster::new(&m.graph, &plan, &o)?;
    let sources = Sources {
        boards: 1,
        frames: 2,
        in_flight: 2,
        interval_s: 0.0,
    };
    let second = |line: &Stream| line.frames.iter().find(|f| f.number == 1).cloned();
    let whole = cluster.stream(&sources, &[])?;
    let whole = second(&whole).context("the second frame")?;
    let [run] = whole.tasks.as_slice() else {
        anyhow::bail!("nothing runs twice: {whole:?}");
    };
    ensure!(run.board != 0, "the first frame keeps its source busy");
    let dies_s = f64::midpoint(run.start_s, run.end_s);
    let crash = Fault::Crash {
        node: run.board + 1,
    };
    let at_us = SOURCE_START_US + (1e6 * dies_s) as u64;
    let line = cluster.stream(&sources, &[(at_us, crash)])?;
    let again = second(&line).context("the second frame")?;
    let [rerun] = again.tasks.as_slice() else {
        anyhow::bail!("{again:?}");
    };
    println!(
        "dies at {dies_s:.2} s, begun again at {:.2} s",
        rerun.start_s
    );
    // Idle boards are asked for first, and the frame travels again.
    ensure!(
        rerun.board != run.board && rerun.start_s < dies_s + LEASE_S + FOUND_S,
        "{rerun:?}"
    );
    Ok(())
}
