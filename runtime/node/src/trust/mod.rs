//! Who a node is and whom it speaks to: its private key, the cluster's secret, and the nodes that `cluster.toml` lists.
//!
//! ```text
//!  --config cluster.toml --name porch      who takes part: names, numbers, public keys
//!  porch.key       (--key FILE)            this node's private key, mode 0600
//!  cluster.secret  (--secret FILE)         what all nodes of the cluster share, mode 0600
//! ```
//!
//! Both files lie beside `cluster.toml` unless flags or systemd's credentials (`node.key`, `cluster.secret`) say otherwise. A
//! node reads the whole of `cluster.toml` itself: one file then describes a cluster, for people, the planner and nodes alike.

mod cluster_file;
mod secret_file;
mod watch;

use std::path::{Path, PathBuf};

use tessera_plan::files::{
    alerts::AlertEntry,
    cluster::{BoardEntry, ClusterFile, ServiceEntry},
    pairing::Membership,
    sources::SourceEntry,
};
use tessera_secure::{
    Changed, Invited, KeyError, Links, PrivateKey, SenderOf, Sessions, parse_private, parse_secret,
};

pub use self::cluster_file::{Place, Role};
use self::{cluster_file::Me, watch::Watch};
use tessera_protocol::Micros;

/// The name of a node's key among systemd's credentials.
const KEY_CREDENTIAL: &str = "node.key";
/// The name of the file of a cluster's secret, also among systemd's credentials.
pub const SECRET_FILE: &str = "cluster.secret";

/// The name of the file of the word that HTTP clients must know, also among systemd's credentials.
#[cfg(feature = "service")]
const TOKEN_FILE: &str = "http.token";

/// Why a node cannot prove who it is, or whom it speaks to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The system cannot read or write a file.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// A path leads to something else.
    #[error("{0}: this is no regular file; give the file of a key")]
    NotAFile(PathBuf),
    /// Others may read a secret file.
    #[error(
        "{path}: others can read this secret (mode {mode:o}); make it yours alone: chmod 600 {path}"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A new key would overwrite something.
    #[error("{0} exists, and a key that is lost cannot be made again; give another file")]
    Exists(PathBuf),
    /// A file has no key.
    #[error("{path}: {cause}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: KeyError,
    },
    /// The cluster file cannot be understood.
    #[error("{path}: {cause}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        cause: String,
    },
    /// Flags without the one that they go with.
    #[error("--name, --key and --secret go with --config cluster.toml")]
    Stray,
    /// A file has no token.
    #[error(
        "{0}: give one word of 16 to 256 letters, as `head -c 24 /dev/urandom | base64` makes it"
    )]
    Token(PathBuf),
    /// The system gives no random numbers.
    #[error("cannot draw a random number: {0}")]
    Random(std::io::Error),
    /// The cluster file does not say what a node needs.
    #[error("{path}: {what}")]
    Cluster {
        /// The file.
        path: PathBuf,
        /// What is missing, and what to do.
        what: String,
    },
}

/// The flags that lead to a node's keys.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The cluster file, which says who may take part; none: everybody on this machine.
    pub config: Option<PathBuf>,
    /// Name of this node's board in the cluster file.
    pub name: Option<String>,
    /// File of this node's private key.
    pub key: Option<PathBuf>,
    /// File of the cluster's secret.
    pub secret: Option<PathBuf>,
    /// This is the edge that a gateway has started on its board.
    pub second_node: bool,
}

/// A node's keys and its cluster.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    key: PathBuf,
    secret: PathBuf,
    me: Me,
    watch: Watch,
}

impl Trust {
    /// What `--config` and `--name` lead to; `None` without `--config`.
    ///
    /// # Errors
    /// When the file does not describe this node in this role.
    pub fn of(flags: &Flags, role: Role) -> Result<Option<Self>, TrustError> {
        let Some(path) = flags.config.clone() else {
            let stray = flags.name.is_some() || flags.key.is_some() || flags.secret.is_some();
            return if stray {
                Err(TrustError::Stray)
            } else {
                Ok(None)
            };
        };
        let (file, watch) = Watch::read(&path)?;
        let me = Me::find(&file, &path, flags.name.as_deref(), role, flags.second_node)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let beside = folder.join(format!("{}.key", me.board));
        let key = secret_file::find(flags.key.as_deref(), KEY_CREDENTIAL, beside);
        let beside = key.parent().unwrap_or(folder).join(SECRET_FILE);
        let secret = secret_file::find(flags.secret.as_deref(), SECRET_FILE, beside);
        Ok(Some(Self {
            path,
            key,
            secret,
            me,
            watch,
        }))
    }

    /// What the file says that flags may say, too.
    pub fn place(&self) -> Place {
        self.me.place(self.watch.file())
    }

    /// Sessions with all invited nodes.
    ///
    /// # Errors
    /// When a key is missing or is not this node's.
    pub fn links(&self) -> Result<Links, TrustError> {
        self.sessions(
            Some(tessera_protocol::wire::sender),
            &self.invited(self.watch.file()),
        )
    }

    /// The sources that the file gives to this board.
    pub fn sources_here(&self) -> Vec<SourceEntry> {
        if self.me.is_second {
            return Vec::new();
        }
        let file = self.watch.file();
        file.sources_of(&self.me.board).cloned().collect()
    }

    /// This node's public key, as text: it stays the same over restarts.
    #[cfg(feature = "mqtt")]
    pub fn public_key(&self) -> String {
        self.me.public.to_string()
    }

    /// Numbers and names of the nodes that compute tiles.
    #[cfg(feature = "mqtt")]
    pub fn boards(&self) -> Vec<(u16, String)> {
        let nodes = self.watch.file().nodes();
        let edges =
            (nodes.iter()).filter(|n| n.number != 0 && !n.is_observer() && !n.board.removed);
        edges.map(|n| (n.number, n.name())).collect()
    }

    /// What people want to hear of.
    pub fn alerts(&self) -> &[AlertEntry] {
        &self.watch.file().alert
    }

    /// The folder that the cluster file lies in.
    #[cfg(feature = "alerts")]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Thresholds of sources, by their names.
    pub fn thresholds(&self) -> Vec<(String, f32)> {
        let sources = self.watch.file().source.iter();
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
        let own = sources.filter_map(|s| Some((s.name.to_string(), s.thresh?.get() as f32)));
        own.collect()
    }

    /// True if the file lists anybody who reads records and metrics.
    pub fn is_observed(&self) -> bool {
        self.watch.file().nodes().iter().any(|n| n.is_observer())
    }

    /// Sessions of an observer, who speaks with the gateway alone.
    ///
    /// # Errors
    /// As [`Trust::links`].
    pub fn observer_links(&self) -> Result<Links, TrustError> {
        self.sessions(None, &self.invited(self.watch.file()))
    }

    /// Hosts of this board and of the others, as far as the file says them.
    pub fn hosts(&self) -> (Option<String>, Vec<String>) {
        let boards = self.watch.file().board.iter();
        let boards = boards.filter(|b| !b.removed && !b.is_observer());
        let (own, others): (Vec<_>, Vec<_>) = boards.partition(|b| b.name == self.me.board);
        let host = |b: &BoardEntry| b.address.clone();
        (
            own.into_iter().find_map(host),
            others.into_iter().filter_map(host).collect(),
        )
    }

    /// This node's number in the cluster.
    pub const fn number(&self) -> u16 {
        self.me.number
    }

    /// Sessions with the probes of all boards and with the operator, who asks.
    ///
    /// # Errors
    /// As [`Trust::links`].
    pub fn probe_links(&self) -> Result<Links, TrustError> {
        let mut list = self.invited(self.watch.file());
        list.extend(cluster_file::operator(self.watch.file(), &self.path));
        self.sessions(None, &list)
    }

    fn sessions(
        &self,
        sender_of: Option<SenderOf>,
        invited: &[Invited],
    ) -> Result<Links, TrustError> {
        let text = secret_file::read(&self.key)?;
        let private = parse_private(&text).map_err(|cause| TrustError::Key {
            path: self.key.clone(),
            cause,
        })?;
        let private = if self.me.is_second {
            private.of_second_node()
        } else {
            private
        };
        let listed = self.me.public;
        if private.public() != listed {
            let (file, key) = (self.path.display(), private.public());
            let what = format!(
                "this is not the key of {}, whose public key in {file} is {listed}; this one's is {key}",
                self.me.name
            );
            return Err(TrustError::Cluster {
                path: self.key.clone(),
                what,
            });
        }
        let text = secret_file::read(&self.secret)?;
        let secret = parse_secret(&text).map_err(|cause| TrustError::Key {
            path: self.secret.clone(),
            cause,
        })?;
        let sessions = Sessions::new(private, secret, random()?, Links::config());
        let mut links = Links::new(sessions, sender_of);
        let changed = links.invite(invited);
        if let Some(wrong) = changed.wrong.first() {
            let what = wrong.to_string();
            let path = self.path.clone();
            return Err(TrustError::Cluster { path, what });
        }
        Ok(links)
    }

    fn invited(&self, file: &ClusterFile) -> Vec<Invited> {
        cluster_file::invited(file, &self.path, self.me.number)
    }

    /// The numbers of nodes that may bring frames.
    pub fn sources(&self) -> Vec<u16> {
        let file = self.watch.file();
        let nodes = file.nodes();
        let sources = nodes.iter().filter(|n| n.brings_frames(file));
        sources.map(|n| n.number).collect()
    }

    /// The numbers and names of all edges.
    pub fn edges(&self) -> Vec<(u16, String)> {
        let nodes = self.watch.file().nodes();
        let edges = nodes.iter().filter(|n| n.number != 0 && !n.is_observer());
        edges.map(|n| (n.number, n.name())).collect()
    }

    /// What the file says of the gateway's HTTP service, and the folder in which it lies.
    pub fn service(&self) -> Option<(&ServiceEntry, &Path)> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        Some((self.watch.file().service.as_ref()?, folder))
    }

    /// When to call [`Trust::follow`] again.
    pub const fn look_at(&self) -> Micros {
        self.watch.look_at()
    }

    /// Makes `links` follow the file, if it has changed: who is removed is out at once. A file that is wrong changes nothing,
    /// and is told of. Numbers of nodes that run do not change: who comes later in the file comes in with a restart.
    /// Returns the numbers of those that are out.
    pub fn follow(&mut self, now: Micros, links: &mut Links) -> Vec<u16> {
        let Some(read) = self.watch.look(now, &self.path) else {
            return Vec::new();
        };
        let shown = self.path.display().to_string();
        match read {
            Ok(()) => {}
            Err(e) => {
                tracing::warn!("{e}; the nodes that may take part stay as they were");
                return Vec::new();
            }
        }
        let list = self.invited(self.watch.file());
        let Changed {
            added,
            removed,
            removed_numbers,
            wrong,
        } = links.invite(&list);
        for name in removed {
            tracing::warn!("{name} may not take part any more ({shown})");
        }
        for name in added {
            tracing::info!("{name} may take part ({shown})");
        }
        for e in wrong {
            tracing::warn!("{shown}: {e}");
        }
        removed_numbers
    }
}

/// The word in a file that nobody else may read, that clients of the gateway's HTTP service must know: of the file `flag`, else of
/// the credential `http.token`, else of `http.token` in `folder`. `None` when there is none of these.
///
/// # Errors
/// When the file `flag` is missing, others may read the file, or it holds no word of 16 to 256 letters.
#[cfg(feature = "service")]
pub fn token(flag: Option<&Path>, folder: Option<&Path>) -> Result<Option<String>, TrustError> {
    // Without a cluster file, nothing lies beside it.
    let beside = folder.map_or_else(PathBuf::new, |f| f.join(TOKEN_FILE));
    let path = secret_file::find(flag, TOKEN_FILE, beside);
    if flag.is_none() && !path.exists() {
        return Ok(None);
    }
    let text = secret_file::read(&path)?;
    let word = text.trim();
    if !(16..=256).contains(&word.len()) || !word.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TrustError::Token(path));
    }
    Ok(Some(word.to_owned()))
}

/// Makes a key pair in a new file; returns what `cluster.toml` says of it: the public keys of the board and of the edge that a
/// gateway starts there.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn keygen(path: &Path) -> Result<[String; 2], TrustError> {
    let pair = KeyPair::new()?;
    secret_file::create(path, &pair.0.to_text())?;
    Ok(pair.public())
}

/// The name of the cluster file that a board gets when it joins.
const CLUSTER_FILE: &str = "cluster.toml";

/// Checks, before a board joins, that nothing is there that would be overwritten.
///
/// # Errors
/// When there is.
pub fn may_join(folder: &Path) -> Result<(), TrustError> {
    for name in [CLUSTER_FILE, SECRET_FILE] {
        let path = folder.join(name);
        if path.exists() {
            return Err(TrustError::Exists(path));
        }
    }
    Ok(())
}

/// A new key pair that no file has yet.
#[derive(Debug)]
pub struct KeyPair(PrivateKey);

impl KeyPair {
    /// Makes a pair.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new() -> Result<Self, TrustError> {
        Ok(Self(PrivateKey::from_random(random()?)))
    }

    /// The public keys of the board and of the edge that a gateway starts there.
    pub fn public(&self) -> [String; 2] {
        let second = self.0.of_second_node().public();
        [self.0.public().to_string(), second.to_string()]
    }

    /// Writes what a board `name` needs into a folder: its key, the secret, and the cluster file last.
    ///
    /// # Errors
    /// When a file exists or cannot be written.
    pub fn write(
        &self,
        folder: &Path,
        name: &str,
        membership: &Membership,
    ) -> Result<(), TrustError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
            return Err(TrustError::Cluster {
                path: folder.into(),
                what: format!("{name:?} is no name of a board"),
            });
        }
        secret_file::create(&folder.join(format!("{name}.key")), &self.0.to_text())?;
        secret_file::create(&folder.join(SECRET_FILE), membership.secret.trim())?;
        let path = folder.join(CLUSTER_FILE);
        std::fs::write(&path, &membership.cluster).map_err(|cause| TrustError::File { path, cause })
    }
}

/// 32 bytes of the system's randomness.
///
/// # Errors
/// When the system gives none.
pub fn random() -> Result<[u8; 32], TrustError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| TrustError::Random(e.into()))?;
    Ok(bytes)
}
