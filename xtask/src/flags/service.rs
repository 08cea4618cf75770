//! What the gateway of a local cluster answers.

use std::path::PathBuf;

use clap::Args;

/// Where the gateway answers, and to whom.
#[derive(Clone, Debug, Default, Args)]
pub struct ServiceArgs {
    /// The gateway answers over HTTP there, as in 127.0.0.1:32168, and goes on until Ctrl-C (docs/service.md)
    #[arg(long, value_name = "ADDR:PORT", conflicts_with_all = ["json", "coco", "stats", "annotate", "trace"])]
    pub http: Option<std::net::SocketAddr>,
    /// File (mode 600) of the word that HTTP clients must send; needed where other machines can ask
    #[arg(long, value_name = "FILE", requires = "http")]
    pub http_token: Option<PathBuf>,
    /// The gateway answers Frigate's ZeroMQ detector there, too, as in tcp://127.0.0.1:5555 (docs/frigate.md)
    #[arg(long, value_name = "ENDPOINT", requires = "http")]
    pub zmq: Option<String>,
    /// Addresses that may connect to --zmq from other machines, between commas, or any
    #[arg(long, value_name = "ADDR,..", requires = "zmq")]
    pub zmq_allow: Option<String>,
}
