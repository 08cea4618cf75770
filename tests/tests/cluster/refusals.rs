//! What nodes will not do, and what they say about it.

use std::{process::Command, time::Duration};

use anyhow::Result;
use tessera_tests::rig::{Cluster, Edge, End, Process, SHORT, Setup};

use crate::common::{Frames, LONG, node};

/// Runs the node with `words`; gives its end and its complaint.
fn run(words: &[&str]) -> Result<(End, String)> {
    let node = node("one-2x3");
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(&node.path);
    command.args(["--program", "one-2x3"]).args(words);
    command.arg("--weights").arg(&node.weights);
    let process = Process::start(command, "node", dir.path())?;
    Ok((process.wait(SHORT)?, process.complaint()))
}

#[test]
fn nodes_without_keys_stay_on_loopback() -> Result<()> {
    for words in [
        &["gateway", "--listen", "0.0.0.0:0"][..],
        &["gateway", "--listen", "[::]:0"],
        &["edge", "--id", "1", "--gateway", "192.0.2.1:7"],
        &[
            "edge",
            "--id",
            "1",
            "--gateway",
            "127.0.0.1:7",
            "--listen",
            "0.0.0.0:0",
        ],
    ] {
        let (end, said) = run(words)?;
        assert_eq!(end, End::Code(1), "{words:?}: {said}");
        assert!(
            said.contains("cargo xtask cluster init"),
            "{words:?}: {said}"
        );
    }
    Ok(())
}

#[test]
fn command_lines_that_make_no_sense() -> Result<()> {
    for (words, what) in [
        (&["gateway"][..], "--listen"),
        (&["edge", "--id", "1"], "--gateway"),
        (&["edge", "--gateway", "127.0.0.1:7"], "--id"),
        (&["edge", "--gateway", "nowhere", "--id", "1"], "nowhere"),
        (&["cook"], "cook"),
    ] {
        let (end, said) = run(words)?;
        assert_eq!(end, End::Code(2), "{words:?}: {said}");
        assert!(said.contains(what), "{words:?}: {said}");
    }
    Ok(())
}

#[test]
fn an_unreadable_input_is_skipped_and_told() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 2, 20)?;
    let mut files = frames.files.clone();
    let bad = files[0].with_file_name("bad.f32");
    std::fs::write(&bad, [1, 2, 3])?;
    files.insert(1, bad);
    let setup = Setup {
        edges: vec![Edge::source(1, files)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let mut records = cluster.wait_records(2, LONG)?;
    let event = cluster.edges[0].event("skipped", SHORT)?;
    assert_eq!(event["tag"], 1);
    cluster.edges[0].event("finished", SHORT)?;
    // The good ones are there under their own numbers.
    for r in &mut records {
        if r["tag"] == 2 {
            r["tag"] = 1.into();
        }
    }
    frames.check(1, &records)?;
    let source = &cluster.edges[0];
    assert_eq!(source.stop(SHORT)?, End::Code(1));
    assert!(
        source.complaint().contains("bad.f32"),
        "{}",
        source.complaint()
    );
    Ok(())
}

#[test]
fn another_plan_is_turned_away() -> Result<()> {
    let cluster = Cluster::start(&node("one-2x3"), Setup::default())?;
    let addr = cluster.gateway.event("listening", SHORT)?;
    let stranger = node("one-4x4");
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(&stranger.path);
    command.args(["--program", "one-4x4", "edge", "--id", "1", "--gateway"]);
    command.arg(addr["addr"].as_str().unwrap_or_default());
    command.arg("--weights").arg(&stranger.weights);
    let process = Process::start(command, "stranger", dir.path())?;
    tessera_tests::rig::wait_for(SHORT, || {
        Ok(process.complaint().contains("another plan").then_some(()))
    })?;
    assert_eq!(process.stop(SHORT)?, End::Code(0));
    let (gateway, _) = cluster.stop()?;
    assert!(crate::common::number(&gateway, "/counters/nodes_refused") > 0);
    Ok(())
}

#[test]
fn an_edge_waits_for_its_gateway_and_leaves_when_told() -> Result<()> {
    let node = node("one-2x3");
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(&node.path);
    // Nobody listens on the discard port of loopback.
    command.args([
        "--program",
        "one-2x3",
        "edge",
        "--id",
        "1",
        "--gateway",
        "127.0.0.1:9",
    ]);
    command.arg("--weights").arg(&node.weights);
    let process = Process::start(command, "edge", dir.path())?;
    tessera_tests::rig::wait_for(SHORT, || {
        Ok(process.complaint().contains("127.0.0.1:9").then_some(()))
    })?;
    assert_eq!(process.end()?, None);
    assert_eq!(process.stop(Duration::from_secs(30))?, End::Code(0));
    process.wait_alone(SHORT)?;
    Ok(())
}
