//! A local cluster of real processes: one gateway, edges and the edges' workers.

mod inputs;
mod node;

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tessera_plan::files::{
    events::Event,
    records::Record,
    statistics::{EdgeStatistics, GatewayStatistics},
};

use crate::{out::note, start::GatewayEdge};
pub use inputs::Inputs;
use inputs::name_files;
use node::{Node, spawn};

/// Where the gateway of a local cluster speaks HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Http<'a> {
    /// Address and port.
    pub at: SocketAddr,
    /// File of the word that clients must know.
    pub token: Option<&'a Path>,
    /// File of class names.
    pub names: Option<&'a Path>,
    /// Endpoint of Frigate's ZeroMQ detector.
    pub zmq: Option<&'a str>,
    /// Addresses that may connect to it.
    pub zmq_allow: Option<&'a str>,
}

/// Configuration of a local cluster.
#[derive(Debug)]
pub struct Config<'a> {
    /// Where the gateway speaks HTTP. It goes on after the last frame then, until somebody ends the command.
    pub http: Option<Http<'a>>,
    /// Where the trace of all nodes goes.
    pub trace: Option<&'a Path>,
    /// The gateway's program.
    pub gateway: Program<'a>,
    /// The edges; the first `sources` of them hold frames.
    pub edges: Vec<EdgeProcess<'a>>,
    /// Number of sources.
    pub sources: usize,
    /// The edge on the gateway's board; `None` for no such edge.
    pub gateway_edge: Option<GatewayEdge>,
    /// Number of threads of the tail.
    pub threads: usize,
    /// Files from which sources make frames.
    pub inputs: Inputs,
    /// Frames after which the run ends; `None`: all.
    pub frames: Option<u64>,
    /// Score threshold of detections, 0 to 1.
    pub thresh: f32,
    /// The same for sources with names.
    pub threshs: Vec<(String, f64)>,
    /// Overlap (IoU) above which non-maximum suppression drops a box, 0 to 1.
    pub nms: f32,
    /// True to keep the pictures' aspect ratio.
    pub letterbox: bool,
    /// True to turn pictures as their EXIF orientation says.
    pub upright: bool,
    /// Folder for dumped tensors; `None` to dump nothing.
    pub dump: Option<&'a Path>,
    /// The gateway writes COCO results too.
    pub coco: bool,
    /// Folder for YOLO text; `None` for none.
    pub yolo: Option<&'a Path>,
    /// Lines of YOLO text end with the score.
    pub yolo_scores: bool,
}

/// A compiled node, and how this machine runs it.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The compiled node.
    pub node: &'a Path,
    /// The node's packed weights.
    pub weights: &'a Path,
    /// Command in front of the node: an emulator for cross-built nodes, or nothing.
    pub runner: &'static [&'static str],
}

/// An edge of a local cluster.
#[derive(Clone, Copy, Debug)]
pub struct EdgeProcess<'a> {
    /// The edge's program.
    pub program: Program<'a>,
    /// Worker processes.
    pub workers: usize,
    /// Number of threads of every worker.
    pub threads: usize,
}

/// Results of a cluster's run.
#[derive(Debug)]
pub struct ClusterRun {
    /// One record per frame, as the gateway wrote the record, with the name of the frame's file.
    pub records: Vec<Record>,
    /// COCO results, if they were asked for.
    pub coco: Option<Vec<u8>>,
    /// Inputs that a source could not read.
    pub skipped: Vec<Skipped>,
    /// Statistics of the gateway; `None` if the gateway died.
    pub gateway: Option<GatewayStatistics>,
    /// Statistics of each edge, the one on the gateway's board last; `None` for an edge that died.
    pub edges: Vec<Option<EdgeStatistics>>,
    /// Seconds from the first edge's start to the last record.
    pub seconds: f64,
}

/// An input that a source could not read.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Path of the input's file.
    pub file: String,
    /// Why the source could not read the file.
    pub error: String,
}

impl Skipped {
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Skipped { file, error, .. } => Some(Self {
                file: file.clone(),
                error: error.clone(),
            }),
            _ => None,
        }
    }
}

/// Time without any progress after which the command gives up.
const STALL: Duration = Duration::from_secs(300);
/// Longest time between two looks at the cluster that counts as waiting: during a longer time, the command itself
/// was stopped.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Time that edges have to leave when their gateway tells them to leave.
const TOLD: Duration = Duration::from_secs(3);
/// Time that a node has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(20);

/// Waits for the gateway's `listening` event.
fn listening(gateway: &mut Node) -> Result<SocketAddr> {
    let begun = Instant::now();
    while begun.elapsed() < STALL {
        // The end comes first: events that the gateway printed before its end count.
        let ended = gateway.child.try_wait()?.is_some();
        let addr = |event: &Event| match event {
            Event::Listening { addr, .. } => Some(addr.clone()),
            _ => None,
        };
        if let Some(addr) = gateway.events(addr).first() {
            return addr.parse().context("the gateway told no address");
        }
        if ended {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("the gateway did not start:\n{}", gateway.complaint())
}

/// Reads the records that the gateway has written so far.
fn records(path: &Path) -> Result<Vec<Record>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|l| {
            serde_json::from_str(l).with_context(|| format!("cannot understand the record {l}"))
        })
        .collect()
}

/// Starts a cluster, waits for all frames, ends the nodes, and collects the nodes' records and statistics.
/// `progress` receives the numbers of finished and of expected frames, if they are known.
///
/// # Errors
/// When a node cannot start, all work is stuck, or the gateway dies.
pub fn run(config: &Config<'_>, progress: &dyn Fn(usize, Option<usize>)) -> Result<ClusterRun> {
    let dir = tempfile::tempdir()?;
    let weights = config.gateway.weights.display().to_string();
    let [record_file, coco] = ["records.jsonl", "coco.json"].map(|file| dir.path().join(file));
    let shares: Vec<Inputs> = (0..config.sources)
        .map(|i| config.inputs.share(i, config.sources))
        .collect();
    // Of videos and cameras nobody knows it before.
    let total: Option<usize> = shares.iter().map(Inputs::frames).sum();

    let mut args: Vec<String> = ["gateway", "--listen", "127.0.0.1:0", "--weights", &weights]
        .map(String::from)
        .to_vec();
    let mut flag = |name: &str, value: String| args.extend([name.to_string(), value]);
    flag("--threads", config.threads.to_string());
    flag("--records", record_file.display().to_string());
    flag("--thresh", config.thresh.to_string());
    for (name, score) in &config.threshs {
        flag("--thresh", format!("{name}={score}"));
    }
    flag("--nms", config.nms.to_string());
    if let Some(d) = config.dump {
        std::fs::create_dir_all(d).with_context(|| format!("cannot make {}", d.display()))?;
        flag("--dump", d.display().to_string());
    }
    if config.coco {
        flag("--coco", coco.display().to_string());
    }
    if let Some(folder) = config.yolo {
        flag("--yolo", folder.display().to_string());
    }
    if let Some(edge) = config.gateway_edge {
        flag("--workers", edge.workers.to_string());
        flag("--worker-threads", edge.threads.to_string());
        flag("--id", edge.id.to_string());
    }
    if let Some(http) = &config.http {
        flag("--http", http.at.to_string());
        if let Some(token) = http.token {
            flag("--http-token", token.display().to_string());
        }
        if let Some(names) = http.names {
            flag("--names", names.display().to_string());
        }
        if let Some(endpoint) = http.zmq {
            flag("--zmq", endpoint.into());
        }
        if let Some(allowed) = http.zmq_allow {
            flag("--zmq-allow", allowed.into());
        }
        if config.gateway_edge.is_none() {
            // Posted pictures enter by an edge on the gateway's board.
            flag("--workers", "1".into());
        }
    }
    if config.http.is_some() && config.letterbox {
        args.push("--letterbox".into());
    }
    if config.yolo_scores {
        args.push("--yolo-scores".into());
    }
    let traces = config.trace.map(|_| dir.path());
    let trace = |node: usize| traces.map(|d| d.join(format!("{node}.trace")));
    if let Some(file) = trace(0) {
        args.extend(["--trace".into(), file.display().to_string()]);
    }
    args.push("--end-cluster".into());
    let mut nodes = vec![spawn(config.gateway, "gateway".into(), &args, dir.path())?];
    let addr = listening(&mut nodes[0])?;

    let begun = Instant::now();
    for (i, edge) in config.edges.iter().enumerate() {
        let weights = edge.program.weights.display().to_string();
        let mut args: Vec<String> = ["edge", "--weights", &weights].map(String::from).to_vec();
        let mut flag = |name: &str, value: String| args.extend([name.to_string(), value]);
        flag("--gateway", addr.to_string());
        flag("--id", (i + 1).to_string());
        flag("--workers", edge.workers.to_string());
        flag("--threads", edge.threads.to_string());
        let name = format!("edge {}", i + 1);
        if let Some(share) = shares.get(i) {
            args.extend(share.flags(dir.path(), &name)?);
        }
        if let Some(file) = trace(i + 1) {
            args.extend(["--trace".into(), file.display().to_string()]);
        }
        if !config.upright {
            args.push("--ignore-orientation".into());
        }
        if config.letterbox {
            args.push("--letterbox".into());
        }
        nodes.push(spawn(edge.program, name, &args, dir.path())?);
    }

    let (mut seen, mut waited, mut looked) = (0, Duration::ZERO, Instant::now());
    // Without --http there is nothing to say.
    let mut serving = Serving {
        told: config.http.is_none(),
    };
    let mut found = loop {
        serving.tell(&nodes[0]);
        let found = records(&record_file)?;
        let skipped: usize = nodes.iter().map(|n| n.events(Skipped::of).len()).sum();
        if found.len() != seen {
            seen = found.len();
            waited = Duration::ZERO;
            progress(seen, total);
        }
        let sources = &nodes[1..=config.sources.min(config.edges.len())];
        let is_over = match total {
            Some(total) => seen + skipped >= total,
            None => ended(sources).is_some_and(|frames| seen as u64 >= frames),
        };
        if is_over || config.frames.is_some_and(|most| seen as u64 >= most) {
            break found;
        }
        for (i, n) in nodes.iter_mut().enumerate() {
            if let Some(status) = n.child.try_wait()? {
                // The cluster copes with a dead edge. Without the gateway, or a source that never began, no more
                // records will come.
                if i == 0 || !status.success() {
                    bail!("{} ended early ({status}):\n{}", n.name, n.complaint());
                }
            }
        }
        waited += looked.elapsed().min(LOOK_MAX);
        looked = Instant::now();
        if waited > STALL {
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
    if config.http.is_some() {
        serve(&mut nodes[0], serving)?;
    }
    if let Some(most) = config.frames {
        found.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    name_files(&mut found, &shares);
    let skipped = nodes.iter().flat_map(|n| n.events(Skipped::of)).collect();
    let (gateway, edges) = end(nodes, config.gateway_edge.is_some())?;
    if let Some(out) = config.trace {
        let all = (0..=config.edges.len()).filter_map(trace);
        let own = trace(0).map(|f| f.with_extension("trace.edge"));
        let own = own.filter(|f| f.is_file());
        crate::trace::write(&all.chain(own).collect::<Vec<_>>(), out)?;
    }
    let coco = config.coco.then(|| std::fs::read(&coco));
    Ok(ClusterRun {
        records: found,
        coco: coco
            .transpose()
            .context("the gateway left no COCO results")?,
        skipped,
        gateway,
        edges,
        seconds,
    })
}

/// Frames of all sources together, once all have ended.
fn ended(sources: &[Node]) -> Option<u64> {
    let frames = |event: &Event| match event {
        Event::Finished {
            detections,
            dropped,
            ..
        } => Some(detections + dropped),
        _ => None,
    };
    sources
        .iter()
        .map(|n| n.events(frames).first().copied())
        .sum()
}

/// Whether it was said where the gateway answers over HTTP.
#[derive(Debug)]
struct Serving {
    told: bool,
}

impl Serving {
    /// Says it once, as soon as the gateway has said it.
    fn tell(&mut self, gateway: &Node) {
        let addr = |event: &Event| match event {
            Event::Serving { addr } => Some(addr.clone()),
            _ => None,
        };
        if !self.told
            && let Some(addr) = gateway.events(addr).first()
        {
            note!("http://{addr}/ answers; Ctrl-C ends the cluster");
            self.told = true;
        }
    }
}

/// Waits for the gateway's end. A signal to the command ends all nodes.
fn serve(gateway: &mut Node, mut serving: Serving) -> Result<()> {
    loop {
        serving.tell(gateway);
        if let Some(status) = gateway.child.try_wait()? {
            bail!("the gateway ended ({status}):\n{}", gateway.complaint());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends the nodes and reads their statistics, those of the gateway's edge last. The gateway tells its edges to leave;
/// edges that do not hear the gateway get a signal.
fn end(
    mut nodes: Vec<Node>,
    gateway_edge: bool,
) -> Result<(Option<GatewayStatistics>, Vec<Option<EdgeStatistics>>)> {
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
    let edges = nodes[1..].iter().map(Node::statistics);
    let own = gateway_edge.then(|| nodes[0].edge_statistics());
    let edges = edges.chain(own).collect::<Result<_>>()?;
    Ok((nodes[0].statistics()?, edges))
}
