//! Local clusters of real processes for tests: a gateway, edges, perhaps a relay between them.
//!
//! Everything is on loopback with ports that the system picks, waits are bounded, and what was
//! started ends when its owner is dropped, whatever the test did.

mod group;
mod process;

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::relay::{Faults, Relay};
pub use group::{End, Group, wait_for};
pub use process::Process;

/// How long a node may take to start or to end.
pub const SHORT: Duration = Duration::from_secs(30);

/// A compiled node.
#[derive(Clone, Debug)]
pub struct NodeBinary {
    /// The executable.
    pub path: PathBuf,
    /// Its packed weights.
    pub weights: PathBuf,
    /// Which of its programs; `None` when it has one.
    pub program: Option<String>,
    /// A command in front of it: an emulator, or nothing.
    pub runner: Vec<OsString>,
}

/// An edge to be started.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// Worker processes.
    pub workers: usize,
    /// Pictures; an edge with frames is a source.
    pub images: Vec<PathBuf>,
    /// Raw C, H, W tensors.
    pub tensors: Vec<PathBuf>,
    /// Further flags.
    pub flags: Vec<String>,
}

/// A cluster to be started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Edge `i` gets id `i + 1`.
    pub edges: Vec<Edge>,
    /// Threads of the gateway's tail.
    pub threads: usize,
    /// Frames after which the gateway ends.
    pub frames: Option<u64>,
    /// Faults and seed of a relay that all nodes talk through.
    pub relay: Option<(Faults, u64)>,
    /// Further flags of the gateway.
    pub flags: Vec<String>,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    binary: NodeBinary,
    setup: Setup,
    /// Where the gateway listens.
    real: SocketAddr,
    /// Where edges think it does.
    public: SocketAddr,
    /// The gateway.
    pub gateway: Process,
    /// The edges; a restarted one takes its predecessor's place.
    pub edges: Vec<Process>,
    /// What stands between them.
    pub relay: Option<Relay>,
    // Last: the processes end before their files go.
    dir: TempDir,
}

impl Edge {
    /// An edge without frames of its own.
    pub fn thief(workers: usize) -> Self {
        Self {
            workers,
            ..Self::default()
        }
    }

    /// An edge that brings raw tensors.
    pub fn source(workers: usize, tensors: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            workers,
            tensors: tensors.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl NodeBinary {
    /// A node with one program.
    pub fn new(path: impl Into<PathBuf>, weights: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            weights: weights.into(),
            program: None,
            runner: Vec::new(),
        }
    }

    /// The command that starts a role with its weights; flags may follow.
    pub fn command(&self, role: &str) -> Command {
        let mut command = match self.runner.split_first() {
            Some((runner, flags)) => {
                let mut c = Command::new(runner);
                c.args(flags).arg(&self.path);
                // An edge starts its workers the same way.
                c.env("TESSERA_RUNNER", self.runner.join(OsStr::new(" ")));
                c
            }
            None => Command::new(&self.path),
        };
        if let Some(program) = &self.program {
            command.args(["--program", program]);
        }
        command.arg(role).arg("--weights").arg(&self.weights);
        command
    }

    /// Runs frames in one process; gives its records. Dumps go to `dump`.
    ///
    /// # Errors
    /// When it fails or takes longer than `within`.
    pub fn solo(
        &self,
        tensors: &[PathBuf],
        threads: usize,
        dump: Option<&Path>,
        within: Duration,
    ) -> Result<Vec<Value>> {
        let mut flags: Vec<OsString> = vec!["--threads".into(), threads.to_string().into()];
        if let Some(dump) = dump {
            flags.extend(["--dump".into(), dump.into()]);
        }
        flags.push("--input-f32".into());
        flags.extend(tensors.iter().map(Into::into));
        self.solo_with(&flags, within)
    }

    /// As [`NodeBinary::solo`], with flags of the caller's choice: pictures, thresholds.
    ///
    /// # Errors
    /// As [`NodeBinary::solo`].
    pub fn solo_with(&self, flags: &[OsString], within: Duration) -> Result<Vec<Value>> {
        Ok(self.solo_says(flags, within)?.0)
    }

    /// As [`NodeBinary::solo_with`], with the lines that the node printed.
    ///
    /// # Errors
    /// As [`NodeBinary::solo`].
    pub fn solo_says(
        &self,
        flags: &[OsString],
        within: Duration,
    ) -> Result<(Vec<Value>, Vec<String>)> {
        let dir = tempfile::tempdir()?;
        let records = dir.path().join("records.jsonl");
        let mut command = self.command("solo");
        command.arg("--records").arg(&records).args(flags);
        let node = Process::start(command, "solo", dir.path())?;
        let end = node.wait(within)?;
        ensure!(end == End::Code(0), "solo: {end:?}:\n{}", node.complaint());
        Ok((read_records(&records)?, node.all_lines(within)?))
    }
}

impl Cluster {
    /// Starts a gateway, waits for its address, and starts the edges.
    ///
    /// # Errors
    /// When a node cannot be started or the gateway does not listen.
    pub fn start(binary: &NodeBinary, setup: Setup) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (gateway, real) = start_gateway(binary, &setup, dir.path(), "127.0.0.1:0")?;
        let relay = setup
            .relay
            .map(|(faults, seed)| Relay::start(faults, seed))
            .transpose()?;
        let public = match &relay {
            Some(relay) => relay.public(real)?,
            None => real,
        };
        let mut cluster = Self {
            binary: binary.clone(),
            setup,
            real,
            public,
            gateway,
            edges: Vec::new(),
            relay,
            dir,
        };
        for edge in cluster.setup.edges.clone() {
            cluster.join(&edge)?;
        }
        Ok(cluster)
    }

    /// Starts one more edge; gives its index.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn join(&mut self, edge: &Edge) -> Result<usize> {
        let index = self.edges.len();
        let process = self.edge(index, edge)?;
        self.edges.push(process);
        Ok(index)
    }

    /// Ends edge `index` the hard way, if it still runs, and starts it anew with the same id.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart_edge(&mut self, index: usize, edge: &Edge) -> Result<()> {
        let _ = self.edges[index].kill();
        self.edges[index] = self.edge(index, edge)?;
        Ok(())
    }

    /// Ends the gateway the hard way, if it still runs, and starts it anew at the same address.
    /// Its records go on in the same file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart_gateway(&mut self) -> Result<()> {
        let _ = self.gateway.kill();
        self.start_gateway_again()
    }

    /// Starts a gateway that has ended anew at the same address.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_gateway_again(&mut self) -> Result<()> {
        let at = self.real.to_string();
        let (gateway, _) = start_gateway(&self.binary, &self.setup, self.dir.path(), &at)?;
        self.gateway = gateway;
        Ok(())
    }

    fn edge(&self, index: usize, edge: &Edge) -> Result<Process> {
        let mut command = self.binary.command("edge");
        command.args(["--gateway", &self.public.to_string()]);
        command.args(["--id", &(index + 1).to_string()]);
        command.args(["--workers", &edge.workers.max(1).to_string()]);
        // Tests stop workers and let them go on; machines are busy.
        command.args(["--stuck-after", "600"]);
        for (flag, files) in [("--image", &edge.images), ("--input-f32", &edge.tensors)] {
            if !files.is_empty() {
                command.arg(flag).args(files);
            }
        }
        command.args(&edge.flags);
        Process::start(command, &format!("edge-{}", index + 1), self.dir.path())
    }

    /// Records of the gateway so far; a line that is still being written does not count.
    ///
    /// # Errors
    /// When a whole line is no record.
    pub fn records(&self) -> Result<Vec<Value>> {
        read_records(&self.dir.path().join("records.jsonl"))
    }

    /// Waits until there are `count` records.
    ///
    /// # Errors
    /// When they do not come in time, the gateway ends without them, or there are more.
    pub fn wait_records(&self, count: usize, within: Duration) -> Result<Vec<Value>> {
        let mut ended = None;
        let records = wait_for(within, || {
            let records = self.records()?;
            if records.len() >= count {
                return Ok(Some(records));
            }
            if let Some(end) = ended {
                bail!("the gateway ended ({end:?}):\n{}", self.complaints());
            }
            ended = self.gateway.end()?;
            Ok(None)
        });
        let records = records.with_context(|| {
            let have = self.records().map_or(0, |r| r.len());
            format!("{have} of {count} records\n{}", self.complaints())
        })?;
        ensure!(records.len() == count, "{} records", records.len());
        Ok(records)
    }

    /// The folder that the gateway dumps to.
    pub fn dump(&self) -> PathBuf {
        self.dir.path().join("dump")
    }

    /// A tensor that the gateway dumped: `layer_K.f32` of the last frame, C, H, W.
    ///
    /// # Errors
    /// When there is none.
    pub fn dumped(&self, layer: usize) -> Result<Vec<u8>> {
        let path = self.dump().join(format!("layer_{layer}.f32"));
        fs::read(&path).with_context(|| format!("layer {layer} was not dumped"))
    }

    /// Asks all nodes to end, the gateway last; gives the statistics of the gateway and of every
    /// edge, `None` for an edge that was killed.
    ///
    /// # Errors
    /// When a node does not end in time, ends with an error, or leaves processes behind.
    pub fn stop(self) -> Result<(Value, Vec<Option<Value>>)> {
        let mut edges = Vec::new();
        for edge in &self.edges {
            edges.push(finish(edge)?);
        }
        let gateway = finish(&self.gateway)?.context("the gateway was killed")?;
        Ok((gateway, edges))
    }

    /// What all nodes wrote to standard error, in short.
    pub fn complaints(&self) -> String {
        [&self.gateway]
            .into_iter()
            .chain(&self.edges)
            .map(|p| format!("[{}] {}\n", p.name(), p.complaint()))
            .collect()
    }
}

fn finish(node: &Process) -> Result<Option<Value>> {
    let end = node.stop(SHORT)?;
    if matches!(end, End::Signal(_)) {
        return Ok(None);
    }
    ensure!(
        end == End::Code(0),
        "{}: {end:?}:\n{}",
        node.name(),
        node.complaint()
    );
    node.wait_alone(SHORT)?;
    node.stats().map(Some)
}

fn start_gateway(
    binary: &NodeBinary,
    setup: &Setup,
    dir: &Path,
    at: &str,
) -> Result<(Process, SocketAddr)> {
    let mut command = binary.command("gateway");
    command.args(["--listen", at]);
    command.args(["--threads", &setup.threads.max(1).to_string()]);
    command.arg("--records").arg(dir.join("records.jsonl"));
    command.arg("--dump").arg(dir.join("dump"));
    if let Some(frames) = setup.frames {
        command.args(["--frames", &frames.to_string()]);
    }
    command.args(&setup.flags);
    let process = Process::start(command, "gateway", dir)?;
    let event = process.event("listening", SHORT)?;
    let addr = event["addr"].as_str().and_then(|a| a.parse().ok());
    let addr = addr.with_context(|| format!("no address in {event}"))?;
    Ok((process, addr))
}

fn read_records(path: &Path) -> Result<Vec<Value>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|l| serde_json::from_str(l).with_context(|| format!("no record: {l}")))
        .collect()
}

#[cfg(test)]
mod tests;
