//! Flags of `paper`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `paper`.
#[derive(Debug, Args)]
pub struct PaperArgs {
    /// Folder that receives tables and drawings [default: docs/evaluation]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Make results anew that an earlier run left in out/paper
    #[arg(long)]
    pub fresh: bool,
}
