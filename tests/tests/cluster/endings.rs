//! How nodes end, and what becomes of the others.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tessera_tests::rig::{Cluster, Edge, End, SHORT, Setup, wait_for};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::{hold, reaches},
};

/// Ends the gateway by `signal` while a frame is in flight, starts it anew, and sees the frame end.
fn gateway_ends_alone(signal: Signal, seed: u64) -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 2, seed)?;
    let fifo = frames.fifo("late")?;
    let setup = Setup {
        edges: vec![
            Edge::source(1, [frames.files[0].clone(), fifo.clone()]),
            Edge::thief(1),
        ],
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    cluster.wait_records(1, LONG)?;
    let worker = hold(&cluster.edges[0])?;
    let other = hold(&cluster.edges[1])?;
    frames.feed(&fifo, 1)?;
    reaches(&cluster.gateway, "/counters/frames_accepted", 2)?;
    cluster.gateway.signal(signal)?;
    assert_eq!(cluster.gateway.wait(SHORT)?, End::Code(0));
    let said = cluster.gateway.errors();
    assert!(said.contains(signal.as_str()), "{said}");
    // They notice, and wait.
    for edge in &cluster.edges {
        wait_for(SHORT, || {
            Ok(edge.errors().contains("does not answer").then_some(()))
        })
        .context("the edge says that its gateway is gone")?;
        assert_eq!(edge.end()?, None);
    }
    cluster.start_gateway_again()?;
    cluster.edges[0].pause_child(worker, false)?;
    cluster.edges[1].pause_child(other, false)?;
    let records = cluster.wait_records(2, LONG)?;
    frames.check(1, &records)?;
    cluster.edges[0].event("finished", LONG)?;
    for edge in &cluster.edges {
        wait_for(SHORT, || {
            Ok(edge.errors().contains("is back").then_some(()))
        })?;
    }
    let (_, edges) = cluster.stop()?;
    let stats = edges[0].as_ref().context("the source lives")?;
    assert_eq!(number(stats, "/frames/dropped"), 0);
    Ok(())
}

#[test]
fn a_gateway_that_is_told_to_end_ends_alone() -> Result<()> {
    gateway_ends_alone(Signal::SIGTERM, 70)
}

#[test]
fn a_gateway_whose_terminal_closes_ends_alone() -> Result<()> {
    gateway_ends_alone(Signal::SIGHUP, 71)
}

/// Ends a gateway with `flags` by `signal`; its edges end too.
fn cluster_ends(flags: &[&str], signal: Signal) -> Result<()> {
    let node = node("one-2x3");
    let setup = Setup {
        edges: vec![Edge::thief(1), Edge::thief(1)],
        flags: flags.iter().map(|f| (*f).into()).collect(),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    cluster.gateway.signal(signal)?;
    for node in [&cluster.gateway, &cluster.edges[0], &cluster.edges[1]] {
        assert_eq!(node.wait(SHORT)?, End::Code(0), "{}", node.complaint());
        node.wait_alone(SHORT)?;
    }
    Ok(())
}

#[test]
fn a_cluster_ends_when_that_is_asked_for() -> Result<()> {
    cluster_ends(&["--end-cluster"], Signal::SIGTERM)?;
    cluster_ends(&[], Signal::SIGUSR2)
}

#[test]
fn an_edge_whose_terminal_closes_says_so() -> Result<()> {
    let cluster = Cluster::start(
        &node("one-2x3"),
        Setup {
            edges: vec![Edge::thief(1)],
            ..Setup::default()
        },
    )?;
    let edge = &cluster.edges[0];
    edge.event("joined", SHORT)?;
    edge.signal(Signal::SIGHUP)?;
    assert_eq!(edge.wait(SHORT)?, End::Code(0));
    assert!(edge.errors().contains("SIGHUP"), "{}", edge.errors());
    // The gateway says who left.
    wait_for(SHORT, || {
        Ok(cluster.gateway.errors().contains("it left").then_some(()))
    })?;
    assert!(cluster.gateway.errors().contains("node 1 joined"));
    Ok(())
}

#[test]
fn a_count_of_frames_is_kept() -> Result<()> {
    let node = node("one-2x3");
    // More frames than asked for are in flight at once.
    let frames = Frames::new(&node, 6, 72)?;
    for count in [1, 3] {
        let fifo = frames.fifo(&format!("late-{count}"))?;
        let mut files = frames.files.clone();
        files[0].clone_from(&fifo);
        let setup = Setup {
            edges: vec![Edge::source(2, files), Edge::thief(1)],
            frames: Some(count),
            ..Setup::default()
        };
        let cluster = Cluster::start(&node, setup)?;
        // Whoever has not joined cannot be told to end.
        reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
        frames.feed(&fifo, 0)?;
        assert_eq!(cluster.gateway.wait(LONG)?, End::Code(0));
        for edge in &cluster.edges {
            assert_eq!(edge.wait(SHORT)?, End::Code(0));
        }
        assert_eq!(cluster.records()?.len() as u64, count);
        let stats = cluster.gateway.stats()?;
        assert_eq!(number(&stats, "/frames/detections"), count);
    }
    Ok(())
}

#[test]
fn a_gateway_says_what_happens_and_nothing_at_rest() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 4, 73)?;
    let setup = Setup {
        edges: vec![Edge::source(1, frames.files.clone())],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    cluster.wait_records(4, LONG)?;
    cluster.edges[0].event("finished", LONG)?;
    cluster.edges[0].kill()?;
    wait_for(SHORT, || {
        let said = cluster.gateway.errors();
        Ok(said.contains("nothing was heard of it").then_some(()))
    })?;
    let said = cluster.gateway.errors();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "a join and a loss: {said}");
    let edge = cluster.edges[0].errors();
    assert_eq!(edge.lines().count(), 1, "it joined: {edge}");
    Ok(())
}
