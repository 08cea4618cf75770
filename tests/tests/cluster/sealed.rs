//! Clusters with keys: they compute the same, nobody else takes part, and who is removed is out.

use std::{os::unix::fs::PermissionsExt, process::Command};

use anyhow::Result;
use nix::sys::signal::Signal;
use tessera_tests::{
    keys::Keys,
    relay::Faults,
    rig::{Cluster, Edge, End, Process, SHORT, Setup, wait_for},
};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::reaches,
};

const BOTH: &[&str] = &["edge", "source"];

/// A cluster with keys: a source and `others` more edges.
pub fn setup(keys: &Keys, source: Edge, others: usize) -> Setup {
    let with = |mut edge: Edge, k: usize| {
        edge.flags.extend(keys.flags(&format!("edge-{k}")));
        edge
    };
    let edges = (1..=others).map(|k| with(Edge::thief(1), k + 1));
    Setup {
        edges: [with(source, 1)].into_iter().chain(edges).collect(),
        flags: keys.flags("hub"),
        ..Setup::default()
    }
}

/// A gateway, two edges, and one that is invited and not started.
pub fn three() -> Result<Keys> {
    Keys::new(&[
        ("edge-1", BOTH),
        ("edge-2", &["edge"]),
        ("edge-3", &["edge"]),
    ])
}

/// Datagrams that a node has refused for a reason.
pub fn refused(node: &Process, why: &str) -> Result<u64> {
    Ok(number(
        &node.ask(SHORT)?,
        &format!("/sessions/refused/{why}"),
    ))
}

#[test]
fn sealed_clusters_compute_the_same() -> Result<()> {
    let keys = three()?;
    for program in ["one-4x4-steal", "two-6x1-3x2-homes", "two-6x1-3x2-share"] {
        let node = node(program);
        let frames = Frames::new(&node, 3, 70)?;
        let source = Edge::source(1, frames.files.clone());
        let mut cluster = Cluster::start(&node, setup(&keys, source, 2))?;
        // The frames may be over before a slow machine has started the last one.
        for edge in &mut cluster.edges {
            edge.event("joined", SHORT)?;
        }
        let records = cluster.wait_records(3, LONG)?;
        frames.check(1, &records)?;
        frames.check_dump(&cluster, &records)?;
        let (gateway, edges) = cluster.stop()?;
        assert!(number(&gateway, "/sessions/established") >= 3, "{gateway}");
        for edge in edges.iter().flatten() {
            assert!(number(edge, "/sessions/opened") > 0, "{edge}");
            assert_eq!(number(edge, "/sessions/impostors"), 0);
        }
    }
    Ok(())
}

#[test]
fn sealed_clusters_bear_loss_and_disorder() -> Result<()> {
    let keys = three()?;
    let node = node("two-6x1-3x2-homes");
    let frames = Frames::new(&node, 2, 71)?;
    let source = Edge::source(1, frames.files.clone());
    let setup = Setup {
        relay: Some((Faults::rough(0.1), 9)),
        ..setup(&keys, source, 2)
    };
    let cluster = Cluster::start(&node, setup)?;
    let records = cluster.wait_records(2, LONG)?;
    frames.check(1, &records)?;
    drop(cluster);
    Ok(())
}

#[test]
fn restarts_of_either_side_are_noticed() -> Result<()> {
    let keys = three()?;
    let node = node("one-4x4");
    let frames = Frames::new(&node, 2, 72)?;
    let [first, second] = [frames.fifo("first")?, frames.fifo("second")?];
    let source = Edge::source(1, [first.clone(), second.clone()]);
    let mut cluster = Cluster::start(&node, setup(&keys, source, 1))?;
    cluster.edges[1].event("joined", SHORT)?;
    frames.feed(&first, 0)?;
    cluster.wait_records(1, LONG)?;
    // Nobody says goodbye: old sessions are left at the others.
    cluster.restart_gateway()?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    let mut thief = Edge::thief(1);
    thief.flags = keys.flags("edge-2");
    cluster.restart_edge(1, &thief)?;
    cluster.edges[1].event("joined", SHORT)?;
    frames.feed(&second, 1)?;
    let records = cluster.wait_records(2, LONG)?;
    frames.check(1, &records)?;
    cluster.stop()?;
    Ok(())
}

#[test]
fn the_edge_of_a_sealed_gateways_board_takes_part() -> Result<()> {
    let keys = Keys::with(&["gateway", "edge"], &[("edge-1", BOTH)])?;
    let node = node("one-4x4");
    let frames = Frames::new(&node, 1, 73)?;
    let mut setup = setup(&keys, Edge::source(1, frames.files.clone()), 0);
    setup.flags.extend(["--workers".into(), "1".into()]);
    let cluster = Cluster::start(&node, setup)?;
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    cluster.stop()?;
    Ok(())
}

#[test]
fn who_is_removed_is_out() -> Result<()> {
    let keys = three()?;
    let node = node("one-4x4");
    let frames = Frames::new(&node, 1, 74)?;
    let fifo = frames.fifo("late")?;
    let source = Edge::source(1, [fifo.clone()]);
    let cluster = Cluster::start(&node, setup(&keys, source, 2))?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 3)?;
    keys.remove("edge-3")?;
    reaches(&cluster.gateway, "/counters/nodes_lost", 1)?;
    // It goes on asking, and is not even answered.
    wait_for(LONG, || {
        let unknown = refused(&cluster.gateway, "unknown_peer")?
            + refused(&cluster.gateway, "unknown_session")?;
        Ok((unknown > 0).then_some(()))
    })?;
    frames.feed(&fifo, 0)?;
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    let stats = cluster.gateway.ask(SHORT)?;
    assert_eq!(number(&stats, "/counters/nodes_joined"), 3, "{stats}");
    cluster.stop()?;
    Ok(())
}

/// Runs a node with keys; gives its end and its complaint.
fn run(role: &str, words: &[&str]) -> Result<(End, String)> {
    let node = node("one-2x3");
    let dir = tempfile::tempdir()?;
    let mut command = node.command(role);
    command.args(words);
    let process = Process::start(command, "node", dir.path())?;
    Ok((process.wait(SHORT)?, process.complaint()))
}

#[test]
fn keys_that_cannot_be_used_are_told_of() -> Result<()> {
    let keys = three()?;
    let file = keys.file().display().to_string();
    let key = |name: &str| keys.key_file(name).display().to_string();
    let (hub, one) = (key("hub"), key("edge-1"));
    let listen = ["--listen", "127.0.0.1:0"];
    let config = ["--config", &file];
    for (words, what) in [
        (&["--name", "hub"][..], "go with --config"),
        (&config, "give --name NAME"),
        (
            &["--config", &file, "--name", "attic"],
            "no board \"attic\"",
        ),
        (&["--config", &file, "--name", "edge-1"], "is an edge"),
        (
            &["--config", &file, "--name", "hub", "--key", &one],
            "not the key of hub",
        ),
        (
            &["--config", &file, "--name", "hub", "--secret", "/nowhere"],
            "/nowhere",
        ),
        (&["--config", "/nowhere", "--name", "hub"], "/nowhere"),
        (&["--insecure-lan"], "cargo xtask cluster init"),
    ] {
        let (end, said) = run("gateway", &[&listen[..], words].concat())?;
        assert!(matches!(end, End::Code(1 | 2)), "{words:?}: {end:?}");
        assert!(said.contains(what), "{words:?}: {said}");
    }
    std::fs::set_permissions(&hub, PermissionsExt::from_mode(0o644))?;
    let words = ["--config", &file, "--name", "hub"];
    let (end, said) = run("gateway", &[&listen[..], &words].concat())?;
    assert_eq!(end, End::Code(1));
    assert!(said.contains("chmod 600"), "{said}");
    Ok(())
}

#[test]
fn with_keys_nodes_leave_loopback() -> Result<()> {
    let keys = three()?;
    let node = node("one-2x3");
    let dir = tempfile::tempdir()?;
    let mut command = node.command("gateway");
    // All of this machine's addresses: the test sends nothing anywhere.
    command
        .args(["--listen", "0.0.0.0:0"])
        .args(keys.flags("hub"));
    let process = Process::start(command, "gateway", dir.path())?;
    process.event("listening", SHORT)?;
    process.signal(Signal::SIGTERM)?;
    assert_eq!(process.wait(SHORT)?, End::Code(0));
    Ok(())
}

#[test]
fn a_node_makes_its_keys() -> Result<()> {
    let node = node("one-2x3");
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("porch.key");
    let keygen = || Command::new(&node.path).arg("keygen").arg(&path).output();
    let made = keygen()?;
    assert!(made.status.success(), "{made:?}");
    let mode = std::fs::metadata(&path)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = tessera_secure::parse_private(&std::fs::read_to_string(&path)?)?;
    let said = String::from_utf8(made.stdout)?;
    for public in [key.public(), key.of_second_node().public()] {
        assert!(said.contains(&format!("key = \"{public}\"")), "{said}");
    }
    let again = keygen()?;
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"));
    Ok(())
}
