//! Nodes as boards get them: without symbols and line tables, which are two thirds of a node's file and serve debuggers alone.
//! The node with them stays where it was built. Debuggers and `addr2line` take it as the symbols of the other one: addresses and
//! the build id are the same.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use tessera_planner::options::Target;

use crate::out::note;

/// Writes the node without its symbols into the folder `board` beside it, under its own name; returns that path. Where no program
/// can do it, the node is copied as it is, and that is said.
///
/// # Errors
/// When the node cannot be read, or the folder cannot be written.
pub fn stripped(node: &Path, target: Target) -> Result<PathBuf> {
    let shown = || node.display().to_string();
    let dir = node.parent().unwrap_or(Path::new("")).join("board");
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let to = dir.join(node.file_name().with_context(shown)?);
    let part = to.with_extension("part");
    let done = strippers(target).into_iter().any(|mut strip| {
        let _ = fs::remove_file(&part);
        strip.arg(node).arg(&part);
        let ran = strip.stdin(Stdio::null()).stdout(Stdio::null());
        let ran = ran.stderr(Stdio::null()).status();
        ran.is_ok_and(|s| s.success()) && part.is_file()
    });
    if !done {
        note!(
            "note: nothing here takes symbols out of nodes for {} (Debian: apt install binutils): what boards get is larger",
            target.name()
        );
        fs::copy(node, &part).with_context(shown)?;
    }
    fs::rename(&part, &to).with_context(shown)?;
    Ok(to)
}

/// Programs that copy a program without its symbols, the first one first: that of the pinned toolchain, which gives the same bytes
/// on every machine and knows all processors; then those of the linkers.
fn strippers(target: Target) -> Vec<Command> {
    let mut all = Vec::new();
    if let Ok((program, libraries)) = objcopy() {
        let mut own = Command::new(program);
        own.arg("--strip-all").env("LD_LIBRARY_PATH", libraries);
        all.push(own);
    }
    let triple = target.triple();
    let of_linker = match triple {
        "armv7-unknown-linux-gnueabihf" => "arm-linux-gnueabihf-objcopy",
        "aarch64-unknown-linux-gnu" => "aarch64-linux-gnu-objcopy",
        _ => "objcopy",
    };
    for program in [of_linker, "objcopy"] {
        let mut strip = Command::new(program);
        strip.arg("--strip-all");
        all.push(strip);
    }
    all
}

/// The toolchain's `rust-objcopy`, and where its libraries are.
fn objcopy() -> io::Result<(PathBuf, PathBuf)> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc)
        .args(["--print", "sysroot"])
        .current_dir(crate::workspace::root())
        .output()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&out.stdout).trim());
    let libraries = sysroot.join("lib");
    for entry in fs::read_dir(libraries.join("rustlib"))? {
        let program = entry?.path().join("bin").join("rust-objcopy");
        if program.is_file() {
            return Ok((program, libraries));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
