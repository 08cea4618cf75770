//! How the nodes of a package are started: the same package goes to all boards of a target, and each finds its own flags by its
//! name.

use std::path::Path;

use anyhow::Result;
use tessera_plan::plan::Plan;
use tessera_planner::options::PlanOptions;

use super::tree::Tree;
use crate::deploy::{cluster_file, start_of};

/// A board of the cluster file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its name.
    pub name: String,
    /// The role of its node.
    pub role: &'static str,
    /// What the plan makes of its cores, as flags.
    pub flags: String,
}

/// All boards of the cluster file; none without one.
///
/// # Errors
/// When the file cannot be read, or the plan does not know a board.
pub fn started(options: &PlanOptions, plan: &Plan, file: Option<&Path>) -> Result<Vec<Started>> {
    let Some(path) = file else {
        return Ok(Vec::new());
    };
    let file = cluster_file(path)?;
    let mut all = Vec::new();
    for node in file.nodes() {
        if node.is_second || node.is_observer() || node.board.removed {
            continue;
        }
        let (_, start) = start_of(options, plan, &node)?;
        all.push(Started {
            name: node.board.name.clone(),
            role: start.role(),
            flags: start.cores(),
        });
    }
    Ok(all)
}

/// Files that systemd reads as a board's environment: `NAME.env`.
pub fn files(all: &[Started]) -> Tree {
    let mut tree = Tree::default();
    for board in all {
        let text = format!(
            "# {}, as the plan uses its cores.\nTESSERA_NAME={0}\nTESSERA_ROLE={}\nTESSERA_PLANNED={}\n",
            board.name, board.role, board.flags
        );
        tree.text(format!("{}.env", board.name), text);
    }
    tree
}
