//! Flags of `trace`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Flags of `trace`.
#[derive(Clone, Debug, Args)]
pub struct TraceArgs {
    /// Files of nodes: the gateway's, and those of edges
    #[arg(required_unless_present = "cluster", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Let the deployed boards of this cluster file make a trace now, instead of reading files
    #[arg(long, value_name = "FILE", conflicts_with = "files", value_hint = ValueHint::FilePath)]
    pub cluster: Option<PathBuf>,
    /// With --cluster, end it after so many frames
    #[arg(long, value_name = "N", default_value_t = 10, requires = "cluster")]
    pub frames: usize,
    /// With --cluster, end it after so many seconds in any case
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600), requires = "cluster")]
    pub within: u64,
    /// Configuration of ssh [default: yours]
    #[arg(long, value_name = "FILE", requires = "cluster", value_hint = ValueHint::FilePath)]
    pub ssh_config: Option<PathBuf>,
    /// Where the whole trace goes
    #[arg(long, value_name = "FILE", default_value = "out/trace.json", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}
