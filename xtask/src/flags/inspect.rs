//! Flags of `inspect` and `weights`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Fork;

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Darknet cfg; a bare name is also looked up in models/
    pub cfg: PathBuf,
    /// Which Darknet is followed where the forks differ
    #[arg(long, value_enum, default_value_t, value_name = "FORK")]
    pub darknet: Fork,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `weights`.
#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// Write deterministic random weights with sane statistics as a Darknet file
    Random {
        /// Darknet cfg; a bare name is also looked up in models/
        #[arg(long, value_name = "CFG")]
        model: PathBuf,
        /// Seed; the same seed gives the same file
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// File to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}
