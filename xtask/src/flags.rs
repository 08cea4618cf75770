//! The command line.
#![expect(
    rustdoc::invalid_html_tags,
    reason = "these comments are shown as help, where <name> is no tag"
)]

mod deploy;
mod doctor;
mod formats;
mod inspect;
mod measure;
mod members;
mod package;
mod paper;
mod planned;
mod report;
mod service;
mod simulate;
mod sources;
mod trace;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use serde::{Serialize, Serializer};

pub use deploy::{DeployArgs, OverArgs, RollbackArgs, UndeployArgs};
pub use doctor::{DoctorArgs, TopArgs};
pub use formats::{BorderFlag, FrameFlag, WireFlag};
pub use inspect::{InspectArgs, WeightsCommand};
pub use measure::{BenchArgs, CalibrateArgs};
pub use members::{AddArgs, ClusterCommand, InitArgs, PairArgs, RemoveArgs, RotateArgs};
pub use package::{ManualArgs, PackageArgs, PackageForm};
pub use paper::PaperArgs;
pub use planned::PlannedArgs;
pub use report::ReportArgs;
pub use service::ServiceArgs;
pub use simulate::SimulateArgs;
pub use sources::SourceArgs;
pub use trace::TraceArgs;

const AFTER: &str = "\
Begin with `cargo xtask demo`; README.md has a tour.
`cargo xtask COMMAND -h` is a short help, `--help` a longer one.

Exit codes:
  0      done
  1      failed: an input is wrong, a file is missing, no plan fits, a step went wrong
  2      wrong usage
  3      the network uses what Tessera does not support, such as recurrent layers
  128+N  ended by signal N: 130 by Ctrl-C, 143 by SIGTERM; 141 when standard output was closed";

/// Plans, compiles and runs Darknet networks on clusters of small boards.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100,
    after_help = AFTER
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the shipped detector on a shipped picture: a gateway and two edges on this machine
    Demo(DemoArgs),
    /// Show a network: layers, shapes, weights, multiply-adds, memory
    Inspect(InspectArgs),
    /// Choose or obey stages and grids; write the plan and the node crate under generated/
    Plan(PlanCommand),
    /// Write the node crate of a plan that was made before
    Emit(EmitArgs),
    /// Plan, then compile the node crate (cross-compiles for other targets)
    Build(BuildArgs),
    /// Plan, compile and run a local cluster on pictures or tensors
    Run(Box<RunArgs>),
    /// Run a plan on its boards in virtual time: latency, frames per second, bytes, a drawing
    Simulate(SimulateArgs),
    /// Show a plan as one page: the network, its tiles, memory and bytes of every board, a frame's course, what binds
    Report(ReportArgs),
    /// Make the figures of the DeepThings paper again: its values, ours by its method, ours at our best
    Paper(PaperArgs),
    /// Measure a plan on this machine in one process
    Bench(BenchArgs),
    /// Measure how fast kernels are on this machine, for plans to choose by
    Calibrate(CalibrateArgs),
    /// Say who may take part in a cluster: make and change its file and its keys
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Bring the nodes of a plan to the boards of a cluster file over ssh, and run them there (docs/deploy.md)
    Deploy(Box<DeployArgs>),
    /// Run the version before on all boards again
    Rollback(RollbackArgs),
    /// End the nodes on boards, and remove all that was brought there
    Undeploy(UndeployArgs),
    /// Look for what is likely to be wrong with this machine as a board, or with a cluster: each in one line
    Doctor(DoctorArgs),
    /// Watch a running cluster: boards, who computes what, frames, the network
    Top(TopArgs),
    /// Put what nodes wrote with --trace together, as one file for Perfetto (docs/trace.md)
    Trace(TraceArgs),
    /// Pack the nodes of a plan for boards without Rust: archives, Debian packages, container images, an app for Home
    /// Assistant (docs/package.md)
    Package(Box<PackageArgs>),
    /// Write manual pages and shell completions, of this command and of nodes
    Manual(ManualArgs),
    /// Look at the inner loops of ARM kernels with llvm-mca
    Mca,
    /// Work with Darknet weights files
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Run the checks that a change must pass
    Ci(CiArgs),
}

/// Which Darknet is followed where the forks differ.
#[derive(Clone, Copy, Debug, Default, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fork {
    /// AlexeyAB's fork: nearly all v3, v4 and v7 models
    #[default]
    Alexey,
    /// The original: v1, v2, v3, classifiers, ResNets
    Pjreddie,
}

/// How a grid cuts the map.
#[derive(Clone, Copy, Debug, Default, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SplitFlag {
    /// Tiles of about equal cost
    #[default]
    Balanced,
    /// The paper's rule: ceil(extent / parts) each, the rest for the last
    Equal,
    /// Tiles by the speeds of boards, a tile for each; where boards differ, the search tries it by itself
    Speed,
}

/// How boards share tasks.
#[derive(Clone, Copy, Debug, Default, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementFlag {
    /// Every task has a home board; other boards take only what is late
    #[default]
    Home,
    /// Idle boards steal the tile with the least input, and fetch the next one while they compute
    Steal,
    /// Idle boards steal the next tile in order, one at a time, to the letter of DeepThings
    Queue,
    /// The gateway takes frames, hands every board an equal share of each stage, and passes on what boards read of each
    /// other's tiles
    Share,
}

/// Systems that the DeepThings paper compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SystemFlag {
    /// DeepThings' work stealing
    Wst,
    /// The same, with borders that neighbours reuse
    WstS,
    /// Work sharing of fused tiles
    Wsh,
    /// MoDNN: every layer in strips, one for each edge
    Bodp,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum YesNo {
    /// It is
    Yes,
    /// It is not
    No,
}

/// Kernels to choose from.
#[derive(Clone, Copy, Debug, Default, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum KernelsFlag {
    /// Sums in one order: the same bits wherever tiles lie
    Direct,
    /// Whatever costs less
    #[default]
    Auto,
    /// Winograd's F(2x2, 3x3) wherever it is possible
    Winograd2,
    /// F(4x4, 3x3)
    Winograd4,
    /// F(6x6, 3x3)
    Winograd6,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, Default, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsFlag {
    /// float32, transformed where that saves time and --memory leaves room
    #[default]
    Auto,
    /// float32, as trained
    F32,
    /// Half precision: half the memory, every weight rounded to 11 bits
    F16,
    /// float32, transformed for all Winograd kernels: up to seven times the memory
    Transformed,
}

fn lossy<S: Serializer>(path: &Path, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&path.to_string_lossy())
}

fn lossy_or_none<S: Serializer>(path: &Option<PathBuf>, s: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => lossy(path, s),
        None => s.serialize_none(),
    }
}

/// The network. [`command`](crate::command) makes the recorded command of this and [`PlanArgs`].
#[derive(Clone, Debug, Args, Serialize)]
pub struct ModelArgs {
    /// Darknet cfg; a bare name such as yolov2.cfg is also looked up in models/
    #[arg(long, value_name = "CFG", help_heading = "Network", value_hint = ValueHint::FilePath)]
    #[serde(serialize_with = "lossy")]
    pub model: PathBuf,
    /// Darknet weights, or random:SEED [default: the file beside the cfg]
    #[arg(long, value_name = "FILE", help_heading = "Network", value_hint = ValueHint::FilePath)]
    pub weights: Option<String>,
    /// Which Darknet is followed where the forks differ
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "FORK",
        help_heading = "Network"
    )]
    pub darknet: Fork,
}

/// Choices of the plan.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct PlanArgs {
    /// Rows x columns of tiles: 5x5 for all stages, or one per stage: 5x5,3x2. 6c cuts a stage of one convolution, and
    /// pools behind it, to 6 ranges of output channels: each tile reads its part of the weights. A second convolution
    /// behind them makes partial sums over the ranges [default: searched]
    #[arg(long, value_name = "RxC|Nc,..", help_heading = "Stages and tiles")]
    pub grid: Option<String>,
    /// Number of leading layers that run on edges; 0 leaves everything to the gateway [default: searched]
    #[arg(
        long,
        value_name = "N",
        help_heading = "Stages and tiles",
        conflicts_with = "cuts"
    )]
    pub offload: Option<usize>,
    /// Ends of the stages, the last one being the offload point: 4,8,12,16
    #[arg(
        long,
        value_name = "N,..",
        help_heading = "Stages and tiles",
        value_delimiter = ','
    )]
    pub cuts: Vec<usize>,
    /// How a grid cuts the map
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "RULE",
        help_heading = "Stages and tiles"
    )]
    pub split: SplitFlag,
    /// How tiles get their halo: one policy for all stages, or one per stage, as in recompute,exchange [default:
    /// searched where grids or cuts are, else recompute]
    #[arg(
        long,
        value_enum,
        value_name = "POLICY,..",
        value_delimiter = ',',
        help_heading = "Stages and tiles"
    )]
    pub border: Vec<BorderFlag>,
    /// What the search looks for: latency, throughput, or fps=N, which is the shortest time of plans with N frames
    /// a second [default: latency]
    #[arg(long, value_name = "GOAL", help_heading = "Stages and tiles")]
    pub goal: Option<String>,
    /// Edges that bring frames at the same time, for goals that count frames a second
    #[arg(
        long,
        default_value_t = 1,
        value_name = "N",
        help_heading = "Stages and tiles",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub cameras: u16,
    /// Plan only bit-exact kernels and float32 objects
    #[arg(long, conflicts_with = "kernels", help_heading = "Kernels")]
    pub exact: bool,
    /// How values are stored that boards send each other: one type for all stages, or one per stage, as in
    /// f16,f32 [default: f16, and f32 with --exact]
    #[arg(
        long,
        value_enum,
        value_name = "TYPE,..",
        value_delimiter = ',',
        conflicts_with = "exact",
        help_heading = "Frames and objects"
    )]
    pub wire: Vec<WireFlag>,
    /// Folder of pictures, or a picture, on which the network runs first, for the ranges of --wire u8
    #[arg(long, value_name = "DIR", conflicts_with = "exact", help_heading = "Frames and objects", value_hint = ValueHint::DirPath)]
    #[serde(serialize_with = "lossy_or_none")]
    pub calibrate_on: Option<PathBuf>,
    /// How frames are stored [default: u8, and f32 with --exact, with --input-f32, and for networks that take no
    /// pictures]
    #[arg(
        long,
        value_enum,
        value_name = "TYPE",
        conflicts_with = "exact",
        help_heading = "Frames and objects"
    )]
    pub frame_format: Option<FrameFlag>,
    /// How boards share tasks: every task has a home board, or idle boards steal, as DeepThings has it
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "POLICY",
        help_heading = "Stages and tiles"
    )]
    pub placement: PlacementFlag,
    /// Whether boards that bring frames steal too, with stealing: no is what DeepThings' released code does [default: yes]
    #[arg(
        long,
        value_enum,
        value_name = "YES|NO",
        help_heading = "Stages and tiles"
    )]
    pub sources_steal: Option<YesNo>,
    /// A system of the DeepThings paper: sets placement, split, border, floats on the wire and --no-rolling; bodp also the
    /// stages and the grid. Without --offload, 16 layers; without --grid, 5x5. See docs/systems.md
    #[arg(
        long,
        value_enum,
        value_name = "SYSTEM",
        help_heading = "Stages and tiles",
        conflicts_with_all = ["placement", "split", "border", "goal", "row_block", "cuts"]
    )]
    pub system: Option<SystemFlag>,
    /// Compute layer by layer on whole maps, as the paper does, instead of rolling rows
    #[arg(long, conflicts_with = "row_block", help_heading = "Kernels")]
    pub no_rolling: bool,
    /// Rows per firing, for all layers [default: chosen per layer]
    #[arg(long, value_name = "N", help_heading = "Kernels", value_parser = clap::value_parser!(u16).range(1..))]
    pub row_block: Option<u16>,
    /// Kernels of convolutions
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "FAMILY",
        help_heading = "Kernels"
    )]
    pub kernels: KernelsFlag,
    /// How fast kernels are: a table of cargo xtask calibrate, or cortex-a53 or cortex-a72 [default: the
    /// formulas for x86-64, cortex-a53 for ARM]
    #[arg(long, value_name = "FILE|NAME", help_heading = "Kernels", value_hint = ValueHint::FilePath)]
    pub costs: Option<String>,
    /// Tiles per call of Winograd kernels, about: fewer take less memory and more time [default: 64, or
    /// what --memory leaves]
    #[arg(long, value_name = "N", help_heading = "Kernels", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub tiles: Option<u16>,
    /// How weights of convolutions are stored
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Kernels"
    )]
    pub weights_format: WeightsFlag,
    /// Number of edges: the boards that compute tiles; the gateway is one more
    #[arg(long, default_value_t = 2, value_name = "N", help_heading = "Boards", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub edges: u16,
    /// Worker processes of an edge: as many of a board's cores compute
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Boards", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Worker processes of the gateway's board, which then computes tasks too, beside the tail
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Boards", value_parser = clap::value_parser!(u16).range(0..=64))]
    pub gateway_workers: u16,
    /// Threads of a board that share the layers of a task it has to itself: the tail, a stage of one tile. The
    /// search weighs such a stage, with up to --workers of them, against one of several tiles
    #[arg(long, default_value_t = 4, value_name = "N", help_heading = "Boards", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub team: u16,
    /// Most memory that an edge may need, as in 64MiB or 512MB [default: no limit]
    #[arg(long, value_name = "SIZE", help_heading = "Boards")]
    pub memory: Option<String>,
    /// x86-64-v4, x86-64-v3, portable, aarch64 or armv7 [default: the best for this machine]
    #[arg(long, value_name = "TARGET", help_heading = "Boards")]
    pub target: Option<String>,
    /// Bits per second of the channel that the boards share, as in 38.4Mbit or 1Gbit [default: 100Mbit]
    #[arg(long, value_name = "RATE", help_heading = "Boards")]
    pub rate: Option<String>,
    /// Time that a message takes from board to board, as in 3ms [default: 500us]
    #[arg(long, value_name = "TIME", help_heading = "Boards")]
    pub delay: Option<String>,
    /// File that describes boards and links, in place of the flags above: see docs/cluster.md
    #[arg(long, value_name = "FILE", help_heading = "Boards", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["costs", "edges", "workers", "team", "memory", "target", "rate", "delay"])]
    #[serde(serialize_with = "lossy_or_none")]
    pub cluster: Option<PathBuf>,
    /// Plan with the speeds of boards and links that a run measured: a file of run --stats; or the plan.toml that ran and
    /// statistics of its nodes, with commas between them. See docs/cluster.md
    #[arg(long, value_name = "FILE,..", help_heading = "Boards", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub from_run: Vec<String>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanCommand {
    #[command(flatten)]
    pub planned: PlannedArgs,
    /// Folder that receives the crate [default: generated/<model>-<grid>-<target>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only print the report; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the plan as JSON instead of the report
    #[arg(long)]
    pub json: bool,
}

/// `emit`.
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// The plan, as `plan` writes it beside the sources
    #[arg(value_name = "PLAN.toml")]
    pub plan: PathBuf,
    /// Weights that the plan was made with: a Darknet file, or random:SEED [default: none, weights.bin is not
    /// written]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<String>,
    /// Class names, one per line, for weights.names: a gateway writes them into its records [default:
    /// weights.names beside the plan]
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
    /// Folder that receives the crate
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Which of the plan's targets [default: its only one]
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
}

/// `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub planned: PlannedArgs,
    /// What nodes are built with beside: alerts (docs/alerts.md), mqtt (docs/mqtt.md), service: HTTP (docs/service.md). It
    /// makes them larger
    #[arg(long, value_name = "WHAT", value_parser = ["alerts", "mqtt", "service"])]
    pub with: Vec<String>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Class names, one per line [default: <model>.names beside the cfg, or coco.names for 80 classes]
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
    /// How many of the edges bring pictures; fewer pictures than sources are given to every source
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub sources: u16,
    #[command(flatten)]
    pub from: SourceArgs,
    /// Pictures (PNG, JPEG, BMP, PNM)
    #[arg(long, num_args = 1.., value_name = "FILE", required_unless_present_any = ["input_f32", "source", "cluster", "http"], conflicts_with_all = ["input_f32", "source"])]
    pub image: Vec<PathBuf>,
    /// Raw little-endian float32 tensors, C x H x W, as the network's input
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub input_f32: Vec<PathBuf>,
    /// Report boxes that score above this
    #[arg(long, default_value_t = 0.25, value_name = "T", value_parser = unit)]
    pub thresh: f32,
    /// Suppress boxes that overlap a better one by more than this
    #[arg(long, default_value_t = 0.45, value_name = "T", value_parser = unit)]
    pub nms: f32,
    /// Keep the picture's shape, with grey bars, instead of stretching it
    #[arg(long)]
    pub letterbox: bool,
    /// Take pictures as they are stored, instead of turning them upright as their EXIF data ask for
    #[arg(long)]
    pub ignore_orientation: bool,
    /// Threads that compute the layers behind the offload point, on the gateway [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Folder for layer_K.f32 (C x H x W) of stage boundaries, heads and the convolutions before them, of the last frame
    #[arg(long, value_name = "DIR")]
    pub dump: Option<PathBuf>,
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Write what all nodes did and when there, for Perfetto (docs/trace.md)
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write the detections of all pictures there, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the detections of all pictures there as COCO results, the JSON that pycocotools reads
    #[arg(long, value_name = "FILE")]
    pub coco: Option<PathBuf>,
    /// Write the detections of every picture there as YOLO text: DIR/PICTURE.txt
    #[arg(long, value_name = "DIR")]
    pub yolo: Option<PathBuf>,
    /// End the lines of --yolo with the score
    #[arg(long, requires = "yolo")]
    pub yolo_scores: bool,
    /// Write the plan and the statistics of all nodes there, as JSON, for --from-run
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,
    /// Write the first picture with its boxes there, as PNG
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input_f32", "source"])]
    pub annotate: Option<PathBuf>,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The annotated picture
    #[arg(long, default_value = "out/demo.png", value_name = "FILE")]
    pub annotate: PathBuf,
    /// Number of edge nodes
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub edges: u16,
}

/// `ci`.
#[derive(Debug, Args)]
pub struct CiArgs {
    /// Also cross-build a node for armv7 and aarch64 and run it under qemu
    #[arg(long)]
    pub cross: bool,
}

fn unit(s: &str) -> Result<f32, String> {
    let v: f32 = s.parse().map_err(|_| format!("{s:?} is no number"))?;
    if (0.0..=1.0).contains(&v) {
        Ok(v)
    } else {
        Err("must lie between 0 and 1".into())
    }
}
