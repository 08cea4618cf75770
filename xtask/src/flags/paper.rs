//! Flags of `paper`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `paper`.
#[derive(Debug, Args)]
pub struct PaperArgs {
    /// Folder that receives tables and drawings [default: docs/evaluation]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Make only these figures, without the pages around them: figure13, scaling, ..
    #[arg(long, value_name = "FIGURE,..", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Folder that keeps every result as soon as it is there, so that an interrupted run goes on [default: out/paper]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub kept: Option<PathBuf>,
    /// Make results anew that an earlier run of this program left
    #[arg(long)]
    pub fresh: bool,
    /// Run the paper's systems and eight plans on a slow cluster of namespaces instead, simulate the same, and write both side by
    /// side to a page. As root, on a machine that does nothing else; what stands behind -- goes to tests/arena/table.py
    #[arg(long, conflicts_with_all = ["only", "kept", "fresh"])]
    pub live: bool,
    /// Flags of tests/arena/table.py, with --live
    #[arg(last = true, value_name = "FLAG", requires = "live")]
    pub arena: Vec<String>,
}
