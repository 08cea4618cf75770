//! Flags of `cluster`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `cluster`.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make keys for the boards of a cluster file that have none, and the file itself where there is none
    Init(InitArgs),
    /// Add a board with a key, or invite a removed one again
    Add(AddArgs),
    /// Wait for a board that joins by a code: the board makes its own key, and gets the file and the secret
    Pair(PairArgs),
    /// Take a board's right to take part; nodes that run follow within a second of getting the file
    Remove(RemoveArgs),
    /// Give a board a new key, or the cluster a new secret
    Rotate(RotateArgs),
}

/// The cluster file.
#[derive(Debug, Args)]
pub struct ClusterFileArg {
    /// The cluster file; keys lie beside it
    #[arg(long = "cluster", value_name = "FILE", default_value = "cluster.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// `cluster init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    pub at: ClusterFileArg,
    /// The gateway's board, for a new file; USER is who logs in there by ssh [default: as ssh is configured]
    #[arg(long, value_name = "NAME[=[USER@]ADDRESS]")]
    pub gateway: Option<String>,
    /// Boards that bring frames and compute tiles, for a new file
    #[arg(long, num_args = 1.., value_name = "NAME[=[USER@]ADDRESS]")]
    pub source: Vec<String>,
    /// Boards that compute tiles, for a new file
    #[arg(long, num_args = 1.., value_name = "NAME[=[USER@]ADDRESS]")]
    pub edge: Vec<String>,
    /// Target of all these boards
    #[arg(long, value_name = "TARGET", default_value = "aarch64")]
    pub target: String,
}

/// `cluster add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    pub at: ClusterFileArg,
    /// The board, and its address where the name is none
    #[arg(value_name = "NAME[=[USER@]ADDRESS]")]
    pub name: String,
    /// Its target
    #[arg(long, value_name = "TARGET", default_value = "aarch64")]
    pub target: String,
    /// Its roles
    #[arg(long, value_name = "ROLE", num_args = 1.., default_values = ["edge"])]
    pub roles: Vec<String>,
    /// The public key that `node keygen` printed on the board [default: a new key pair, in NAME.key beside the file]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// `cluster pair`.
#[derive(Debug, Args)]
pub struct PairArgs {
    #[command(flatten)]
    pub at: ClusterFileArg,
    /// The board: one of the file, or a new one that computes tiles, with its address where the name is none
    #[arg(value_name = "NAME[=[USER@]ADDRESS]")]
    pub name: String,
    /// Target of a new board
    #[arg(long, value_name = "TARGET", default_value = "aarch64")]
    pub target: String,
    /// Where to wait
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7401")]
    pub listen: std::net::SocketAddr,
}

/// `cluster remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    pub at: ClusterFileArg,
    /// The board
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `cluster rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    pub at: ClusterFileArg,
    /// The board that gets a new key
    #[arg(value_name = "NAME", required_unless_present = "secret")]
    pub name: Option<String>,
    /// The public key that `node keygen` printed on the board [default: a new key pair, in NAME.key beside the file]
    #[arg(long, value_name = "KEY", requires = "name")]
    pub key: Option<String>,
    /// Make a new secret for the whole cluster
    #[arg(long, conflicts_with = "name")]
    pub secret: bool,
}
