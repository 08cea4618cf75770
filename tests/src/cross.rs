//! What running other processors' programs takes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail, ensure};
use tessera_planner::options::Target;

use crate::bundle;

/// Whether this machine can build and run programs of `target`; says what is missing otherwise.
///
/// # Errors
/// When something is missing and `TESSERA_CROSS=1` asks for it.
pub fn is_able(target: Target) -> Result<bool> {
    let missing = missing(target)?;
    if missing.is_empty() {
        return Ok(true);
    }
    let said = format!("{}: no {}", target.name(), missing.join(", no "));
    if std::env::var_os("TESSERA_CROSS").is_some_and(|v| v == *"1") {
        bail!("{said}");
    }
    println!("note: {said}; nothing compared");
    Ok(false)
}

/// What is missing, with how to get it.
fn missing(target: Target) -> Result<Vec<String>> {
    let triple = target.triple();
    let mut list = Vec::new();
    let std = sysroot()?.join("lib/rustlib").join(triple).join("lib");
    if !std.is_dir() {
        list.push(format!("the standard library (rustup target add {triple})"));
    }
    for tool in [bundle::linker(target)?, bundle::runner(target)?[0].clone()] {
        if !in_path(&tool.to_string_lossy()) {
            list.push(format!("{}", tool.display()));
        }
    }
    Ok(list)
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn sysroot() -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc).args(["--print", "sysroot"]).output()?;
    ensure!(out.status.success(), "rustc --print sysroot fails");
    Ok(Path::new(String::from_utf8(out.stdout)?.trim()).to_path_buf())
}
