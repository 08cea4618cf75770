//! Boards keep to the memory that their plan states: a source and a thief of YOLOv2's first 16 layers, as real
//! processes, looked at while they run.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use tessera_plan::{graph::Darknet, plan::Plan};
use tessera_planner::{boards::Board, memory, model::Model, options::PlanOptions};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    model,
    rig::{Cluster, Edge, NodeBinary, Setup, wait_for},
};

const WITHIN: Duration = Duration::from_secs(300);
const MIB: u64 = 1 << 20;
/// Frames of a run: more than are in flight at a time.
const FRAMES: usize = 5;

/// The layers that edges compute, without the ones behind them.
fn leading_layers(count: usize) -> Result<Model> {
    let cfg = fs::read_to_string(bundle::root().join("models/yolov2.cfg"))?;
    // A comment and [net] come first.
    let sections: Vec<&str> = cfg.split("\n[").take(count + 2).collect();
    model::random("leading", &sections.join("\n["), Darknet::Alexey, 3)
}

fn board() -> Board {
    Board::new(bundle::host_targets()[0])
}

/// The plan that README gives for small boards.
fn small() -> PlanOptions {
    PlanOptions {
        cuts: vec![4, 8, 12, 16],
        grids: vec![[5, 5], [4, 4], [3, 3], [3, 3]],
        tiles: 32,
        ..PlanOptions::of(2, &board())
    }
}

/// A searched plan under a limit.
fn limited(bytes: u64) -> PlanOptions {
    let board = Board {
        memory_bytes: Some(bytes),
        ..board()
    };
    PlanOptions::of(2, &board)
}

/// Most proportional set size of a thief's and a source's processes in a run of [`FRAMES`] frames. Both map the same
/// files here, whose pages count half for each.
fn run(node: &NodeBinary) -> Result<[u64; 2]> {
    let picture = bundle::root().join("models/demo/demo.png");
    let source = Edge {
        workers: 1,
        images: vec![picture; FRAMES],
        ..Edge::default()
    };
    let setup = Setup {
        edges: vec![Edge::thief(1)],
        frames: Some(FRAMES as u64),
        threads: 1,
        ..Setup::default()
    };
    let mut cluster = Cluster::start(node, setup)?;
    cluster.edges[0].event("joined", WITHIN)?;
    cluster.join(&source)?;
    let mut most = [0; 2];
    wait_for(WITHIN, || {
        for (edge, most) in cluster.edges.iter().zip(&mut most) {
            *most = edge.proportional_bytes()?.max(*most);
        }
        Ok((cluster.records()?.len() >= FRAMES).then_some(()))
    })?;
    Ok(most)
}

fn check(bundle: &Bundle, name: &str, limit: u64) -> Result<()> {
    let plan: &Plan = bundle.plan(name)?;
    let stated = &plan.estimates.memory;
    let stated = [memory::edge_bytes(stated), memory::source_bytes(stated)];
    let found = run(&bundle.node(name)?)?;
    for (k, role) in ["thief", "source"].iter().enumerate() {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        println!(
            "{name}: {role} {:.1} MiB, stated {:.1}",
            mib(found[k]),
            mib(stated[k])
        );
        ensure!(
            found[k] <= stated[k] && stated[k] <= limit,
            "{role}: {} bytes; {} are stated, at most {limit} are allowed",
            found[k],
            stated[k],
        );
    }
    Ok(())
}

#[test]
fn boards_keep_to_the_memory_of_their_plan() -> Result<()> {
    let model = leading_layers(16)?;
    let entries = [
        Entry::new("small", &model, small()),
        Entry::new("limited", &model, limited(20 * MIB)),
    ];
    let bundle = bundle::build("boards", bundle::host_targets()[0], &entries)?;
    check(&bundle, "small", u64::MAX)?;
    check(&bundle, "limited", 20 * MIB)
}
