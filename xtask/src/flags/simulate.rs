//! Flags of `simulate`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Most boards of a simulated cluster: as many nodes as a gateway knows.
const BOARDS_MAX: i64 = 1000;

/// `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The plan, as `plan` writes it beside the sources
    #[arg(value_name = "PLAN.toml", value_hint = ValueHint::FilePath, required_unless_present = "seeds")]
    pub plan: Option<PathBuf>,
    /// Instead of a plan, run so many random clusters with sessions between their nodes: loss, partitions, restarts, wrong
    /// clocks, hostile traffic and wrong boards, all rules checked at every step
    #[arg(long, value_name = "N", conflicts_with = "plan", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub seeds: Option<u64>,
    /// File that describes boards and links [default: what the plan was made for]
    #[arg(long, value_name = "FILE", help_heading = "Boards", value_hint = ValueHint::FilePath)]
    pub cluster: Option<PathBuf>,
    /// Number of boards beside the gateway's: the first ones, or all of them over and over [default: those of the plan]
    #[arg(long, value_name = "N", help_heading = "Boards", value_parser = clap::value_parser!(u16).range(1..=BOARDS_MAX))]
    pub boards: Option<u16>,
    /// How fast kernels are: a table of cargo xtask calibrate, or cortex-a53 or cortex-a72 [default: what the plan was
    /// made with]
    #[arg(long, value_name = "FILE|NAME", help_heading = "Boards", value_hint = ValueHint::FilePath, conflicts_with = "cluster")]
    pub costs: Option<String>,
    /// What a run measured of the boards, as plan --from-run takes it
    #[arg(long, value_name = "FILE,..", help_heading = "Boards", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub from_run: Vec<String>,
    /// Bits per second of all links, as in 38.4Mbit [default: those of the boards]
    #[arg(long, value_name = "RATE", help_heading = "Network")]
    pub rate: Option<String>,
    /// Time that a message takes from board to board, as in 3ms [default: that of the boards]
    #[arg(long, value_name = "TIME", help_heading = "Network")]
    pub delay: Option<String>,
    /// Datagrams that the network loses, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, help_heading = "Network", value_parser = percent)]
    pub loss: f64,
    /// How many boards bring frames: the first ones
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Frames", value_parser = clap::value_parser!(u16).range(1..=BOARDS_MAX))]
    pub sources: u16,
    /// Frames of each source
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Frames", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub frames: u32,
    /// Frames that a source has in flight at a time [default: as the plan says]
    #[arg(long, value_name = "N", help_heading = "Frames", value_parser = clap::value_parser!(u16).range(1..=11))]
    pub in_flight: Option<u16>,
    /// Time between two frames of a source, as in 500ms [default: as soon as there is room]
    #[arg(long, value_name = "TIME", help_heading = "Frames")]
    pub interval: Option<String>,
    /// Share of the tasks that other boards computed which sources compute again, to compare the results: as a node's --verify
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Frames", value_parser = share)]
    pub verify: f64,
    /// Kill node K after T seconds, as in 3@0.5; 0 is the gateway. Several, with commas between them
    #[arg(
        long,
        value_name = "K@T,..",
        value_delimiter = ',',
        help_heading = "Frames"
    )]
    pub kill: Vec<String>,
    /// End after so many seconds of virtual time in any case
    #[arg(long, value_name = "S", default_value_t = 3600.0, help_heading = "Frames", value_parser = seconds)]
    pub until: f64,
    /// Seed of all chance: the same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Compute values in every task, and check all of them on their way: slow, and the times stay the same
    #[arg(long)]
    pub check: bool,
    /// Write everything that happened there, as JSON: see docs/simulate.md
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a drawing there, as SVG: what every board did, and when
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse();
    let number = number.ok().filter(|p| (0.0..=90.0).contains(p));
    number.ok_or_else(|| "give a percentage from 0 to 90, as in 2.5".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|s| (0.0..=1.0).contains(s));
    number.ok_or_else(|| "give a share of tasks between 0 and 1, as in 0.05".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    let number = number.ok().filter(|s| *s > 0.0 && *s <= 3600.0);
    number.ok_or_else(|| "give seconds, above 0 and at most 3600".to_owned())
}
