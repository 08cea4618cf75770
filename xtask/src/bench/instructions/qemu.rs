//! Counts instructions of ARM programs: the project's own plugin runs inside qemu's user mode.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use tessera_planner::options::Target;

use crate::{children, workspace};

/// Number of instructions that `binary` executes with `args`, start-up included. To leave start-up out, subtract
/// the counts of two runs with different numbers of frames. With one thread, the same run gives the same count.
///
/// # Errors
/// When the target is not ARM, a tool is missing, or the program fails.
pub fn count<S: AsRef<OsStr>>(target: Target, binary: &Path, args: &[S]) -> Result<u64> {
    let (emulator, libraries) = match target {
        Target::Aarch64 => ("qemu-aarch64", "/usr/aarch64-linux-gnu"),
        Target::Armv7 => ("qemu-arm", "/usr/arm-linux-gnueabihf"),
        _ => bail!("instructions of {} are not counted by qemu", target.name()),
    };
    let mut command = Command::new(emulator);
    command
        .args(["-L", libraries, "-plugin"])
        .arg(plugin()?)
        .arg(binary)
        .args(args);
    let out = children::output(&mut command)
        .with_context(|| format!("cannot start {emulator} (Debian: apt install qemu-user)"))?;
    let errors = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        bail!("{emulator} {}: {}", binary.display(), errors.trim_end());
    }
    errors
        .lines()
        .find_map(|line| line.strip_prefix("instructions ")?.parse().ok())
        .with_context(|| format!("{emulator} counted nothing: {}", errors.trim_end()))
}

/// Path of the compiled plugin. The host's C compiler compiles the plugin when its source is newer.
fn plugin() -> Result<PathBuf> {
    let source = workspace::root().join("xtask/instructions/count.c");
    let made = workspace::root().join("target/instructions/count.so");
    let time = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    if time(&made) > time(&source) {
        return Ok(made);
    }
    if let Some(dir) = made.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-shared", "-fPIC"])
        .arg(&source)
        .arg("-o")
        .arg(&made);
    let status =
        children::status(&mut cc).context("cannot start cc, which compiles the counting plugin")?;
    if !status.success() {
        bail!("{} does not compile", source.display());
    }
    Ok(made)
}
