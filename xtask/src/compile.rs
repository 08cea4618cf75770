//! Compiles emitted crates with plain cargo, in one shared target folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};
use tessera_codegen::SETTINGS;
use tessera_plan::plan::Plan;
use tessera_plan_text::PlanText;
use tessera_planner::options::Target;

use crate::{children, emit, model::Loaded, out::note, progress::Step, workspace};

/// The target folder that all emitted crates share, so that the runtime is compiled once.
pub fn shared_target() -> PathBuf {
    workspace::root().join("target").join("nodes")
}

/// Compiles the crate `name` in `dir` for a target; returns the binary's path.
///
/// # Errors
/// When cargo or a linker is missing, or the build fails.
pub fn compile(name: &str, target: Target, dir: &Path) -> Result<PathBuf> {
    compile_with(name, target, dir, &[])
}

/// The same, with these features of the node.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(name: &str, target: Target, dir: &Path, with: &[String]) -> Result<PathBuf> {
    let triple = target.triple();
    let step = Step::begin(format!("Compiling {name} for {}", target.name()));
    let mut out = cargo_build(triple, dir, with, true)?;
    if lacks_static_library(&out) {
        note!(
            "note: no static C library for {triple} (Fedora: install glibc-static): the node is linked \
             dynamically and needs a C library as new as this machine's"
        );
        out = cargo_build(triple, dir, with, false)?;
    }
    if !out.status.success() {
        bail!(
            "{}\n{}",
            String::from_utf8_lossy(&out.stderr).trim_end(),
            build_help(target)
        );
    }
    let built = shared_target().join(triple).join("release").join(name);
    // The shared folder holds one binary per name; a crate keeps its own copy.
    let node = dir.join("target").join("node");
    std::fs::create_dir_all(dir.join("target"))?;
    let part = tempfile::Builder::new()
        .prefix("node.")
        .tempfile_in(dir.join("target"))?
        .into_temp_path();
    std::fs::copy(&built, &part)
        .with_context(|| format!("the build left no {}", built.display()))?;
    part.persist(&node)?;
    step.done(&workspace::show(&node));
    Ok(node)
}

fn cargo_build(triple: &str, dir: &Path, with: &[String], by_settings: bool) -> Result<Output> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--quiet", "--target", triple])
        .arg("--target-dir")
        .arg(shared_target())
        // From inside the workspace, so that .cargo/config.toml with the cross linkers applies.
        .arg("--manifest-path")
        .arg(dir.join("Cargo.toml"))
        .current_dir(workspace::root())
        .stdin(Stdio::null());
    for feature in with {
        cargo.args(["--features", feature]);
    }
    if by_settings {
        cargo.arg("--config").arg(dir.join(SETTINGS));
    }
    children::output(&mut cargo).context("cannot start cargo")
}

/// True if linking failed because only a shared C library is installed.
fn lacks_static_library(out: &Output) -> bool {
    let said = String::from_utf8_lossy(&out.stderr);
    !out.status.success()
        && ["-lc", "-lm", "rcrt1.o"].iter().any(|l| said.contains(l))
        && said.contains("cannot find")
}

fn build_help(target: Target) -> String {
    let (linker, package) = match target.triple() {
        "armv7-unknown-linux-gnueabihf" => ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
        "aarch64-unknown-linux-gnu" => ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        _ => return "the emitted crate did not compile: please report this plan".into(),
    };
    format!(
        "cross-compiling for {} failed\n  help: it needs `rustup target add {}` and the linker {linker} (Debian: apt install {package})",
        target.name(),
        target.triple()
    )
}

/// A crate on disk with its compiled node.
#[derive(Debug)]
pub struct Built {
    /// The node.
    pub node: PathBuf,
    /// The packed weights.
    pub weights: PathBuf,
}

/// The folder of a plan's crates that nobody asked for by name.
pub fn folder(plan: &Plan) -> PathBuf {
    let key = &plan.digest()[..12];
    let target = workspace::root().join("target").join("tessera");
    target.join(format!("{}-{key}", plan.name))
}

/// Emits and compiles a plan under `target/tessera/<name>-<digest>`: different plans never share a folder.
///
/// # Errors
/// As [`emit::write_crate`] and [`compile`].
pub fn cached(plan: &Plan, loaded: &Loaded, target: Target) -> Result<Built> {
    cached_with(plan, loaded, target, &[])
}

/// The same, with these features of the node.
///
/// # Errors
/// As [`cached`].
pub fn cached_with(plan: &Plan, loaded: &Loaded, target: Target, with: &[String]) -> Result<Built> {
    let dir = emit::folder(plan, target.name(), &folder(plan));
    emit::write_crate(plan, loaded.model.weights.as_deref(), target.name(), &dir)?;
    let node = compile_with(&plan.name, target, &dir, with)?;
    Ok(Built {
        weights: emit::weights_file(&dir),
        node,
    })
}
