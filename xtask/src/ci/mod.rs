//! `cargo xtask ci`: the checks that a change must pass, the fastest ones first.

mod targets;

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, bail};

use crate::{
    bench::instructions::{self, Asked},
    children,
    flags::CiArgs,
    out::note,
    workspace,
};

fn cargo(args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run_program(cargo.into(), args, env)
}

fn run_program(program: PathBuf, args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let begun = Instant::now();
    let name = program
        .file_name()
        .unwrap_or_default()
        .display()
        .to_string();
    note!("$ {name} {}", args.join(" "));
    let mut command = Command::new(&program);
    command
        .args(args)
        .envs(env.iter().copied())
        .current_dir(workspace::root());
    let status = children::status(&mut command).with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} {} failed", args.join(" "));
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
    let unsteady = targets::run(&demanded(args.cross))?;
    cargo(
        &["doc", "--workspace", "--no-deps", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    // Every kernel of this processor computes every layer of a cost table.
    run_program(
        std::env::current_exe().context("where this program is")?,
        &[
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
    for target in unsteady {
        note!(
            "cargo test {target} failed among the others and passed alone: find out what it waits for"
        );
    }
    note!("all checks passed");
    Ok(())
}
