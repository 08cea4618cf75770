//! `cargo xtask ci`: the checks that a change must pass, the fastest ones first.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
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

/// Test targets that may be run once more.
const AGAIN_MAX: usize = 3;
/// Targets in the list of the slowest ones.
const SHOWN: usize = 15;

/// The target that cargo says it runs now: `     Running tests/golden.rs (target/debug/deps/golden-0)`.
fn begun_target(line: &str) -> Option<&str> {
    let what = line.strip_prefix("     Running ");
    what.or_else(|| line.strip_prefix("   Doc-tests "))
}

/// The arguments that run a failed target alone. All packages are chosen where a test has a name, as before: with one of them,
/// libraries would be compiled again, for its features.
fn alone(target: &[String]) -> Vec<&str> {
    match target {
        [_, _, test, name] if test == "--test" => vec!["test", "--workspace", test, name],
        other => std::iter::once("test")
            .chain(other.iter().map(String::as_str))
            .collect(),
    }
}

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
    let (mut lines, mut took, mut running) = (Vec::new(), Vec::new(), None);
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            note!("{line}");
            if let Some(name) = begun_target(&line) {
                let now = (name.to_owned(), Instant::now());
                took.extend(running.replace(now).map(ended));
            }
            lines.push(line);
        }
    }
    took.extend(running.map(ended));
    let status = child.wait()?;
    note!(
        "  {:.0} s; the slowest test targets:",
        begun.elapsed().as_secs_f32()
    );
    took.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    for (name, took) in took.iter().take(SHOWN) {
        note!("{:6.0} s  {name}", took.as_secs_f32());
    }
    if status.success() {
        return Ok(Vec::new());
    }
    let failed = failed_targets(lines.iter().map(String::as_str));
    if failed.is_empty() || failed.len() > AGAIN_MAX {
        bail!("cargo test --workspace failed");
    }
    for target in &failed {
        cargo(&alone(target), env)?;
    }
    Ok(failed.iter().map(|t| t.join(" ")).collect())
}

fn ended((name, begun): (String, Instant)) -> (String, Duration) {
    (name, begun.elapsed())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_targets_are_read() {
        let running = "     Running tests/golden.rs (target/debug/deps/golden-0)";
        let name = "tests/golden.rs (target/debug/deps/golden-0)";
        assert_eq!(begun_target(running), Some(name));
        let docs = "   Doc-tests tessera_runtime";
        assert_eq!(begun_target(docs), Some("tessera_runtime"));
        assert_eq!(begun_target("   Compiling syn v3.0.10"), None);
    }

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
        let failed = failed_targets(said.lines());
        let again = ["test", "--workspace", "--test", "cluster"];
        assert_eq!(alone(&failed[0]), again);
        assert_eq!(alone(&failed[1]), ["test", "-p", "tessera-node", "--lib"]);
        assert!(failed_targets("error: could not compile `x`".lines()).is_empty());
    }
}
