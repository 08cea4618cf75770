//! Where a gateway answers over HTTP, and what it says.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use tessera_plan::files::cluster::ClusterFile;
use ureq::{Agent, http::Uri};

use super::Status;
use crate::address;

/// Longest wait for an answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Longest answer, in bytes.
const BYTES_MAX: u64 = 4 << 20;
/// The file of the word that clients must know, beside the cluster file.
const TOKEN_FILE: &str = "http.token";

/// Why a gateway tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Nobody answers.
    #[error("nothing answers at {url}: is the gateway running, with --http or [service]?")]
    Silent {
        /// Where.
        url: String,
        /// The system's error.
        source: ureq::Error,
    },
    /// The answer is none.
    #[error("{url} answers {status}{}", if *.status == 401 { ": give its word with --token FILE" } else { "" })]
    Status {
        /// Where.
        url: String,
        /// The status code.
        status: u16,
    },
    /// The answer is of somebody else.
    #[error("what {url} answers is not a gateway's status: {why}")]
    Form {
        /// Where.
        url: String,
        /// What is wrong.
        why: String,
    },
}

/// A gateway's HTTP service.
#[derive(Debug)]
pub struct Target {
    url: String,
    token: Option<String>,
    agent: Agent,
}

impl Target {
    /// The service at `at`, an address with a port or a URL, whose word is in `token`.
    ///
    /// # Errors
    /// When `at` is none, or the file of the word cannot be read.
    pub fn new(at: &str, token: Option<&Path>) -> Result<Self> {
        let url = if at.contains("://") {
            at.to_owned()
        } else {
            format!("http://{at}")
        };
        let uri: Uri = url
            .parse()
            .with_context(|| format!("--at {at}: this is no address"))?;
        let host = uri.authority().map(ToString::to_string);
        let host = host.with_context(|| format!("--at {at}: this is no address"))?;
        anyhow::ensure!(
            uri.scheme_str() == Some("http"),
            "--at {at}: gateways speak http:// alone"
        );
        let word = token.map(|path| {
            let text = fs::read_to_string(path);
            text.with_context(|| format!("--token {}", path.display()))
        });
        let config = Agent::config_builder()
            .timeout_global(Some(WITHIN))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Ok(Self {
            url: format!("http://{host}/v1/status"),
            token: word.transpose()?.map(|w| w.trim().to_owned()),
            agent: config.into(),
        })
    }

    /// The service of the cluster that `file` describes, if it has one: at the gateway's address, where `[service]` names none.
    ///
    /// # Errors
    /// When the file of the word cannot be read.
    pub fn of(file: &ClusterFile, folder: &Path, token: Option<&Path>) -> Result<Option<Self>> {
        let Some(service) = &file.service else {
            return Ok(None);
        };
        let listen: SocketAddr = (service.http.parse())
            .with_context(|| format!("[service] http = {:?}", service.http))?;
        let nodes = file.nodes();
        let gateway = nodes.iter().find(|n| n.number == 0).map(|n| n.board);
        let host = gateway.and_then(|b| b.address.clone().or_else(|| Some(b.name.clone())));
        let at = match host {
            Some(host) if listen.ip().is_unspecified() => {
                address::with_port(address::host(&host), listen.port())
            }
            _ => listen.to_string(),
        };
        let named = service.token.as_ref().map(|t| folder.join(t));
        let usual = Some(folder.join(TOKEN_FILE)).filter(|p| p.exists());
        let word = token.map(Path::to_owned).or(named).or(usual);
        Self::new(&at, word.as_deref()).map(Some)
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The gateway as it is now.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn status(&self) -> Result<Status, Trouble> {
        let url = || self.url.clone();
        let mut request = self.agent.get(&self.url);
        if let Some(word) = &self.token {
            request = request.header("authorization", format!("Bearer {word}"));
        }
        let mut answer = request
            .call()
            .map_err(|source| Trouble::Silent { url: url(), source })?;
        if answer.status() != 200 {
            let status = answer.status().as_u16();
            return Err(Trouble::Status { url: url(), status });
        }
        let body = answer
            .body_mut()
            .with_config()
            .limit(BYTES_MAX)
            .read_to_vec();
        let body = body.map_err(|source| Trouble::Silent { url: url(), source })?;
        serde_json::from_slice(&body).map_err(|e| Trouble::Form {
            url: url(),
            why: e.to_string(),
        })
    }
}
