//! Flags of commands that make nodes of a model.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArgs, PlanArgs};

/// What a plan and its crates are made of.
#[derive(Clone, Debug, Args)]
pub struct PlannedArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Class names, one per line, for weights.names: a gateway writes them into its records [default:
    /// <model>.names beside the cfg, or coco.names for 80 classes]
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
}
