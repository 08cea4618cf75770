//! Flags of `trace`.

use std::path::PathBuf;

use clap::Args;

/// Flags of `trace`.
#[derive(Clone, Debug, Args)]
pub struct TraceArgs {
    /// Files of nodes: the gateway's, and those of edges
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the whole trace goes
    #[arg(long, value_name = "FILE", default_value = "out/trace.json")]
    pub out: PathBuf,
}
