//! Which process is a node: restarts of the gateway, and two edges with one number.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use tessera_tests::rig::{Cluster, Edge, End, NodeBinary, Process, SHORT, Setup};

use crate::{
    common::{Frames, LONG, node},
    deaths::reaches,
};

/// An edge with a number of its own choice.
fn edge(node: &NodeBinary, id: u16, cluster: &Cluster, dir: &tempfile::TempDir) -> Result<Process> {
    let listening = cluster.gateway.event("listening", SHORT)?;
    let mut command = Command::new(&node.path);
    command.args(["--program", "one-2x3", "edge", "--id", &id.to_string()]);
    command.arg("--gateway");
    command.arg(listening["addr"].as_str().context("an address")?);
    command.arg("--weights").arg(&node.weights);
    Process::start(command, "twin", dir.path())
}

#[test]
fn whatever_number_a_restarted_gateway_draws_it_is_heard() -> Result<()> {
    let node = node("one-2x3");
    // Four restarts: that every number is greater than the one before has one chance in 120.
    let frames = Frames::new(&node, 5, 50)?;
    let fifos: Vec<PathBuf> = (0..5)
        .map(|i| frames.fifo(&format!("late{i}")))
        .collect::<Result<_>>()?;
    let setup = Setup {
        edges: vec![Edge::source(1, fifos.clone()), Edge::thief(1)],
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    let mut records = Vec::new();
    for (i, fifo) in fifos.iter().enumerate() {
        if i > 0 {
            cluster.gateway.kill()?;
            cluster.restart_gateway()?;
        }
        frames.feed(fifo, i)?;
        records = cluster.wait_records(i + 1, LONG)?;
        // What its source has not heard of, a restarted gateway publishes again.
        let ended = i as u64 + 1;
        reaches(&cluster.edges[0], "/counters/frames_detected", ended)?;
    }
    frames.check(1, &records)?;
    cluster.stop()?;
    Ok(())
}

#[test]
fn of_two_edges_with_one_number_the_one_that_stays_takes_part() -> Result<()> {
    let node = node("one-2x3");
    let setup = Setup {
        edges: vec![Edge::thief(1)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    cluster.edges[0].event("joined", SHORT)?;
    let dir = tempfile::tempdir()?;
    let twin = edge(&node, 1, &cluster, &dir)?;
    tessera_tests::rig::wait_for(SHORT, || {
        Ok(twin.complaint().contains("--id").then_some(()))
    })?;
    // The first one leaves; the other need not be started again.
    assert_eq!(cluster.edges[0].stop(SHORT)?, End::Code(0));
    twin.event("joined", SHORT)?;
    assert_eq!(twin.stop(SHORT)?, End::Code(0));
    cluster.stop()?;
    Ok(())
}
