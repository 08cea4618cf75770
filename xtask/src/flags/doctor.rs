//! Flags of `doctor` and `top`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Where a running cluster tells of itself.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// The gateway's HTTP service, as in 192.168.1.10:32168 [default: the table service of the cluster file]
    #[arg(long, value_name = "ADDR:PORT|URL")]
    pub at: Option<String>,
    /// File of the word that the service wants [default: http.token beside the cluster file, if it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token: Option<PathBuf>,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look at a cluster instead of this machine: its file, its boards where nodes run as probes, and the running cluster
    /// where its gateway answers over HTTP [default: cluster.toml]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "cluster.toml", value_hint = ValueHint::FilePath)]
    pub cluster: Option<PathBuf>,
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Read this machine's files below this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// The cluster file, whose table service says where the gateway answers
    #[arg(long, value_name = "FILE", default_value = "cluster.toml", value_hint = ValueHint::FilePath)]
    pub cluster: PathBuf,
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// Print one table and end, as where standard output is no terminal
    #[arg(long)]
    pub once: bool,
    /// Print what the gateway says once, as JSON
    #[arg(long)]
    pub json: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    pub every: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    (0.1..=3600.0)
        .contains(&seconds)
        .then_some(seconds)
        .ok_or_else(|| "give 0.1 to 3600 seconds".into())
}
