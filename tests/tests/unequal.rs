//! Boards of different speeds: a plan for them against equal tiles that boards steal, in the simulated cluster.

use anyhow::{Context, Result, ensure};
use tessera_plan::plan::{Placement, Plan};
use tessera_planner::{
    cluster::{self, Cluster},
    make,
    model::Model,
    options::{Costs, PlanOptions},
};
use tessera_sim::timing::Timeline;
use tessera_simulate::SimulatedCluster;
use tessera_tests::model;

/// Shares of a core: quotas of 9000, 4500, 4500, 4500, 2200 and 2200 us of 20 ms.
const SHARES: [f64; 6] = [0.45, 0.225, 0.225, 0.225, 0.11, 0.11];

/// The boards, as `cluster.toml` describes them.
fn boards() -> Result<Cluster> {
    let mut text = String::from(
        "version = 1\n[[link]]\nname = \"wifi\"\nrate = \"38.4Mbit\"\ndelay = \"15ms\"\n\
         [[board]]\nname = \"hub\"\nroles = [\"gateway\"]\ntarget = \"portable\"\nshare = 0.9\n",
    );
    for (k, share) in (1..).zip(SHARES) {
        let roles = if k == 1 {
            "\"edge\", \"source\""
        } else {
            "\"edge\""
        };
        text += &format!(
            "[[board]]\nname = \"board {k}\"\nroles = [{roles}]\ntarget = \"portable\"\nshare = {share}\n"
        );
    }
    let (cluster, found) = cluster::read(text.as_bytes(), &|_, _| Ok(Costs::default()));
    cluster.with_context(|| format!("{found:?}"))
}

/// A frame of a plan on the simulated boards.
fn simulated(m: &Model, o: &PlanOptions, plan: &Plan) -> Result<Timeline> {
    Ok(SimulatedCluster::new(&m.graph, plan, o)?.frame()?)
}

/// Equal tiles that boards steal: stages, grid, and how much faster a plan for the boards must be at least. Sixteen tiles in
/// four stages steal best: the channel carries three times the bytes for it. Nine tiles in two stages are at 1.49 times.
const STOLEN: [(&[usize], [usize; 2], f64); 7] = [
    (&[16], [3, 2], 1.5),
    (&[16], [3, 3], 1.5),
    (&[16], [4, 4], 1.5),
    (&[16], [5, 5], 1.5),
    (&[4, 8, 12, 16], [3, 2], 1.5),
    (&[8, 16], [3, 3], 1.4),
    (&[4, 8, 12, 16], [4, 4], 1.3),
];

/// YOLOv2-608's first 16 layers by portable kernels.
#[test]
fn plans_for_unequal_boards_are_faster_than_stealing() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let Cluster { edges, gateway } = boards()?;
    let o = PlanOptions {
        offload: Some(16),
        boards: edges,
        gateway,
        ..PlanOptions::default()
    };
    let plan = make::plan(&m, &o)?;
    println!("{}", plan.estimates.why.join("\n"));
    let planned = simulated(&m, &o, &plan)?;
    println!(
        "planned {:.2} s, simulated {:.2} s",
        plan.estimates.seconds["stages"], planned.merged_s
    );
    for (cuts, grid, least) in STOLEN {
        let stolen = PlanOptions {
            offload: None,
            cuts: cuts.to_vec(),
            grids: vec![grid],
            placement: Placement::Steal,
            ..o.clone()
        };
        let equal = simulated(&m, &stolen, &make::plan(&m, &stolen)?)?;
        let times = equal.merged_s / planned.merged_s;
        println!(
            "equal tiles {grid:?}, stages {cuts:?}, stolen: {:.2} s, {times:.2} times",
            equal.merged_s
        );
        ensure!(times >= least, "{grid:?} {cuts:?}: {times:.2} times");
    }
    Ok(())
}

#[test]
fn a_board_that_slows_the_rest_is_left_out_by_name() -> Result<()> {
    let Cluster { mut edges, gateway } = boards()?;
    edges[5].share = 0.004;
    let o = PlanOptions {
        offload: Some(16),
        boards: edges,
        gateway,
        ..PlanOptions::default()
    };
    let plan = make::plan(&model::shipped("yolov2")?, &o)?;
    let why = &plan.estimates.why;
    let left_out = why.iter().find(|line| line.starts_with("left out"));
    ensure!(
        left_out.is_some_and(|line| line.contains("board 6") && !line.contains("board 5")),
        "{why:?}"
    );
    Ok(())
}
