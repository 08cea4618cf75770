//! A local cluster of real processes: one gateway, edges, their workers.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// What an edge computes frames from.
#[derive(Clone, Debug)]
pub enum Frames {
    /// Picture files.
    Images(Vec<PathBuf>),
    /// Raw C, H, W float32 files.
    Tensors(Vec<PathBuf>),
}

impl Frames {
    /// Number of frames.
    pub fn len(&self) -> usize {
        self.files().len()
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Images(f) | Self::Tensors(f) => f,
        }
    }

    /// What source `i` of `n` gets: every n-th file, or all of them when there are too few.
    pub fn share(&self, i: usize, n: usize) -> Self {
        let pick = |files: &[PathBuf]| -> Vec<PathBuf> {
            if files.len() < n {
                files.to_vec()
            } else {
                files.iter().skip(i).step_by(n).cloned().collect()
            }
        };
        match self {
            Self::Images(f) => Self::Images(pick(f)),
            Self::Tensors(f) => Self::Tensors(pick(f)),
        }
    }
}

/// What to start.
#[derive(Debug)]
pub struct Config<'a> {
    /// The compiled node.
    pub node: &'a Path,
    /// Its packed weights.
    pub weights: &'a Path,
    /// Number of edges; the first `sources` of them hold frames.
    pub edges: usize,
    /// Number of sources.
    pub sources: usize,
    /// Worker processes per edge.
    pub workers: usize,
    /// Threads of the tail.
    pub threads: usize,
    /// Threads of every worker.
    pub worker_threads: usize,
    /// The frames.
    pub frames: Frames,
    /// Score threshold.
    pub thresh: f32,
    /// NMS threshold.
    pub nms: f32,
    /// Keep pictures' shape.
    pub letterbox: bool,
    /// Where to dump tensors.
    pub dump: Option<&'a Path>,
    /// A command in front of the node: an emulator for cross-built nodes.
    pub runner: Vec<String>,
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// One record per frame, as the gateway wrote them, with the names of their files.
    pub records: Vec<Value>,
    /// Inputs that a source could not read: its events, with `file` and `error`.
    pub skipped: Vec<Value>,
    /// Statistics of the gateway, then of every edge; `None` for a node that died.
    pub stats: Vec<Option<Value>>,
    /// Seconds from the first edge's start to the last record.
    pub seconds: f64,
}

/// How long nothing may happen before the cluster is given up.
const STALL: Duration = Duration::from_secs(300);
/// How long edges may take to leave when their gateway tells them to.
const TOLD: Duration = Duration::from_secs(3);
/// How long a node may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(20);

/// Most events of one node that are kept.
const EVENTS_MAX: usize = 10_000;

/// JSON lines of a node's standard output.
type Events = Arc<Mutex<Vec<Value>>>;

struct Node {
    name: String,
    child: Child,
    stats: PathBuf,
    log: PathBuf,
    events: Events,
}

impl Node {
    fn terminate(&self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// What it told so far under the name `event`.
    fn events(&self, event: &str) -> Vec<Value> {
        let all = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|v| v["event"] == event)
            .cloned()
            .collect()
    }

    /// The last lines it wrote to stderr.
    fn complaint(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &Config<'_>, name: String, args: &[String], dir: &Path) -> Result<Node> {
    let stats = dir.join(format!("{name}.stats.json"));
    let log = dir.join(format!("{name}.log"));
    let mut words = config.runner.iter().map(String::as_str);
    let mut command = match words.next() {
        Some(runner) => {
            let mut c = Command::new(runner);
            c.args(words).arg(config.node);
            // An edge starts its workers the same way.
            c.env("TESSERA_RUNNER", config.runner.join(" "));
            c
        }
        None => Command::new(config.node),
    };
    let mut child = command
        .args(args)
        .arg("--stats")
        .arg(&stats)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?)
        .spawn()
        .with_context(|| format!("cannot start {}", config.node.display()))?;
    let events = Events::default();
    if let Some(out) = child.stdout.take() {
        let into = Arc::clone(&events);
        // Ends when the last process that has the pipe does.
        std::thread::spawn(move || collect(out, &into));
    }
    Ok(Node {
        name,
        child,
        stats,
        log,
        events,
    })
}

fn collect(out: ChildStdout, into: &Mutex<Vec<Value>>) {
    let mut out = BufReader::new(out);
    let mut line = String::new();
    while matches!((&mut out).take(1 << 20).read_line(&mut line), Ok(n) if n > 0) {
        if let Ok(event) = serde_json::from_str(&line) {
            let mut all = into.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() < EVENTS_MAX {
                all.push(event);
            }
        }
        line.clear();
    }
}

/// Waits for the gateway's `listening` event.
fn listening(gateway: &mut Node) -> Result<SocketAddr> {
    let begun = Instant::now();
    while begun.elapsed() < STALL {
        // In this order: what it told before its end counts.
        let ended = gateway.child.try_wait()?.is_some();
        if let Some(v) = gateway.events("listening").first() {
            return v["addr"]
                .as_str()
                .and_then(|a| a.parse().ok())
                .context("the gateway told no address");
        }
        if ended {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("the gateway did not start:\n{}", gateway.complaint())
}

/// Names the file of every record: its tag counts its source's inputs.
fn name_files(records: &mut [Value], shares: &[Frames]) {
    for r in records {
        let index = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
        let file = index(&r["source"])
            .and_then(|s| shares.get(s.checked_sub(1)?))
            .and_then(|share| share.files().get(index(&r["tag"])?));
        if let Some(file) = file {
            r["file"] = file.display().to_string().into();
        }
    }
}

fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect()
}

/// Starts a cluster, waits for all its frames, ends it, and collects what the nodes tell.
///
/// # Errors
/// When a node cannot start, all work is stuck, or the gateway dies.
pub fn run(config: &Config<'_>, progress: &dyn Fn(usize, usize)) -> Result<Outcome> {
    let dir = tempfile::tempdir()?;
    let weights = config.weights.display().to_string();
    let record_file = dir.path().join("records.jsonl");
    let shares: Vec<Frames> = (0..config.sources)
        .map(|i| config.frames.share(i, config.sources))
        .collect();
    let total: usize = shares.iter().map(Frames::len).sum();

    let mut args: Vec<String> = ["gateway", "--listen", "127.0.0.1:0", "--weights", &weights]
        .map(String::from)
        .to_vec();
    let mut flag = |name: &str, value: String| args.extend([name.to_string(), value]);
    flag("--threads", config.threads.to_string());
    flag("--records", record_file.display().to_string());
    flag("--thresh", config.thresh.to_string());
    flag("--nms", config.nms.to_string());
    if let Some(d) = config.dump {
        std::fs::create_dir_all(d).with_context(|| format!("cannot make {}", d.display()))?;
        flag("--dump", d.display().to_string());
    }
    let mut nodes = vec![spawn(config, "gateway".into(), &args, dir.path())?];
    let addr = listening(&mut nodes[0])?;

    let begun = Instant::now();
    for i in 0..config.edges {
        let mut args: Vec<String> = ["edge", "--weights", &weights].map(String::from).to_vec();
        let mut flag = |name: &str, value: String| args.extend([name.to_string(), value]);
        flag("--gateway", addr.to_string());
        flag("--id", (i + 1).to_string());
        flag("--workers", config.workers.to_string());
        flag("--threads", config.worker_threads.to_string());
        let (name, files) = match shares.get(i) {
            Some(Frames::Images(f)) => ("--image", f.as_slice()),
            Some(Frames::Tensors(f)) => ("--input-f32", f.as_slice()),
            None => ("--image", &[][..]),
        };
        for f in files {
            flag(name, f.display().to_string());
        }
        if config.letterbox {
            args.push("--letterbox".into());
        }
        nodes.push(spawn(config, format!("edge {}", i + 1), &args, dir.path())?);
    }

    let (mut seen, mut last_news) = (0, Instant::now());
    let mut found = loop {
        let found = records(&record_file);
        let skipped: usize = nodes.iter().map(|n| n.events("skipped").len()).sum();
        if found.len() != seen {
            seen = found.len();
            last_news = Instant::now();
            progress(seen, total);
        }
        if seen + skipped >= total {
            break found;
        }
        for (i, n) in nodes.iter_mut().enumerate() {
            if let Some(status) = n.child.try_wait()? {
                // A dead edge is the cluster's business; without the gateway, or a source that
                // never began, nothing more will come.
                if i == 0 || !status.success() {
                    bail!("{} ended early ({status}):\n{}", n.name, n.complaint());
                }
            }
        }
        if last_news.elapsed() > STALL {
            let tell: Vec<String> = nodes
                .iter()
                .map(|n| format!("{}: {}", n.name, n.complaint()))
                .collect();
            bail!(
                "no frame for {} s, given up\n{}",
                STALL.as_secs(),
                tell.join("\n")
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = begun.elapsed().as_secs_f64();
    name_files(&mut found, &shares);
    let skipped = nodes.iter().flat_map(|n| n.events("skipped")).collect();
    Ok(Outcome {
        records: found,
        skipped,
        stats: end(nodes),
        seconds,
    })
}

/// Ends the nodes and reads their statistics: the gateway tells its edges to leave; who does not
/// hear it is told by a signal.
fn end(mut nodes: Vec<Node>) -> Vec<Option<Value>> {
    let begun = Instant::now();
    let ended = |nodes: &mut [Node], within: Duration| {
        let running = |n: &mut Node| matches!(n.child.try_wait(), Ok(None));
        while begun.elapsed() < within {
            if !nodes.iter_mut().any(running) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    };
    nodes[0].terminate();
    if !ended(&mut nodes, TOLD) {
        for n in &nodes {
            n.terminate();
        }
        ended(&mut nodes, GRACE);
    }
    nodes
        .iter()
        .map(|n| {
            std::fs::read_to_string(&n.stats)
                .ok()
                .and_then(|t| serde_json::from_str(&t).ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frames(names: &[&str]) -> Frames {
        Frames::Images(names.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn files_are_dealt_to_sources_and_found_again_by_their_records() {
        let all = frames(&["a", "b", "c", "d", "e"]);
        let shares = [all.share(0, 2), all.share(1, 2)];
        assert_eq!(shares[0].files(), frames(&["a", "c", "e"]).files());
        assert_eq!(shares[1].files(), frames(&["b", "d"]).files());
        // Too few for everybody: all get all.
        assert_eq!(frames(&["a"]).share(1, 2).len(), 1);
        let mut records = [
            json!({ "source": 1, "tag": 2 }),
            json!({ "source": 2, "tag": 0 }),
            json!({ "source": 2, "tag": 9 }),
            json!({ "source": 0, "tag": 0 }),
        ];
        name_files(&mut records, &shares);
        let named: Vec<_> = records.iter().map(|r| r["file"].as_str()).collect();
        assert_eq!(named, [Some("e"), Some("b"), None, None]);
    }
}
