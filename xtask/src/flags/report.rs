//! Flags of `report`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The plan, as `plan` writes it beside the sources
    #[arg(value_name = "PLAN.toml", value_hint = ValueHint::FilePath)]
    pub plan: PathBuf,
    /// The page [default: report.html beside the plan]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Drawings of runs in virtual time, for the same page: files of simulate --svg
    #[arg(long, num_args = 1.., value_name = "FILE.svg", value_hint = ValueHint::FilePath)]
    pub simulated: Vec<PathBuf>,
    /// Measurements, for the same page: what bench --json printed
    #[arg(long, num_args = 1.., value_name = "FILE.json", value_hint = ValueHint::FilePath)]
    pub bench: Vec<PathBuf>,
    /// Drawings of the evaluation, for the same page: the folder of paper, docs/evaluation
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub figures: Option<PathBuf>,
    /// File that describes boards and links [default: what the plan was made for]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub cluster: Option<PathBuf>,
    /// How fast kernels are: a table of cargo xtask calibrate, or cortex-a53 or cortex-a72 [default: what the plan was
    /// made with]
    #[arg(long, value_name = "FILE|NAME", value_hint = ValueHint::FilePath, conflicts_with = "cluster")]
    pub costs: Option<String>,
}
