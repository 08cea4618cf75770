//! A gateway whose board computes tiles too.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use tessera_tests::rig::{Cluster, Edge, End, SHORT, Setup, wait_for};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::{hold, reaches},
};

/// The flags of a gateway whose board computes with two workers.
fn flags() -> Vec<String> {
    vec!["--workers".into(), "2".into()]
}

/// A source without helpers, and the edge on the gateway's board.
fn setup(frames: &Frames) -> Setup {
    Setup {
        edges: vec![Edge::source(1, frames.files.clone())],
        flags: flags(),
        ..Setup::default()
    }
}

/// Statistics of the edge on the gateway's board, which has ended.
fn statistics(cluster: &Cluster) -> Result<Value> {
    let path = cluster.gateway.stats_file().with_extension("json.edge");
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}

#[test]
fn the_gateways_board_computes_tiles() -> Result<()> {
    let node = node("one-4x4");
    let frames = Frames::new(&node, 1, 41)?;
    let fifo = frames.fifo("late")?;
    let setup = Setup {
        edges: vec![Edge::source(1, [fifo.clone()])],
        flags: flags(),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    // The source keeps two of the sixteen tiles, and computes none: the gateway's board has the others.
    let worker = hold(&cluster.edges[0])?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    frames.feed(&fifo, 0)?;
    reaches(&cluster.gateway, "/counters/parts_merged", 14)?;
    cluster.edges[0].pause_child(worker, false)?;
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    frames.check_dump(&cluster, &records)?;
    assert_eq!(cluster.gateway.stop(SHORT)?, End::Code(0));
    let own = statistics(&cluster)?;
    assert_eq!(number(&own, "/counters/tasks_own"), 0);
    assert!(number(&own, "/counters/tasks_stolen") >= 14, "{own}");
    Ok(())
}

#[test]
fn it_is_started_again_and_ends_with_the_gateway() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 1, 42)?;
    let cluster = Cluster::start(&node, setup(&frames))?;
    let children = cluster.gateway.children()?;
    let [edge] = children.as_slice() else {
        panic!("one edge: {children:?}");
    };
    cluster.gateway.kill_child(*edge)?;
    let again = wait_for(SHORT, || {
        let children = cluster.gateway.children()?;
        Ok(children.into_iter().find(|c| c != edge))
    })?;
    assert_ne!(again, *edge);
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    // However the gateway ends, nothing is left of its group.
    cluster.gateway.kill()?;
    cluster.gateway.wait_alone(SHORT)
}

#[test]
fn a_gateway_that_is_told_to_end_takes_it_along() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 1, 43)?;
    let cluster = Cluster::start(&node, setup(&frames))?;
    cluster.wait_records(1, LONG)?;
    cluster.gateway.signal(Signal::SIGTERM)?;
    assert_eq!(cluster.gateway.wait(SHORT)?, End::Code(0));
    cluster.gateway.wait_alone(SHORT)?;
    assert_eq!(cluster.edges[0].end()?, None);
    Ok(())
}
