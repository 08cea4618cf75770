//! Frigate's ZeroMQ detector: the exchanges of its plug-in, by a script on the real ZeroMQ, with all that goes wrong.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tessera_needs::needs;
use tessera_tests::{
    rig::SHORT,
    shipped::{SIZE, expected, pixels},
};

use crate::common::{Served, hold};

/// Python with ZeroMQ; a machine may have several.
fn python() -> &'static str {
    let has = |python: &&str| {
        let mut command = Command::new(python);
        let ran = command.args(["-c", "import zmq"]).output();
        ran.is_ok_and(|out| out.status.success())
    };
    let all = ["python3", "/usr/bin/python3"];
    all.into_iter().find(has).unwrap_or("python3")
}

/// The demo's picture as Frigate sends it: pixels of the network's size.
fn tensor(dir: &Path) -> Result<PathBuf> {
    let file = dir.join("picture.rgb");
    std::fs::write(&file, pixels()?)?;
    Ok(file)
}

/// A script that runs.
struct Script {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Script {
    fn start(part: &str, endpoint: &str, picture: &Path) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/frigate.py");
        let mut command = Command::new(python());
        command.args([script, part, endpoint]);
        command.args(SIZE.map(|n| n.to_string())).arg(picture);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn()?;
        let says = child.stdout.take().context("its output")?;
        Ok(Self {
            child,
            says: BufReader::new(says),
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn go_on(&mut self) -> Result<()> {
        Ok((self.child.stdin.as_mut().context("its input")?).write_all(b"\n")?)
    }

    /// The rows that it found, behind a line that it says first.
    fn rest(mut self) -> Result<Vec<[f32; 6]>> {
        self.line()?;
        self.end()
    }

    /// The rows that it found.
    fn end(mut self) -> Result<Vec<[f32; 6]>> {
        let line = self.line()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the script ended: {status}");
        Ok(serde_json::from_str(&line)?)
    }
}

fn endpoint(served: &Served) -> Result<String> {
    let event = served.cluster.gateway.event("detecting", SHORT)?;
    let endpoint = event["endpoint"].as_str().context("an endpoint")?;
    Ok(endpoint.to_owned())
}

fn start(thieves: usize, flags: &[&str]) -> Result<Served> {
    let served = Served::start(thieves, &[&["--zmq", "tcp://127.0.0.1:0"], flags].concat())?;
    served.joined(thieves + 1)?;
    Ok(served)
}

/// Compares rows with the Python reference's boxes of the demo's picture.
fn check(rows: &[[f32; 6]]) -> Result<()> {
    let expected = expected()?;
    assert_eq!(rows.len(), expected.detections.len(), "{rows:?}");
    for want in &expected.detections {
        let [x, y, w, h] = want.bbox();
        let edges = [y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0];
        let near = |row: &&[f32; 6]| {
            let class = u16::try_from(want.class).map(f32::from);
            let mut pairs = row[2..].iter().zip(edges);
            class == Ok(row[0]) && pairs.all(|(a, b)| (a - b.clamp(0.0, 1.0)).abs() < 0.02)
        };
        assert!(rows.iter().any(|row| near(&row)), "{want:?}: {rows:?}");
    }
    Ok(())
}

fn status(served: &Served) -> Result<Value> {
    served.client()?.get("/v1/status")?.json()
}

#[needs(python3_zmq)]
#[test]
fn the_plug_ins_exchanges_and_nonsense_between_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let served = start(1, &["--zmq-deadline", "120"])?;
    let picture = tensor(dir.path())?;
    check(&Script::start("session", &endpoint(&served)?, &picture)?.end()?)?;
    let metrics = served.client()?.get("/metrics")?.text();
    for line in [
        "tessera_zmq_pictures_total{result=\"ok\"} 9",
        "tessera_zmq_pictures_total{result=\"invalid\"} 13",
        "tessera_http_pictures_total{result=\"ok\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // Pixels of another size were resized, and that was said once.
    let said = served.cluster.complaints();
    assert_eq!(
        said.matches("the network takes 192 x 160").count(),
        1,
        "{said}"
    );
    served.stop()
}

#[needs(python3_zmq)]
#[test]
fn clients_vanish_and_two_detectors_share_the_gateway() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let served = start(0, &["--zmq-deadline", "120"])?;
    let picture = tensor(dir.path())?;
    check(&Script::start("vanish", &endpoint(&served)?, &picture)?.end()?)?;
    assert_eq!(status(&served)?["posts"]["in_flight"], 0);
    served.stop()
}

#[needs(python3_zmq)]
#[test]
fn a_plug_in_whose_time_is_over_comes_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let served = start(0, &["--zmq-deadline", "120"])?;
    let worker = hold(&served, served.own_edge()?)?;
    let picture = tensor(dir.path())?;
    let mut script = Script::start("impatient", &endpoint(&served)?, &picture)?;
    assert_eq!(script.line()?, "late");
    served.pause(worker, false)?;
    script.go_on()?;
    check(&script.end()?)?;
    served.stop()
}

#[needs(python3_zmq)]
#[test]
fn a_cluster_whose_time_is_over_says_that_it_found_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let served = start(0, &["--zmq-deadline", "0.3"])?;
    let worker = hold(&served, served.own_edge()?)?;
    let picture = tensor(dir.path())?;
    let rows = Script::start("late", &endpoint(&served)?, &picture)?.end()?;
    assert!(rows.is_empty(), "{rows:?}");
    served.pause(worker, false)?;
    served.stop()
}

#[needs(python3_zmq)]
#[test]
fn who_asks_before_there_is_a_gateway_is_answered_and_a_gateway_that_comes_back_finds_its_socket()
-> Result<()> {
    let dir = tempfile::tempdir()?;
    let picture = tensor(dir.path())?;
    let at = format!("ipc://{}", dir.path().join("detector").display());
    let mut script = Script::start("early", &at, &picture)?;
    assert_eq!(script.line()?, "asks");
    let flags = ["--zmq", &at, "--zmq-deadline", "120"];
    let mut served = Served::start(1, &flags)?;
    check(&script.end()?)?;
    // The socket's file is left by a gateway that is killed.
    served.cluster.restart_gateway()?;
    check(&Script::start("early", &at, &picture)?.rest()?)?;
    served.stop()
}

#[test]
fn others_may_connect_only_if_they_are_named_and_pictures_need_an_edge() -> Result<()> {
    let refused = |flags: &[&str]| {
        let started = Served::start_with(0, flags);
        started.err().map(|e| format!("{e:#}")).unwrap_or_default()
    };
    let open = ["--workers", "1", "--zmq", "tcp://*:0"];
    assert!(refused(&open).contains("--zmq-allow"), "{}", refused(&open));
    let alone = ["--zmq", "tcp://127.0.0.1:0"];
    assert!(
        refused(&alone).contains("--workers 1"),
        "{}",
        refused(&alone)
    );
    Served::start(0, &["--zmq", "tcp://*:0", "--zmq-allow", "any"])?.stop()
}
