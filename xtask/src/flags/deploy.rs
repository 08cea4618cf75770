//! Flags of `deploy`, `rollback` and `undeploy`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::PlannedArgs;

/// `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub planned: PlannedArgs,
    /// What the gateway's node is built with beside: alerts (docs/alerts.md), mqtt (docs/mqtt.md), service: HTTP
    /// (docs/service.md); tables `alert` and `service` of the cluster file ask for theirs
    #[arg(long, value_name = "WHAT", value_parser = ["alerts", "mqtt", "service"])]
    pub with: Vec<String>,
    /// Look at the boards, build, and say what would be sent and done; change nothing on boards
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait until frames under way have their records: they are lost
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub over: OverArgs,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The cluster file
    #[arg(long, value_name = "FILE", default_value = "cluster.toml", value_hint = ValueHint::FilePath)]
    pub cluster: PathBuf,
    /// Say what would be done; change nothing on boards
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait until frames under way have their records: they are lost
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub over: OverArgs,
}

/// `undeploy`.
#[derive(Debug, Args)]
pub struct UndeployArgs {
    /// The cluster file
    #[arg(long, value_name = "FILE", default_value = "cluster.toml", value_hint = ValueHint::FilePath)]
    pub cluster: PathBuf,
    /// Say what would be removed; change nothing on boards
    #[arg(long)]
    pub dry_run: bool,
    /// Leave the records that the gateway has written, in /var/lib/tessera
    #[arg(long)]
    pub keep_records: bool,
    #[command(flatten)]
    pub over: OverArgs,
}

/// Which boards, how they are reached, and how the outcome is told.
#[derive(Debug, Args)]
pub struct OverArgs {
    /// Boards of the cluster file [default: all that take part]
    #[arg(value_name = "BOARD")]
    pub boards: Vec<String>,
    /// Configuration of ssh [default: yours]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ssh_config: Option<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    pub json: bool,
}
