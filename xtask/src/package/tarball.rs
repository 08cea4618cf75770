//! `NAME.tar.xz` for each target: unpacked anywhere, it runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap_complete::Shell;

use super::{
    boards,
    parts::{Board, Parts},
    tree::{Body, Tree},
    unit, xz,
};
use crate::manual;

/// Writes the archives: for each target one to run, and one with the node's symbols.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(parts: &Parts, out: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for board in &parts.boards {
        let stem = parts.identity.stem(board.target);
        let path = out.join(format!("{stem}.tar.xz"));
        xz::file(&tree(parts, board)?, &format!("{stem}/"), &path)?;
        written.push(path);
        let path = out.join(format!("{stem}-symbols.tar.xz"));
        let mut symbols = Tree::default();
        symbols.program("node.debug", Body::File(board.symbols.clone()));
        xz::file(&symbols, &format!("{stem}/"), &path)?;
        written.push(path);
    }
    Ok(written)
}

/// What a node reads beside its program: weights, and names of classes.
pub fn data(board: &Board) -> Tree {
    let mut tree = Tree::default();
    tree.add("weights.bin", Body::File(board.weights.clone()));
    if let Some(names) = &board.names {
        tree.add("weights.names", Body::File(names.clone()));
    }
    tree
}

fn tree(parts: &Parts, board: &Board) -> Result<Tree> {
    let mut tree = data(board);
    tree.program("node", Body::File(board.node.clone()));
    tree.add("plan.toml", Body::File(board.plan.clone()));
    tree.text("README", readme(parts, board));
    tree.text("LICENSE", LICENSE);
    let home = "/opt/tessera-node";
    tree.text(unit::UNIT, unit::text(&format!("{home}/node"), home));
    tree.text("tessera-node.default", unit::DEFAULT);
    tree.add("node.1", Body::Bytes(manual::node_page("node")?));
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let text = manual::node_completion("node", shell)?;
        tree.text(format!("completions/node.{shell}"), text);
    }
    tree.below("boards", boards::files(&parts.starts));
    Ok(tree)
}

/// The project's licence.
pub const LICENSE: &str = include_str!("../../../LICENSE");

fn readme(parts: &Parts, board: &Board) -> String {
    let identity = &parts.identity;
    format!(
        "A node of Tessera {} for {}, compiled for {}.\n\
         \n\
         It needs a Linux of that processor, and nothing else. Nodes with the same version work together:\n\
         this is {}.\n\
         \n\
         On the operator's machine, cargo xtask cluster init makes cluster.toml and the keys of all boards. Copy\n\
         cluster.toml, cluster.secret and NAME.key here, then\n\
         \n\
         \x20 ./node gateway --config cluster.toml --name hub      on the gateway's board\n\
         \x20 ./node edge --config cluster.toml --name porch       on any other\n\
         \n\
         With systemd, as root: copy this folder to /opt/tessera-node, the files of the cluster to /etc/tessera (the\n\
         key as node.key, mode 600), tessera-node.default to /etc/default/tessera-node, and {} to\n\
         /etc/systemd/system; then systemctl enable --now tessera-node.\n\
         \n\
         ./node --help lists all flags; man ./node.1 is the same as a page. node.debug in the archive of symbols\n\
         is the same program with the names and lines that debuggers show.\n",
        identity.tessera,
        identity.model,
        board.target.name(),
        identity.version(),
        unit::UNIT,
    )
}
