//! The clusters of `docs/clusters`: what their plans promise is what the simulated cluster does.

use anyhow::{Context, Result, ensure};
use tessera_plan::plan::Plan;
use tessera_planner::{
    boards::Board,
    cluster,
    kernel::costs::CostTable,
    make,
    options::{Costs, Goal, PlanOptions, Target},
};
use tessera_sim::stream::Sources;
use tessera_simulate::SimulatedCluster;
use tessera_tests::{bundle, model};

/// Options for the boards of a file in `docs/clusters`.
fn described(file: &str) -> Result<PlanOptions> {
    let folder = bundle::root().join("docs/clusters");
    let text = std::fs::read(folder.join(file))?;
    let costs = |name: &str, _: Target| {
        let table = std::fs::read_to_string(folder.join(name)).map_err(|e| e.to_string())?;
        let table = CostTable::from_toml(&table).map_err(|e| e.to_string())?;
        Ok(Costs::Table(table.into()))
    };
    let (read, mistakes) = cluster::read(&text, &costs);
    ensure!(mistakes.is_empty(), "{file}: {mistakes:?}");
    let read = read.context("no cluster")?;
    Ok(PlanOptions {
        boards: read.edges,
        gateway: read.gateway,
        ..PlanOptions::of(1, &Board::new(Target::Aarch64))
    })
}

fn seconds(plan: &Plan) -> f64 {
    plan.estimates.seconds["frame"]
}

/// Most that a frame on six boards may take, as a share of the time of the gateway's board alone.
const OF_ONE_MAX: f64 = 0.4;
/// Most that the planned time may differ from the simulated one, as a share of that: the schedule leaves out messages of
/// seven boards on a channel, and that the first rows of a transfer come in few datagrams.
const SHARE_MAX: f64 = 0.05;

#[test]
fn six_boards_are_more_than_twice_as_fast_as_one() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let options = described("six-pi3.toml")?;
    let alone = PlanOptions {
        offload: Some(0),
        ..options.clone()
    };
    let alone_s = seconds(&make::plan(&m, &alone)?);
    let plan = make::plan(&m, &options)?;
    ensure!(
        plan.boards.iter().any(|b| b.threads == 4),
        "a board's cores share no task"
    );
    let line = SimulatedCluster::new(&m.graph, &plan, &options)?.frame()?;
    let why = plan.estimates.why.join("\n");
    println!(
        "planned {:.3} s, simulated {:.3} s to the tail and {:.3} s to the detections\n{why}",
        seconds(&plan),
        line.merged_s,
        line.written_s
    );
    let planned_s = seconds(&plan);
    for s in [planned_s, line.written_s] {
        ensure!(s <= OF_ONE_MAX * alone_s, "{s:.3} s, alone {alone_s:.3} s");
    }
    let share = planned_s / line.written_s - 1.0;
    ensure!(share.abs() <= SHARE_MAX, "{:+.1} %", 100.0 * share);
    Ok(())
}

/// Least frames per second of one camera, as a share of what all boards compute.
const FPS_REACHED: f64 = 0.94;

#[test]
fn one_camera_keeps_six_boards_busy() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let options = PlanOptions {
        goal: Goal::Throughput,
        ..described("six-pi3.toml")?
    };
    let plan = make::plan(&m, &options)?;
    let cluster = SimulatedCluster::new(&m.graph, &plan, &options)?;
    let sources = Sources {
        boards: 1,
        frames: 40,
        in_flight: plan.dataflow.frames_in_flight,
        interval_s: 0.0,
    };
    let (fps, most) = (
        cluster.stream(&sources, &[])?.fps(8),
        cluster.frames_per_second_max(),
    );
    let planned = 1.0 / plan.estimates.seconds["period"];
    println!(
        "planned {planned:.3} frames/s, simulated {fps:.3}, boards compute {most:.3}, {} in flight\n{}",
        plan.dataflow.frames_in_flight,
        plan.estimates.why.join("\n")
    );
    ensure!(fps >= FPS_REACHED * most, "{fps:.3} of {most:.3} frames/s");
    ensure!(
        (planned / fps - 1.0).abs() <= SHARE_MAX,
        "planned {planned:.3}, simulated {fps:.3}"
    );
    Ok(())
}
