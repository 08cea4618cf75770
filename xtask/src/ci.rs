//! `cargo xtask ci`: the checks that a change must pass, the fastest ones first.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result, bail};

use crate::{
    bench::instructions::{self, Asked},
    children,
    flags::CiArgs,
    out::note,
    workspace,
};

fn cargo(args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let begun = Instant::now();
    note!("$ cargo {}", args.join(" "));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(args)
        .envs(env.iter().copied())
        .current_dir(workspace::root());
    let status = children::status(&mut cargo).context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    note!("  {:.0} s", begun.elapsed().as_secs_f32());
    Ok(())
}

/// Environment variables that forbid tests to skip for a missing need; `tests/needs` describes each variable.
fn demanded(cross: bool) -> Vec<(&'static str, &'static str)> {
    let mut variables = Vec::new();
    if workspace::root().join("../shared/golden").is_dir() {
        variables.push(("TESSERA_GOLDEN", "1"));
    }
    if cross {
        variables.push(("TESSERA_CROSS", "1"));
    }
    variables
}

/// Runs the checks.
///
/// # Errors
/// When a check fails; later checks do not run.
pub fn run(args: &CiArgs) -> Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    )?;
    // Emitted code keeps the same rules as hand-written code, with the same versions.
    let emitted = workspace::root().join("generated/demo-3x3-x86-64-v3");
    std::fs::copy(
        workspace::root().join("Cargo.lock"),
        emitted.join("Cargo.lock"),
    )
    .context("the demo's committed crate is missing")?;
    cargo(
        &[
            "clippy",
            "--manifest-path",
            "generated/demo-3x3-x86-64-v3/Cargo.toml",
            "--target-dir",
            "target/nodes",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    )?;
    cargo(&["test", "--workspace"], &demanded(args.cross))?;
    cargo(
        &["doc", "--workspace", "--no-deps", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    // Every kernel of this processor computes every layer of a cost table.
    cargo(
        &[
            "xtask",
            "calibrate",
            "--rounds",
            "1",
            "--out",
            "target/tessera/costs.toml",
        ],
        &[],
    )?;
    // A kernel with more instructions than its record is a slower kernel.
    instructions::run(&Asked {
        check: true,
        strict: args.cross,
        ..Asked::default()
    })?;
    note!("all checks passed");
    Ok(())
}
