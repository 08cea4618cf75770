//! What a board gets: its files with their digests. The version of a deployment is named by the contents of all boards.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tessera_plan::{
    files::cluster::{ClusterFile, NodeEntry},
    plan::Plan,
};
use tessera_planner::options::{PlanOptions, Target};

use super::{
    content::{Content, Sections},
    places::{PLAN, SECRET},
    unit::{Start, Unit},
};
use crate::{emit, members::key_file, start};

/// Digits of a version's name.
const ID_DIGITS: usize = 12;
/// Name of the file of the word for HTTP clients, where the cluster file names none.
const TOKEN: &str = "http.token";

/// A file of a version.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Its path in the version's folder.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Those that are no zeros in place of what the board does not need.
    pub needed_bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// What is sent.
    #[serde(skip)]
    pub content: Content,
}

/// What one board gets.
#[derive(Clone, Debug)]
pub struct BoardVersion {
    /// The board's name.
    pub board: String,
    /// Number of its node; 0 is the gateway's.
    pub number: u16,
    /// What its node is compiled for.
    pub target: Target,
    /// How its node is started.
    pub start: Start,
    /// Its files.
    pub items: Vec<Item>,
}

/// What all boards of a cluster get.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Name of the version: it follows from the contents.
    pub id: String,
    /// Hash of the plan.
    pub plan: String,
    /// The boards, in the order of the cluster file.
    pub boards: Vec<BoardVersion>,
}

/// What versions are made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it was made for.
    pub options: &'a PlanOptions,
    /// The folder of each target's crate, and its compiled node.
    pub nodes: &'a [(Target, PathBuf, PathBuf)],
    /// The gateway's node.
    pub gateway_node: &'a Path,
    /// The cluster file, read.
    pub file: &'a ClusterFile,
    /// Where it lies; keys lie beside it.
    pub path: &'a Path,
    /// Boards whose private key was made there.
    pub keys_there: &'a [String],
}

impl Deployment {
    /// Puts together what every board gets.
    ///
    /// # Errors
    /// When a file or a key is missing.
    pub fn of(parts: &Parts<'_>) -> Result<Self> {
        let mut boards = Vec::new();
        for node in parts.file.nodes() {
            if !node.is_second && !node.is_observer() && !node.board.removed {
                boards.push(
                    parts
                        .board(&node)
                        .with_context(|| node.board.name.clone())?,
                );
            }
        }
        let mut hash = Sha256::new();
        for board in &boards {
            hash.update(format!("{}\n", board.board));
            for item in &board.items {
                hash.update(format!("{} {}\n", item.sha256, item.name));
            }
        }
        let mut id = hex::encode(hash.finalize());
        id.truncate(ID_DIGITS);
        Ok(Self {
            id,
            plan: parts.plan.hash.clone(),
            boards,
        })
    }
}

/// The target of a node, and how it is started, as the plan uses the board's cores.
///
/// # Errors
/// When the plan does not know the board.
pub fn start_of(
    options: &PlanOptions,
    plan: &Plan,
    node: &NodeEntry<'_>,
) -> Result<(Target, Start)> {
    let gateway = &options.gateway;
    if node.number == 0 {
        let edge = start::gateway_edge(options, plan);
        let start = Start::Gateway {
            threads: gateway.threads(true),
            edge: edge.map(|e| (e.workers, e.threads)),
        };
        return Ok((gateway.target, start));
    }
    let id = usize::from(node.number);
    let board = options.boards.get(id - 1);
    let board = board
        .filter(|b| b.name == node.board.name)
        .context("the plan does not know this board")?;
    let (workers, mut threads) = start::cores(plan, id, board);
    if start::one_tile(plan) {
        threads = threads.max(board.threads(true));
    }
    let source = node.is_source();
    let start = Start::Edge {
        workers,
        threads,
        source,
    };
    Ok((board.target, start))
}

impl Parts<'_> {
    fn board(&self, node: &NodeEntry<'_>) -> Result<BoardVersion> {
        let name = &node.board.name;
        let (target, start) = start_of(self.options, self.plan, node)?;
        let found = self.nodes.iter().find(|(t, ..)| *t == target);
        let (_, dir, program) = found.context("no node was built for its target")?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let is_gateway = node.number == 0;
        let sections = match &start {
            Start::Edge { .. } => Sections::Stages,
            Start::Gateway { edge: None, .. } => Sections::Tail,
            Start::Gateway { edge: Some(_), .. } => Sections::All,
        };
        let token = if is_gateway {
            self.token(folder)?
        } else {
            None
        };
        let key = key_file::of(folder, name);
        let key_is_there = !key.exists() && self.keys_there.contains(name);
        ensure!(
            key.exists() || key_is_there,
            "its private key is neither in {} nor on the board; cargo xtask cluster init makes keys, \
             cargo xtask cluster rotate {name} a new one",
            key.display()
        );
        let unit = Unit {
            board: name,
            start: start.clone(),
            key_is_there,
            token: token.as_ref().map(|(name, _)| name.as_str()),
        };
        let program = if is_gateway {
            self.gateway_node
        } else {
            program
        };
        let mut all = vec![
            ("node".to_owned(), Content::File(program.into())),
            (
                "weights.bin".into(),
                Content::weights(&emit::weights_file(dir), sections)?,
            ),
            ("tessera.service".into(), Content::Bytes(unit.text().into())),
            (
                PLAN.into(),
                Content::Bytes(format!("{}\n", self.plan.hash).into()),
            ),
        ];
        let names = dir.join("weights.names");
        if is_gateway && names.exists() {
            all.push(("weights.names".into(), Content::File(names)));
        }
        let secret = |name: &str| format!("{SECRET}/{name}");
        all.push((secret("cluster.toml"), Content::File(self.path.into())));
        // Read as keys, so that a wrong file is found here and not on the board.
        let shared = folder.join(key_file::SECRET);
        key_file::read_secret(&shared)
            .context("the cluster's secret; cargo xtask cluster init makes it")?;
        all.push((secret("cluster.secret"), Content::File(shared)));
        if !key_is_there {
            let public = key_file::read(&key)?.public().to_string();
            let listed = node.board.key.as_deref().unwrap_or_default();
            ensure!(
                public == listed,
                "{} is not the key that the cluster file lists; cargo xtask cluster rotate {name} makes a new one",
                key.display()
            );
            all.push((secret("node.key"), Content::File(key)));
        }
        if let Some((name, path)) = token {
            all.push((secret(&name), Content::File(path)));
        }
        let items = all.into_iter().map(|(name, content)| {
            Ok(Item {
                bytes: content.len()?,
                needed_bytes: content.needed()?,
                sha256: content.digest()?,
                name,
                content,
            })
        });
        Ok(BoardVersion {
            board: name.clone(),
            number: node.number,
            target,
            items: items.collect::<Result<_>>()?,
            start,
        })
    }

    /// The file of the word for HTTP clients, if the gateway is to have one.
    fn token(&self, folder: &Path) -> Result<Option<(String, PathBuf)>> {
        let Some(service) = &self.file.service else {
            return Ok(None);
        };
        let name = service.token.as_deref().unwrap_or(TOKEN);
        let is_plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_plain || name.starts_with('.') {
            bail!(
                "[service] token = {name:?}: to be deployed, the file lies beside the cluster file; give its name alone"
            );
        }
        let path = folder.join(name);
        match path.exists() {
            true => Ok(Some((name.into(), path))),
            false if service.token.is_some() => bail!("{} is not there", path.display()),
            false => Ok(None),
        }
    }
}
