//! The gateway by name: how it may be written, and what becomes of a name.

use std::process::Command;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tessera_tests::rig::{Cluster, Edge, End, Process, SHORT, Setup, wait_for};

use crate::common::{Frames, LONG, node};

/// Starts an edge that looks for its gateway there.
fn edge(gateway: &str, dir: &std::path::Path) -> Result<Process> {
    let node = node("one-2x3");
    let mut command = Command::new(&node.path);
    command.args(["--program", "one-2x3", "edge", "--id", "1"]);
    command.args(["--gateway", gateway]);
    command.arg("--weights").arg(&node.weights);
    Process::start(command, "edge", dir)
}

#[test]
fn an_edge_finds_its_gateway_by_name() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 2, 31)?;
    let mut cluster = Cluster::start(&node, Setup::default())?;
    let listening = cluster.gateway.event("listening", SHORT)?;
    let addr = listening["addr"].as_str().context("no address")?;
    let (_, port) = addr.rsplit_once(':').context("no port")?;
    cluster.join(&Edge {
        flags: vec!["--gateway".into(), format!("localhost:{port}")],
        ..Edge::source(1, frames.files.clone())
    })?;
    frames.check(1, &cluster.wait_records(2, LONG)?)?;
    cluster.stop()?;
    Ok(())
}

#[test]
fn addresses_that_are_none_show_what_to_write() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (gateway, what) in [
        (
            "192.168.1.10",
            "--gateway 192.168.1.10: the port is missing",
        ),
        ("raspberrypi.local", "as in raspberrypi.local:7400"),
        ("pi:0", "\"0\" is no port"),
        ("fd00::10", "as in [fd00::10]:7400"),
        ("http://pi:7400", "raspberrypi.local:7400"),
    ] {
        let process = edge(gateway, dir.path())?;
        let (end, said) = (process.wait(SHORT)?, process.complaint());
        assert_eq!(end, End::Code(2), "{said}");
        assert!(said.contains(what), "{said}");
    }
    let node = node("one-2x3");
    for (flags, what) in [
        (
            ["--listen", "raspberrypi.local:7400"],
            "--listen raspberrypi.local:7400: ",
        ),
        (
            ["--listen", "192.168.1.10"],
            "as in 192.168.1.10:7400, or 0.0.0.0:7400",
        ),
        (["--threads", "many"], "--threads many: "),
        (["--id", "-1"], "--id"),
    ] {
        let mut command = Command::new(&node.path);
        command
            .args(["--program", "one-2x3", "gateway"])
            .args(flags);
        let process = Process::start(command, "gateway", dir.path())?;
        let (end, said) = (process.wait(SHORT)?, process.complaint());
        assert_eq!(end, End::Code(2), "{said}");
        assert!(said.contains(what), "{said}");
    }
    Ok(())
}

#[test]
fn a_name_that_nobody_knows_yet_is_tried_again() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let process = edge("nobody.invalid:7400", dir.path())?;
    wait_for(SHORT, || {
        let said = process.complaint();
        let words = "cannot find the gateway nobody.invalid:7400";
        Ok((said.contains(words) && said.contains("trying again")).then_some(()))
    })?;
    assert_eq!(process.end()?, None);
    // Nothing has begun yet that would have to end orderly.
    assert_eq!(process.stop(SHORT)?, End::Signal(Signal::SIGTERM));
    process.wait_alone(SHORT)?;
    Ok(())
}
