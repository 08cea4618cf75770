//! The command line of a node.

use std::{
    ffi::OsString, fmt::Display, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration,
};

use lexopt::prelude::*;

use crate::{
    error::NodeError,
    log::{self, Level},
    mqtt::flags::MqttFlags,
    sinks::Outputs,
    trust::Flags,
    udp::GatewayName,
    workers::WorkersConfig,
};
use tessera_plan::files::sources::{
    Fps, Keep, Named, Origin, SourceEntry, SourceError, Threshold, TimeoutS,
};
use tessera_runtime::program::Program;
use tessera_secure::PairingCode;

/// What `node --help` says. `cargo xtask manual` makes the manual page and completions of it.
const HELP: &str = include_str!("args/help.txt");

/// What a node is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Print this and leave.
    Help(String),
    /// Say what was compiled in.
    Info(&'static Program),
    /// Everything in one process.
    Solo(&'static Program, Box<Args>),
    /// Look for what is likely to be wrong with this board.
    Doctor(&'static Program, Box<Args>),
    /// Measure links and speed.
    Probe(&'static Program, Box<Args>),
    /// Compute jobs of the edge that started this process; not for people, so not in the help.
    Worker(&'static Program, Box<Args>),
    /// Match, merge, run the tail, write records.
    Gateway(&'static Program, Box<Args>),
    /// Compute tasks; bring frames, with inputs.
    Edge(&'static Program, Box<Args>),
    /// Read records and metrics of a cluster.
    Observe(Box<Args>),
    /// Make a key pair in this file.
    Keygen(PathBuf),
    /// Join a cluster.
    Join {
        /// The code that the operator's machine shows.
        code: PairingCode,
        /// The operator's machine.
        at: GatewayName,
        /// Where the files go.
        folder: PathBuf,
    },
}

/// Flags of all roles; a role uses its own.
#[derive(Clone, Debug)]
pub struct Args {
    /// Packed weights.
    pub weights: PathBuf,
    /// Picture files that frames are made of.
    pub images: Vec<PathBuf>,
    /// Raw tensor files that frames are made of.
    pub tensors: Vec<PathBuf>,
    /// Sources of frames.
    pub sources: Vec<Named<Origin>>,
    /// Sources that the cluster file gives to this board.
    pub listed: Vec<SourceEntry>,
    /// Most frames per second of sources.
    pub fps: Vec<Named<Fps>>,
    /// What becomes of sources' frames that come too fast.
    pub keep: Vec<Named<Keep>>,
    /// Time without a frame after which a stream is begun anew.
    pub timeouts: Vec<Named<TimeoutS>>,
    /// Keep pictures' shape.
    pub letterbox: bool,
    /// Turn pictures as their EXIF orientation says.
    pub upright: bool,
    /// Threads of the tail; of every worker; of everything in `solo`.
    pub threads: usize,
    /// Worker processes of an edge; of the edge on a gateway's board, which has none without the flag.
    pub workers: Option<usize>,
    /// Threads of every worker of the edge on a gateway's board.
    pub worker_threads: usize,
    /// Where tensors are dumped.
    pub dump: Option<PathBuf>,
    /// Where records go, and in which forms.
    pub outputs: Outputs,
    /// The broker that hears of records, and how.
    pub mqtt: MqttFlags,
    /// Where alerts are written, a line of JSON each.
    pub alerts: Option<PathBuf>,
    /// Where statistics go at the end.
    pub stats: Option<PathBuf>,
    /// Where a trace goes.
    pub trace: Option<PathBuf>,
    /// Where a trace goes that SIGPROF asks for.
    pub trace_when_asked: Option<PathBuf>,
    /// Boxes that score above it are reported.
    pub thresh: f32,
    /// The same for sources with names.
    pub threshs: Vec<(String, f32)>,
    /// Boxes that overlap a better one by more are not reported.
    pub nms: f32,
    /// Class names, for records; none: those beside the weights.
    pub names: Option<PathBuf>,
    /// Timed repetitions; 0: none.
    pub repeat: u32,
    /// Put a guard page behind working memory, and say how much of it each task uses.
    pub guard: bool,
    /// Time layers too.
    pub profile: bool,
    /// Numbers of the tasks that make strips in the place of tiles, among all such tasks, that are to run; [`u32::MAX`] is all
    /// of them.
    pub late: Vec<u32>,
    /// Address to bind.
    pub listen: Option<SocketAddr>,
    /// Address of the gateway.
    pub gateway: Option<GatewayName>,
    /// Number of this node, from 1.
    pub id: u16,
    /// Frames after which a gateway ends; none: runs until told to end.
    pub frames: Option<u64>,
    /// Where this node's keys are, and who may take part.
    pub trust: Flags,
    /// Inherited socket of a worker, or of an edge that a gateway has started: the process ends when it ends.
    pub socket: Option<i32>,
    /// Share of the tasks that others computed for this source, in parts per million, that is computed again here.
    pub verify_ppm: u32,
    /// All edges end with this gateway.
    pub end_cluster: bool,
    /// A worker that uses no processor time for so long, though it has something to do, is replaced.
    pub stuck_after: Duration,
    /// Where and how a gateway speaks HTTP.
    pub http: Http,
    /// The edge on a gateway's board gets posted pictures by its standard input.
    pub posts: bool,
    /// Which events are said on standard error.
    pub log: Level,
    /// Print JSON.
    pub json: bool,
    /// The root of the board's files, which say how the board is.
    pub root: PathBuf,
}

/// Where and how a gateway speaks HTTP, and Frigate's protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Address and port; none: nowhere.
    pub listen: Option<SocketAddr>,
    /// File of the word that clients must know.
    pub token: Option<PathBuf>,
    /// How failures of detection are told.
    pub profile: Option<String>,
    /// Seconds that a posted picture has.
    pub deadline: Option<Duration>,
    /// Endpoint of Frigate's ZeroMQ detector; none: nowhere.
    pub zmq: Option<String>,
    /// Addresses that may connect to it.
    pub zmq_allow: Option<String>,
    /// Seconds that a tensor of Frigate's has.
    pub zmq_deadline: Option<Duration>,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            weights: PathBuf::from("weights.bin"),
            images: Vec::new(),
            tensors: Vec::new(),
            sources: Vec::new(),
            listed: Vec::new(),
            fps: Vec::new(),
            keep: Vec::new(),
            timeouts: Vec::new(),
            letterbox: false,
            upright: true,
            threads: 1,
            workers: None,
            worker_threads: 1,
            dump: None,
            outputs: Outputs::default(),
            mqtt: MqttFlags::default(),
            alerts: None,
            stats: None,
            trace: None,
            trace_when_asked: None,
            thresh: 0.25,
            threshs: Vec::new(),
            nms: 0.45,
            names: None,
            repeat: 0,
            profile: false,
            late: Vec::new(),
            guard: false,
            listen: None,
            gateway: None,
            id: 0,
            frames: None,
            trust: Flags::default(),
            socket: None,
            verify_ppm: 0,
            end_cluster: false,
            stuck_after: WorkersConfig::default().stuck_after,
            http: Http::default(),
            posts: false,
            log: Level::default(),
            json: false,
            root: "/".into(),
        }
    }
}

/// What became of a flag.
const NO_INSECURE_LAN: &str = "\
--insecure-lan is gone: off loopback, nodes take part with keys alone. Make them with `cargo xtask cluster init`, and start \
the node with --config cluster.toml --name NAME";

/// Parses the command line.
pub fn parse(
    programs: &[&'static Program],
    words: impl IntoIterator<Item = OsString>,
) -> Result<Command, NodeError> {
    let usage = |e: lexopt::Error| NodeError::Usage(e.to_string());
    let mut parser = lexopt::Parser::from_iter(words);
    let mut role: Option<String> = None;
    let mut name: Option<String> = None;
    let mut keys: Option<PathBuf> = None;
    let (mut code, mut at) = (None, None);
    let mut folder = PathBuf::from(".");
    let mut a = Args::default();
    if let Some(level) = std::env::var_os(log::VARIABLE).filter(|l| !l.is_empty()) {
        let level = level.to_string_lossy().parse::<Level>();
        a.log = level.map_err(|e| NodeError::Usage(format!("{}: {e}", log::VARIABLE)))?;
    }
    while let Some(word) = parser.next().map_err(usage)? {
        match word {
            Short('h') | Long("help") => return Ok(Command::Help(HELP.trim_end().into())),
            Long("program") => name = Some(text(&mut parser)?),
            Long("weights") => a.weights = parser.value().map_err(usage)?.into(),
            Long("image") => a
                .images
                .extend(parser.values().map_err(usage)?.map(PathBuf::from)),
            Long("source") => {
                for text in parser.values().map_err(usage)? {
                    let text = text.string().map_err(usage)?;
                    a.sources.push(source(&text)?);
                }
            }
            Long("fps") => a.fps.push(parsed(&mut parser, "--fps")?),
            Long("keep") => a.keep.push(parsed(&mut parser, "--keep")?),
            Long("timeout") => a.timeouts.push(parsed(&mut parser, "--timeout")?),
            Long("input-f32") => a
                .tensors
                .extend(parser.values().map_err(usage)?.map(PathBuf::from)),
            Long("letterbox") => a.letterbox = true,
            Long("ignore-orientation") => a.upright = false,
            Long("threads") => a.threads = parsed(&mut parser, "--threads")?,
            Long("workers") => a.workers = Some(parsed(&mut parser, "--workers")?),
            Long("worker-threads") => {
                a.worker_threads = parsed(&mut parser, "--worker-threads")?;
            }
            Long("dump") => a.dump = Some(parser.value().map_err(usage)?.into()),
            Long("records") => a.outputs.records = Some(parser.value().map_err(usage)?.into()),
            Long("rotate") => {
                let mib: u32 = parsed(&mut parser, "--rotate")?;
                a.outputs.rotate_bytes = Some(u64::from(mib.max(1)) << 20);
            }
            Long("coco") => a.outputs.coco = Some(parser.value().map_err(usage)?.into()),
            Long("yolo") => a.outputs.yolo = Some(parser.value().map_err(usage)?.into()),
            Long("yolo-scores") => a.outputs.yolo_scores = true,
            Long("alerts") => a.alerts = Some(parser.value().map_err(usage)?.into()),
            Long("mqtt") => a.mqtt.broker = Some(text(&mut parser)?),
            Long("mqtt-login") => a.mqtt.login = Some(parser.value().map_err(usage)?.into()),
            Long("mqtt-id") => a.mqtt.id = Some(text(&mut parser)?),
            Long("mqtt-prefix") => a.mqtt.prefix = Some(text(&mut parser)?),
            Long("mqtt-classes") => a.mqtt.classes = Some(text(&mut parser)?),
            Long("mqtt-remove") => a.mqtt.remove = true,
            Long("stats") => a.stats = Some(parser.value().map_err(usage)?.into()),
            Long("trace") => a.trace = Some(parser.value().map_err(usage)?.into()),
            Long("trace-when-asked") => {
                a.trace_when_asked = Some(parser.value().map_err(usage)?.into());
            }
            Long("thresh") => thresh(&mut a, parsed(&mut parser, "--thresh")?),
            Long("nms") => a.nms = parsed(&mut parser, "--nms")?,
            Long("http") => a.http.listen = Some(http(&text(&mut parser)?)?),
            Long("http-token") => a.http.token = Some(parser.value().map_err(usage)?.into()),
            Long("http-profile") => a.http.profile = Some(text(&mut parser)?),
            Long("http-deadline") => {
                a.http.deadline = Some(seconds("--http-deadline", &mut parser)?);
            }
            Long("zmq") => a.http.zmq = Some(text(&mut parser)?),
            Long("zmq-allow") => a.http.zmq_allow = Some(text(&mut parser)?),
            Long("zmq-deadline") => {
                a.http.zmq_deadline = Some(seconds("--zmq-deadline", &mut parser)?);
            }
            Long("posts") => a.posts = true,
            Long("names") => a.names = Some(parser.value().map_err(usage)?.into()),
            Long("repeat") => a.repeat = parsed(&mut parser, "--repeat")?,
            Long("profile") => a.profile = true,
            Long("guard") => a.guard = true,
            Long("late-strips") => a.late = late(&text(&mut parser)?)?,
            Long("listen") => a.listen = Some(listen(&text(&mut parser)?)?),
            Long("gateway") => a.gateway = Some(gateway(&text(&mut parser)?)?),
            Long("id") => a.id = parsed(&mut parser, "--id")?,
            Long("frames") => a.frames = Some(parsed(&mut parser, "--frames")?),
            Long("config") => a.trust.config = Some(parser.value().map_err(usage)?.into()),
            Long("name") => a.trust.name = Some(text(&mut parser)?),
            Long("key") => a.trust.key = Some(parser.value().map_err(usage)?.into()),
            Long("secret") => a.trust.secret = Some(parser.value().map_err(usage)?.into()),
            Long("second-node") => a.trust.second_node = true,
            Long("insecure-lan") => return Err(NodeError::Usage(NO_INSECURE_LAN.into())),
            Long("end-cluster") => a.end_cluster = true,
            Long("verify") => a.verify_ppm = share(&text(&mut parser)?)?,
            Long("stuck-after") => a.stuck_after = seconds("--stuck-after", &mut parser)?,
            Long("log") => a.log = parsed(&mut parser, "--log")?,
            Long("json") => a.json = true,
            Long("root") => a.root = parser.value().map_err(usage)?.into(),
            Long("socket") => a.socket = Some(parsed(&mut parser, "--socket")?),
            Value(v) if role.is_none() => role = Some(v.to_string_lossy().into_owned()),
            Long("at") => at = Some(gateway(&text(&mut parser)?)?),
            Long("into") => folder = parser.value().map_err(usage)?.into(),
            Value(v) if role.as_deref() == Some("join") && code.is_none() => {
                let parsed = v.to_string_lossy().parse::<PairingCode>();
                code = Some(parsed.map_err(|e| NodeError::Usage(e.to_string()))?);
            }
            Value(v) if role.as_deref() == Some("keygen") && keys.is_none() => {
                keys = Some(PathBuf::from(v));
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    if role.as_deref() == Some("keygen") {
        return Ok(Command::Keygen(keys.unwrap_or_else(|| "node.key".into())));
    }
    if role.as_deref() == Some("join") {
        let (Some(code), Some(at)) = (code, at) else {
            return Err(NodeError::Usage(
                "join needs the code and the place that cargo xtask cluster pair shows: node join CODE --at HOST:PORT".into(),
            ));
        };
        return Ok(Command::Join { code, at, folder });
    }
    if role.as_deref() == Some("observe") {
        return Ok(Command::Observe(Box::new(a)));
    }
    let program = pick(programs, name.as_deref())?;
    bounds(&a)?;
    match role.as_deref() {
        Some("info") => Ok(Command::Info(program)),
        Some("worker") => Ok(Command::Worker(program, Box::new(a))),
        Some("solo") => {
            if a.images.is_empty() && a.tensors.is_empty() && a.sources.is_empty() {
                return Err(NodeError::Usage(
                    "solo needs --source, --image or --input-f32".into(),
                ));
            }
            Ok(Command::Solo(program, Box::new(a)))
        }
        Some("doctor") => Ok(Command::Doctor(program, Box::new(a))),
        Some("probe") => Ok(Command::Probe(program, Box::new(a))),
        Some("gateway") => Ok(Command::Gateway(program, Box::new(a))),
        Some("edge") => Ok(Command::Edge(program, Box::new(a))),
        Some(other) => Err(NodeError::Usage(format!(
            "unknown role {other:?}: gateway, edge, solo, probe, doctor, observe, info, join or keygen"
        ))),
        None => Err(NodeError::Usage(
            "no role given: gateway, edge, solo, probe, doctor, observe, info, join or keygen"
                .into(),
        )),
    }
}

/// The value of a flag; an error names the flag.
fn parsed<T>(parser: &mut lexopt::Parser, flag: &str) -> Result<T, NodeError>
where
    T: FromStr<Err: Display>,
{
    let text = text(parser)?;
    text.parse()
        .map_err(|e| NodeError::Usage(format!("{flag} {text}: {e}")))
}

/// The value of a flag that is a time in seconds.
fn seconds(flag: &str, parser: &mut lexopt::Parser) -> Result<Duration, NodeError> {
    let seconds: f64 = parsed(parser, flag)?;
    let time = Duration::try_from_secs_f64(seconds).ok();
    time.filter(|d| !d.is_zero())
        .ok_or_else(|| NodeError::Usage(format!("{flag} {seconds} is no time; give seconds")))
}

/// The value of `--http`.
fn http(text: &str) -> Result<SocketAddr, NodeError> {
    text.parse().map_err(|_| {
        NodeError::Usage(format!(
            "--http {text}: this is no address with a port; give 127.0.0.1:32168 for this machine alone, or 0.0.0.0:32168 \
             and --http-token FILE for others too"
        ))
    })
}

/// The next value, as text.
fn text(parser: &mut lexopt::Parser) -> Result<String, NodeError> {
    let value = parser.value().and_then(|v| v.string());
    value.map_err(|e| NodeError::Usage(e.to_string()))
}

/// The value of `--late-strips`.
fn late(text: &str) -> Result<Vec<u32>, NodeError> {
    if text == "all" {
        return Ok(vec![u32::MAX]);
    }
    let each = text.split(',').map(|n| {
        n.parse().map_err(|_| {
            NodeError::Usage(format!(
                "--late-strips {text}: give numbers, as in 0,3, or all"
            ))
        })
    });
    each.collect()
}

/// A value of `--source`. Its error does not repeat the text, which may hold a password.
fn source(text: &str) -> Result<Named<Origin>, NodeError> {
    text.parse()
        .map_err(|e: SourceError| NodeError::Usage(format!("--source: {e}")))
}

/// Sets a threshold of one source or of all.
fn thresh(a: &mut Args, value: Named<Threshold>) {
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
    let number = value.value.get() as f32;
    match value.name {
        Some(name) => a.threshs.push((name.to_string(), number)),
        None => a.thresh = number,
    }
}

/// The value of `--verify`, in parts per million.
fn share(text: &str) -> Result<u32, NodeError> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..=1.0).contains(n));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a million"
    )]
    let ppm = |n: f64| (n * 1e6).ceil() as u32;
    number.map(ppm).ok_or_else(|| {
        NodeError::Usage(format!(
            "--verify {text}: give a share of tasks between 0 and 1, as in 0.05"
        ))
    })
}

/// The value of `--listen`: an address of this board.
fn listen(text: &str) -> Result<SocketAddr, NodeError> {
    text.parse().map_err(|_| {
        let all = if text.matches(':').count() > 1 {
            "[::]:7400 for all"
        } else {
            "0.0.0.0:7400 for all"
        };
        NodeError::Usage(format!(
            "--listen {text}: this is no address with a port; give one of this board's, as in \
             192.168.1.10:7400, or {all} of them"
        ))
    })
}

/// The value of `--gateway`.
fn gateway(text: &str) -> Result<GatewayName, NodeError> {
    text.parse()
        .map_err(|e| NodeError::Usage(format!("--gateway {text}: {e}")))
}

fn pick(programs: &[&'static Program], name: Option<&str>) -> Result<&'static Program, NodeError> {
    match (name, programs) {
        (None, [one]) => Ok(one),
        (None, _) => Err(NodeError::Usage(
            "this binary holds several programs: name one with --program".into(),
        )),
        (Some(n), _) => programs
            .iter()
            .copied()
            .find(|p| p.name == n)
            .ok_or_else(|| NodeError::Usage(format!("there is no program {n:?} in this binary"))),
    }
}

fn bounds(a: &Args) -> Result<(), NodeError> {
    let share = |v: f32, flag: &str| {
        if (0.0..=1.0).contains(&v) {
            Ok(())
        } else {
            Err(NodeError::Usage(format!(
                "{flag} {v} must lie between 0 and 1"
            )))
        }
    };
    share(a.thresh, "--thresh")?;
    share(a.nms, "--nms")?;
    if a.threads.max(a.worker_threads) > 1024 || !(1..=64).contains(&a.workers.unwrap_or(1)) {
        return Err(NodeError::Usage(
            "--threads goes up to 1024, --workers from 1 to 64".into(),
        ));
    }
    let pictures = !a.images.is_empty() || !a.sources.is_empty();
    if pictures && !a.tensors.is_empty() {
        return Err(NodeError::Usage(
            "give --source and --image, or --input-f32, not both".into(),
        ));
    }
    Ok(())
}
