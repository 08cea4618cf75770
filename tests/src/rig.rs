//! Local clusters of real processes for tests: a gateway, edges and optionally a relay between the nodes.
//!
//! All sockets are on loopback with ports that the system picks. All waits are bounded. Processes end when
//! their owner is dropped, also after a failed test.

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

/// Time that a node has to start or to end.
pub const SHORT: Duration = Duration::from_secs(30);

/// A compiled node.
#[derive(Clone, Debug)]
pub struct NodeBinary {
    /// The executable.
    pub path: PathBuf,
    /// The node's packed weights.
    pub weights: PathBuf,
    /// Name of the node's program to run; `None` for a node with a single program.
    pub program: Option<String>,
    /// Command in front of the node: an emulator, or nothing.
    pub runner: Vec<OsString>,
}

/// An edge to be started.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// Number of worker processes.
    pub workers: usize,
    /// Picture files; an edge with pictures or tensors is a source.
    pub images: Vec<PathBuf>,
    /// Raw tensor files in C, H, W order.
    pub tensors: Vec<PathBuf>,
    /// Further flags.
    pub flags: Vec<String>,
}

/// A cluster to be started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Edge `i` gets id `i + 1`.
    pub edges: Vec<Edge>,
    /// Number of threads of the gateway's tail.
    pub threads: usize,
    /// Frames after which the gateway ends.
    pub frames: Option<u64>,
    /// Faults and seed of a relay that all nodes talk through.
    pub relay: Option<(Faults, u64)>,
    /// Further flags of the gateway.
    pub flags: Vec<String>,
    /// True for a gateway that dumps no tensors: writing them takes time.
    pub no_dump: bool,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    binary: NodeBinary,
    setup: Setup,
    /// Address at which the gateway listens.
    real: SocketAddr,
    /// Address at which edges reach the gateway.
    public: SocketAddr,
    /// Process of the gateway.
    pub gateway: Process,
    /// Processes of the edges; a restarted edge takes its predecessor's place.
    pub edges: Vec<Process>,
    /// The relay between the nodes, if any.
    pub relay: Option<Relay>,
    // The last field: drops after the processes, so that processes end before their files go.
    dir: TempDir,
}

impl Edge {
    /// An edge without frames of its own, with `workers` worker processes.
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

    /// The command that starts the node as `role` with its weights; the caller may add flags.
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

    /// Runs frames in one process; returns the records. Dumped tensors go to the folder `dump`.
    ///
    /// # Errors
    /// When the process fails or takes longer than `within`.
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

    /// Runs as [`NodeBinary::solo`], with flags of the caller's choice, such as pictures and thresholds.
    ///
    /// # Errors
    /// As [`NodeBinary::solo`].
    pub fn solo_with(&self, flags: &[OsString], within: Duration) -> Result<Vec<Value>> {
        Ok(self.solo_says(flags, within)?.0)
    }

    /// Runs as [`NodeBinary::solo_with`]; returns also the lines that the node printed.
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

    /// Starts one more edge; returns its index.
    ///
    /// # Errors
    /// When the edge cannot be started.
    pub fn join(&mut self, edge: &Edge) -> Result<usize> {
        let index = self.edges.len();
        let process = self.edge(index, edge)?;
        self.edges.push(process);
        Ok(index)
    }

    /// Kills edge `index`, if the edge still runs, and starts a new edge with the same id.
    ///
    /// # Errors
    /// When the new edge cannot be started.
    pub fn restart_edge(&mut self, index: usize, edge: &Edge) -> Result<()> {
        let _ = self.edges[index].kill();
        self.edges[index] = self.edge(index, edge)?;
        Ok(())
    }

    /// Kills the gateway, if the gateway still runs, and starts a new gateway at the same address. The new
    /// gateway appends records to the same file.
    ///
    /// # Errors
    /// When the new gateway cannot be started.
    pub fn restart_gateway(&mut self) -> Result<()> {
        let _ = self.gateway.kill();
        self.start_gateway_again()
    }

    /// Starts a new gateway at the address of the gateway that has ended.
    ///
    /// # Errors
    /// When the new gateway cannot be started.
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
        // A long limit: tests pause workers, and machines are busy.
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
    /// When a whole line is not a record.
    pub fn records(&self) -> Result<Vec<Value>> {
        read_records(&self.dir.path().join("records.jsonl"))
    }

    /// Waits until there are `count` records.
    ///
    /// # Errors
    /// When the records do not come in time, the gateway ends too early, or there are more records.
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

    /// The folder of the gateway's dumped tensors.
    pub fn dump(&self) -> PathBuf {
        self.dir.path().join("dump")
    }

    /// Bytes of a tensor that the gateway dumped: `layer_K.f32` of the last frame, in C, H, W order.
    ///
    /// # Errors
    /// When the gateway has not dumped that layer.
    pub fn dumped(&self, layer: usize) -> Result<Vec<u8>> {
        let path = self.dump().join(format!("layer_{layer}.f32"));
        fs::read(&path).with_context(|| format!("layer {layer} was not dumped"))
    }

    /// Asks all nodes to end, the gateway last. Returns the statistics of the gateway and of every edge, `None` for
    /// a killed edge.
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

    /// The last lines that all nodes wrote to standard error.
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
    if !setup.no_dump {
        command.arg("--dump").arg(dir.join("dump"));
    }
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
