//! What packages are made of.

use std::path::PathBuf;

use tessera_planner::options::Target;

use super::{boards::Started, identity::Identity};

/// A target's part of a package.
#[derive(Debug)]
pub struct Board {
    /// The target.
    pub target: Target,
    /// The node without symbols.
    pub node: PathBuf,
    /// The node with its symbols.
    pub symbols: PathBuf,
    /// Packed weights.
    pub weights: PathBuf,
    /// The plan.
    pub plan: PathBuf,
    /// Names of classes, if they are known.
    pub names: Option<PathBuf>,
}

/// Everything that packages are made of.
#[derive(Debug)]
pub struct Parts {
    /// Names and versions.
    pub identity: Identity,
    /// One for each target.
    pub boards: Vec<Board>,
    /// How nodes are started, for each board that the plan knows by name.
    pub starts: Vec<Started>,
}
