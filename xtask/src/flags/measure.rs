//! Flags of what is measured: `bench` and `calibrate`.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArgs, PlanArgs};

/// `bench`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |a| a.required(false).required_unless_present_any(["instructions", "seal"])))]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: Option<ModelArgs>,
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Count executed instructions of a frame instead of timing it; without --model those of a fixed list
    /// of small networks
    #[arg(long, conflicts_with_all = ["peers", "threads"])]
    pub instructions: bool,
    /// Count what a session costs a datagram, in executed instructions of every target
    #[arg(long, conflicts_with_all = ["model", "instructions", "peers"])]
    pub seal: bool,
    /// Write the counts of the list to xtask/instructions.toml
    #[arg(long, requires = "instructions", conflicts_with = "model")]
    pub record: bool,
    /// Fail if a count of the list is above its record
    #[arg(long, requires = "instructions", conflicts_with = "model")]
    pub check: bool,
    /// Frames to time
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub repeat: u32,
    /// Threads that share every layer; several numbers are timed in turn [default: 1; with --peers 1,2]
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub threads: Vec<usize>,
    /// Time other engines too, turn by turn: with this Python [default: TESSERA_PEERS_PYTHON, or .venv]
    #[arg(long, value_name = "PYTHON", num_args = 0..=1)]
    pub peers: Option<Option<PathBuf>>,
    /// Folder of the scripts that drive other engines [default: ../shared/peers]
    #[arg(long, value_name = "DIR", requires = "peers")]
    pub peers_dir: Option<PathBuf>,
    /// Other engines to time, with options: ncnn+nowino,ort [default: all that are installed]
    #[arg(
        long,
        value_name = "NAME,..",
        value_delimiter = ',',
        requires = "peers"
    )]
    pub engines: Vec<String>,
    /// With --peers and --offload: time the whole network too, not only its leading layers
    #[arg(long, requires = "peers")]
    pub whole: bool,
    /// Processes per engine
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds that each process spends on frames, about
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    pub seconds: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// x86-64-v4, x86-64-v3, portable, aarch64 or armv7 [default: the best for this machine]
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Only write a node, layers and a script that times them on a board
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "core", "out"])]
    pub build_only: Option<PathBuf>,
    /// Make the table of what the script printed on a board
    #[arg(long, value_name = "FILE", conflicts_with = "core")]
    pub from: Option<PathBuf>,
    /// Estimate for a core instead, from instructions counted under qemu: cortex-a53 or cortex-a72
    #[arg(long, value_name = "NAME")]
    pub core: Option<String>,
    /// Measure links between the boards of this file instead, on which nodes run as probes, and write them into a copy
    /// of it: see docs/cluster.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "build_only", "from", "core", "rounds"])]
    pub cluster: Option<PathBuf>,
    /// The plan of these nodes: with it, the boards' speeds are measured too
    #[arg(long, value_name = "PLAN.toml", requires = "cluster")]
    pub plan: Option<PathBuf>,
    /// The table, or the copy of the cluster file [default: out/costs-<target>.toml, out/<cluster file>]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How often every layer is timed
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub rounds: u16,
}

impl BenchArgs {
    /// The thread counts asked for, or `default`.
    pub fn threads_or(&self, default: &[usize]) -> Vec<usize> {
        if self.threads.is_empty() {
            default.to_vec()
        } else {
            self.threads.clone()
        }
    }
}
