//! `cargo xtask ci`: the checks that a change must pass, the fastest ones first.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

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

/// Test targets that may be run once more.
const AGAIN_MAX: usize = 2;

/// The arguments of the targets that `cargo test --no-fail-fast` names at its end, a line each:
/// ``    `-p tessera-tests --test cluster` ``.
fn failed_targets<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Vec<String>> {
    lines
        .filter_map(|l| l.strip_prefix("    `")?.strip_suffix('`'))
        .filter(|l| l.starts_with("-p "))
        .map(|l| l.split(' ').map(str::to_owned).collect())
        .collect()
}

/// Runs all tests. Tests of whole clusters share two cores with each other's processes: a target that fails is run once
/// more, alone, and is named at the end if it then passes. More than [`AGAIN_MAX`] such targets are no accident.
fn run_tests(env: &[(&str, &str)]) -> Result<Vec<String>> {
    let begun = Instant::now();
    note!("$ cargo test --workspace --no-fail-fast");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .envs(env.iter().copied())
        .current_dir(workspace::root())
        .stderr(Stdio::piped());
    let mut child = children::spawn(&mut command).context("cannot start cargo")?;
    let mut lines = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            note!("{line}");
            lines.push(line);
        }
    }
    let status = child.wait()?;
    note!("  {:.0} s", begun.elapsed().as_secs_f32());
    if status.success() {
        return Ok(Vec::new());
    }
    let failed = failed_targets(lines.iter().map(String::as_str));
    if failed.is_empty() || failed.len() > AGAIN_MAX {
        bail!("cargo test --workspace failed");
    }
    for target in &failed {
        let args: Vec<&str> = std::iter::once("test")
            .chain(target.iter().map(String::as_str))
            .collect();
        cargo(&args, env)?;
    }
    Ok(failed.iter().map(|t| t.join(" ")).collect())
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
    let unsteady = run_tests(&demanded(args.cross))?;
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
    for target in unsteady {
        note!(
            "cargo test {target} failed among the others and passed alone: find out what it waits for"
        );
    }
    note!("all checks passed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_targets_are_read() {
        let said = "error: 2 targets failed:
    `-p tessera-tests --test cluster`
    `-p tessera-node --lib`
    `no target`
error: test failed, to rerun pass `-p tessera-node --lib`";
        assert_eq!(
            failed_targets(said.lines()),
            [
                vec!["-p", "tessera-tests", "--test", "cluster"],
                vec!["-p", "tessera-node", "--lib"]
            ]
        );
        assert!(failed_targets("error: could not compile `x`".lines()).is_empty());
    }
}
