//! What nodes tell the service manager that starts them, and the order to take no more frames.

use std::{
    collections::BTreeSet,
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tessera_tests::rig::{Cluster, Edge, End, NodeBinary, SHORT, Setup};

use crate::{
    common::{Frames, LONG, node, number, same},
    deaths::{hold, reaches},
};

/// A manager's socket, to which all nodes of a cluster speak.
struct Manager {
    socket: UnixDatagram,
    /// All lines so far, each once.
    heard: BTreeSet<String>,
    _dir: TempDir,
    node: NodeBinary,
}

impl Manager {
    /// A manager of nodes that run `program`; each is to beat within `watchdog`.
    fn new(program: &str, watchdog: Option<Duration>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(LONG))?;
        let mut node = node(program);
        node.runner.extend(["env".into(), variable(&path)]);
        if let Some(within) = watchdog {
            let us = format!("WATCHDOG_USEC={}", within.as_micros());
            node.runner.push(us.into());
        }
        Ok(Self {
            socket,
            heard: BTreeSet::new(),
            _dir: dir,
            node,
        })
    }

    /// Waits until a line was heard that begins so.
    fn hears(&mut self, begin: &str) -> Result<()> {
        self.hears_line(|line| line.starts_with(begin))
            .with_context(|| format!("no line {begin:?}"))
    }

    fn hears_line(&mut self, is_it: impl Fn(&str) -> bool) -> Result<()> {
        let until = Instant::now() + LONG;
        let mut buffer = [0; 4096];
        while !self.heard.iter().any(|l| is_it(l)) {
            anyhow::ensure!(Instant::now() < until, "heard {:?}", self.heard);
            // A child that ends interrupts the call.
            let bytes = match self.socket.recv(&mut buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            let text = String::from_utf8_lossy(&buffer[..bytes]);
            let lines = text.lines().map(Into::into);
            self.heard.extend(lines);
        }
        Ok(())
    }
}

fn variable(path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from("NOTIFY_SOCKET=");
    text.push(path);
    text
}

#[test]
fn nodes_tell_their_start_their_state_their_beats_and_their_end() -> Result<()> {
    let mut manager = Manager::new("one-2x3", Some(Duration::from_secs(1)))?;
    let setup = Setup {
        edges: vec![Edge::thief(1), Edge::thief(1)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&manager.node, setup)?;
    manager.hears("READY=1")?;
    manager.hears("WATCHDOG=1")?;
    manager.hears("STATUS=joined the gateway at 127.0.0.1:")?;
    manager.hears("STATUS=edges take part: 1 2")?;
    manager.heard.clear();
    cluster.edges[1].signal(Signal::SIGTERM)?;
    manager.hears("STOPPING=1")?;
    manager.hears_line(|l| l == "STATUS=edges take part: 1")?;
    // Beats come from the loop: a process that stands says nothing. What it said before is read first.
    for edge in &cluster.edges[..1] {
        edge.pause(true)?;
    }
    cluster.gateway.signal(Signal::SIGTERM)?;
    assert_eq!(cluster.gateway.wait(SHORT)?, End::Code(0));
    manager.socket.set_nonblocking(true)?;
    while manager.socket.recv(&mut [0; 4096]).is_ok() {}
    manager.heard.clear();
    manager.socket.set_nonblocking(false)?;
    let beats = 3 * Duration::from_secs(1);
    manager.socket.set_read_timeout(Some(beats))?;
    assert!(
        manager.socket.recv(&mut [0; 4096]).is_err(),
        "a beat without its loop"
    );
    cluster.edges[0].pause(false)?;
    manager.socket.set_read_timeout(Some(LONG))?;
    manager.hears("WATCHDOG=1")?;
    Ok(())
}

#[test]
fn a_source_that_drains_ends_what_it_took_and_takes_no_more() -> Result<()> {
    let mut manager = Manager::new("two-3x3-2x2", None)?;
    let frames = Frames::new(&manager.node, 3, 75)?;
    let [second, third] = [frames.fifo("second")?, frames.fifo("third")?];
    let files = [frames.files[0].clone(), second.clone(), third.clone()];
    let setup = Setup {
        edges: vec![Edge::source(1, files), Edge::thief(1)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&manager.node, setup)?;
    cluster.wait_records(1, LONG)?;
    let source = &cluster.edges[0];
    let held = [hold(source)?, hold(&cluster.edges[1])?];
    frames.feed(&second, 1)?;
    reaches(&cluster.gateway, "/counters/frames_accepted", 2)?;
    source.signal(Signal::SIGUSR2)?;
    manager.hears("STATUS=draining: 1 frames under way")?;
    frames.feed(&third, 2)?;
    for (edge, worker) in cluster.edges.iter().zip(held) {
        edge.pause_child(worker, false)?;
    }
    manager.hears("STATUS=drained")?;
    for (record, expected) in cluster.wait_records(2, LONG)?.iter().zip(&frames.expected) {
        same(record, expected)?;
    }
    source.signal(Signal::SIGTERM)?;
    assert_eq!(source.wait(SHORT)?, End::Code(0));
    let (gateway, edges) = cluster.stop()?;
    let source = edges[0].as_ref().context("the source wrote statistics")?;
    assert_eq!(number(source, "/frames/accepted"), 2, "{source}");
    assert_eq!(number(source, "/frames/detections"), 2, "{source}");
    assert_eq!(number(&gateway, "/counters/frames_accepted"), 2);
    Ok(())
}
