//! Manual pages and shell completions: of a node by what `node --help` says, of `cargo xtask` by its flags.

mod node;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;

pub use self::node::{node_completion, node_page};
use crate::{
    flags::{Cli, ManualArgs},
    out::outln,
    workspace,
};

/// Runs `cargo xtask manual`.
///
/// # Errors
/// When a file cannot be written.
pub fn run(args: &ManualArgs) -> Result<()> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| workspace::root().join("out/manual"));
    let pages = out.join("man/man1");
    for dir in [&pages, &out.join("completions")] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let put = |name: &str, bytes: &[u8]| -> Result<()> {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        outln!("{}", workspace::show(&path))
    };
    put("man/man1/tessera-node.1", &node_page("tessera-node")?)?;
    for (name, page) in pages_of(command("cargo-xtask"))? {
        put(&format!("man/man1/{name}.1"), &page)?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        for (name, text) in [
            ("tessera-node", node_completion("tessera-node", shell)?),
            ("xtask", completion(command("xtask"), "xtask", shell)?),
        ] {
            put(&format!("completions/{name}.{shell}"), text.as_bytes())?;
        }
    }
    Ok(())
}

/// The command line of `cargo xtask`, under another name: no shell completes the words behind `cargo xtask`, but `xtask` can be an
/// alias of them.
fn command(name: &'static str) -> Command {
    Cli::command().name(name).bin_name(name)
}

/// What a shell reads to complete `name`.
fn completion(mut command: Command, name: &str, shell: Shell) -> Result<String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    Ok(String::from_utf8(text)?)
}

/// A page for the command and for each below it.
fn pages_of(command: Command) -> Result<Vec<(String, Vec<u8>)>> {
    let dir = tempfile::tempdir().context("cannot make a temporary folder")?;
    clap_mangen::generate_to(command, dir.path())?;
    let mut pages = Vec::new();
    for entry in fs::read_dir(dir.path())? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        pages.push((name.into_owned(), read(&path)?));
    }
    pages.sort();
    Ok(pages)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
