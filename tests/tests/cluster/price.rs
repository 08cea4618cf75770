//! What sessions and checks cost on the demo's detector, between processes on loopback. Measured, not asserted.
//!
//! `cargo test --release -p tessera-tests --test cluster price -- --ignored --nocapture`: turns of both kinds follow each other, so that what
//! else the machine does meets both. `TESSERA_PACE_SECONDS` is the time of a turn.

use std::time::Instant;

use anyhow::Result;
use tessera_tests::{
    rig::{Cluster, Edge, NodeBinary, Setup},
    shipped,
};

use crate::{
    common::{LONG, number},
    deaths::reaches,
    pace::time,
    sealed::{setup, three},
};

/// Turns of each kind.
const TURNS: usize = 5;

/// A turn's milliseconds for a frame, and processor seconds of all nodes for it in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Cost {
    frame_ms: f64,
    processor_ms: f64,
}

/// Frames of a source and a board, each with one worker.
fn turn(node: &NodeBinary, sealed: bool, verify: &str) -> Result<Cost> {
    let keys = three()?;
    let mut source = Edge {
        // More than can end in the time.
        images: vec![shipped::folder().join("demo.png"); 20_000],
        ..Edge::thief(1)
    };
    source.flags.extend(["--verify".into(), verify.into()]);
    let setup = if sealed {
        setup(&keys, source, 1)
    } else {
        Setup {
            edges: vec![source, Edge::thief(1)],
            ..Setup::default()
        }
    };
    let no_dump = true;
    let cluster = Cluster::start(node, Setup { no_dump, ..setup })?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    reaches(&cluster.gateway, "/counters/frames_detected", 5)?;
    let now = || -> Result<(Instant, f64, f64)> {
        let nodes = cluster.edges.iter().chain([&cluster.gateway]);
        let processor_s = nodes.map(|n| n.processor_s()).sum::<Result<f64>>()?;
        let ended = number(&cluster.gateway.ask(LONG)?, "/counters/frames_detected");
        Ok((Instant::now(), ended as f64, processor_s))
    };
    let before = now()?;
    std::thread::sleep(time());
    let after = now()?;
    let frames = (after.1 - before.1).max(1.0);
    Ok(Cost {
        frame_ms: 1e3 * (after.0 - before.0).as_secs_f64() / frames,
        processor_ms: 1e3 * (after.2 - before.2) / frames,
    })
}

/// The median of a figure.
fn median(all: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut all: Vec<f64> = all.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn tell(name: &str, all: &[Cost], than: &[Cost]) {
    let each = |f: fn(&Cost) -> f64| (median(all, f), median(all, f) / median(than, f));
    let (frame, processor) = (each(|c| c.frame_ms), each(|c| c.processor_ms));
    println!(
        "{name:14} {:8.2} ms a frame, {:.3} times; {:8.2} ms of processors, {:.3} times; {}",
        frame.0,
        frame.1,
        processor.0,
        processor.1,
        all.iter()
            .map(|c| format!("{:.2}", c.frame_ms))
            .collect::<Vec<_>>()
            .join(" ")
    );
}

#[test]
#[ignore = "measures; see the module"]
fn price_of_sessions() -> Result<()> {
    let node = shipped::node()?;
    let mut costs = [Vec::new(), Vec::new()];
    for k in 0..TURNS {
        // Who is first changes.
        for sealed in [k % 2 == 0, k % 2 != 0] {
            costs[usize::from(sealed)].push(turn(&node, sealed, "0")?);
        }
    }
    tell("open", &costs[0], &costs[0]);
    tell("with sessions", &costs[1], &costs[0]);
    Ok(())
}

#[test]
#[ignore = "measures; see the module"]
fn price_of_checks() -> Result<()> {
    let node = shipped::node()?;
    let shares = ["0", "0.1", "0.3", "1"];
    let mut costs = [const { Vec::new() }; 4];
    for _ in 0..TURNS {
        for (share, costs) in shares.iter().zip(&mut costs) {
            costs.push(turn(&node, true, share)?);
        }
    }
    for (share, all) in shares.iter().zip(&costs) {
        tell(&format!("--verify {share}"), all, &costs[0]);
    }
    Ok(())
}
