//! Many plans in one emitted crate: compiled once, so that whole-system tests stay affordable.
//!
//! Name and target identify a bundle: `target/tessera-tests/<name>-<target>`. Only files that differ are
//! written, and cargo decides what is stale, so a second run compiles nothing. Test processes that run
//! side by side take turns.
//!
//! Compiling dominates these tests, so bundles are compiled lightly, without debug information.
//! Seconds of one core per 1000 emitted lines: 0.63 as nodes are shipped (level 3, line tables),
//! 0.38 at level 1, 0.07 at level 0 (yolov3-tiny-mini in seven plans, 22,500 lines).
//!
//! ```no_run
//! # use tessera_tests::{bundle::{self, Entry}, model};
//! # use tessera_plan::graph::Darknet;
//! # use tessera_planner::options::{PlanOptions, Target};
//! # fn main() -> anyhow::Result<()> {
//! let model = model::random("mini", "[net]\nwidth=8\nheight=8\nchannels=3\n[maxpool]\nsize=2\n", Darknet::Alexey, 1)?;
//! let options = PlanOptions { grids: vec![[2, 2]], offload: Some(1), ..PlanOptions::default() };
//! let entries = [Entry::new("mini", &model, options)];
//! let bundle = bundle::build("example", Target::Portable, &entries)?;
//! let node = bundle.node("mini")?; // a `rig::NodeBinary`
//! # Ok(())
//! # }
//! ```

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use tessera_codegen::{EmitOptions, SETTINGS, emit_bundle, pack, write_files};
use tessera_plan::plan::Plan;
use tessera_plan_text::PlanText;
use tessera_planner::{
    make,
    model::Model,
    options::{PlanOptions, Target},
};

use crate::rig::NodeBinary;

/// A program of a bundle.
#[derive(Clone, Debug)]
pub struct Entry<'m> {
    /// Name for `--program`, of letters, digits, `-` and `_`. Names differ between entries.
    pub name: String,
    /// The network with its weights.
    pub model: &'m Model,
    /// Options of the program's plan. The bundle's target replaces the options' target.
    pub options: PlanOptions,
    /// True to give every board an equal share of each stage as homes, where the planner may leave boards out.
    pub spread: bool,
}

impl<'m> Entry<'m> {
    /// A program named `name` of a model and plan options.
    pub fn new(name: impl Into<String>, model: &'m Model, options: PlanOptions) -> Self {
        Self {
            name: name.into(),
            model,
            options,
            spread: false,
        }
    }
}

/// A compiled bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    dir: PathBuf,
    node: PathBuf,
    runner: Vec<OsString>,
    plans: BTreeMap<String, Plan>,
}

impl Bundle {
    /// The bundle's node, set to run program `name`.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn node(&self, name: &str) -> Result<NodeBinary> {
        self.plan(name)?;
        Ok(NodeBinary {
            program: Some(name.to_owned()),
            runner: self.runner.clone(),
            ..NodeBinary::new(&self.node, self.dir.join(weights_file(name)))
        })
    }

    /// The plan of program `name`.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn plan(&self, name: &str) -> Result<&Plan> {
        self.plans
            .get(name)
            .with_context(|| format!("the bundle holds no program {name}"))
    }

    /// Names of the programs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plans.keys().map(String::as_str)
    }
}

/// Plans all entries, emits them as crate `name`, packs their weights, compiles at level 1.
///
/// # Errors
/// When an entry cannot be planned or emitted, or the crate does not compile.
pub fn build(name: &str, target: Target, entries: &[Entry<'_>]) -> Result<Bundle> {
    build_at(1, name, target, entries)
}

/// As [`build`], with the crate's own code at optimisation level `level`; the runtime below it is
/// compiled as in every node.
///
/// # Errors
/// As [`build`].
pub fn build_at(level: u8, name: &str, target: Target, entries: &[Entry<'_>]) -> Result<Bundle> {
    let package = format!("{name}-{}", target.name());
    let dir = root().join("target/tessera-tests").join(&package);
    let plans: Vec<Plan> = entries
        .iter()
        .map(|e| {
            let options = e.options.clone().on(target);
            let plan = make::plan(e.model, &options);
            let mut plan = plan.with_context(|| format!("{}: no plan", e.name))?;
            if e.spread {
                spread_homes(&mut plan)?;
            }
            Ok(plan)
        })
        .collect::<Result<_>>()?;
    let programs: Vec<(&str, &Plan)> = entries
        .iter()
        .zip(&plans)
        .map(|(e, plan)| (e.name.as_str(), plan))
        .collect();
    let options = EmitOptions {
        runtime_path: "../../../runtime".into(),
    };
    let files = emit_bundle(&package, &programs, target.name(), &options)?;

    fs::create_dir_all(&dir)?;
    let lock = File::create(dir.with_extension("lock"))?;
    lock.lock().context("waiting for another test's bundle")?;
    write_files(&dir, &files)?;
    for ((name, plan), entry) in programs.iter().zip(entries) {
        write_weights(&dir.join(weights_file(name)), plan, entry.model, target)
            .with_context(|| format!("{name}: weights"))?;
    }
    let how = Build {
        level: Some(level),
        features: &[],
    };
    let node = compile(&dir, &dir, &package, target, how)?;
    Ok(Bundle {
        runner: runner(target)?,
        node,
        plans: entries.iter().map(|e| e.name.clone()).zip(plans).collect(),
        dir,
    })
}

/// Gives every board neighbouring tiles of each stage.
fn spread_homes(plan: &mut Plan) -> Result<()> {
    let boards = plan.dataflow.boards;
    for stage in &mut plan.dataflow.stages {
        let tiles = stage.tiles.len();
        for (k, tile) in stage.tiles.iter_mut().enumerate() {
            tile.home = u16::try_from(k * boards / tiles)?;
        }
    }
    plan.hash = plan.content_hash();
    Ok(())
}

/// The targets whose code this processor runs: the best one first, `portable` always.
pub fn host_targets() -> Vec<Target> {
    let mut list = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
            list.push(Target::X86_64V4);
        }
        list.push(Target::X86_64V3);
    }
    list.push(Target::Portable);
    list
}

/// Path of the workspace's root folder.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

fn weights_file(program: &str) -> PathBuf {
    Path::new("weights").join(format!("{program}.bin"))
}

/// Packs weights into a new file, then renames the file: another test's node may have the old file mapped.
fn write_weights(path: &Path, plan: &Plan, model: &Model, target: Target) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file in a folder")?)?;
    let part = path.with_extension("part");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&part)?);
    let weights = model.weights.as_ref().context("a model with weights")?;
    pack::write(plan, weights, target.name(), &mut out)?;
    out.flush()?;
    fs::rename(&part, path)?;
    Ok(())
}

/// Compiles the crate of a plan in `dir` without changes, and packs the plan's weights.
///
/// # Errors
/// When the plan in `dir` cannot be read or is not `model`'s, or when the crate does not compile.
pub fn committed(dir: &Path, model: &Model) -> Result<NodeBinary> {
    committed_with(dir, model, &[])
}

/// As [`committed`], with the node's HTTP service, alerts and MQTT.
///
/// # Errors
/// As [`committed`].
pub fn committed_serving(dir: &Path, model: &Model) -> Result<NodeBinary> {
    committed_with(dir, model, &["service", "alerts", "mqtt"])
}

fn committed_with(dir: &Path, model: &Model, features: &[&str]) -> Result<NodeBinary> {
    let text = fs::read_to_string(dir.join("plan.toml"))?;
    let plan = Plan::from_toml(&text)?;
    let target = plan.target.keys().find_map(|t| Target::from_name(t));
    let target = target.context("a plan without a known target")?;
    let folder = [&[&*plan.name], features].concat().join("-");
    let out = root().join("target/tessera-tests").join(folder);
    fs::create_dir_all(&out)?;
    let lock = File::create(out.with_extension("lock"))?;
    lock.lock().context("waiting for another test's crate")?;
    let weights = out.join("weights.bin");
    write_weights(&weights, &plan, model, target)?;
    let node = compile(
        dir,
        &out,
        &plan.name,
        target,
        Build {
            level: None,
            features,
        },
    )?;
    Ok(NodeBinary {
        runner: runner(target)?,
        ..NodeBinary::new(node, weights)
    })
}

/// How a crate is compiled.
#[derive(Clone, Copy)]
struct Build<'a> {
    /// Optimisation of the crate's own code; `None`: as nodes are shipped.
    level: Option<u8>,
    /// Features of the node.
    features: &'a [&'a str],
}

/// Compiles the crate in `dir`, in the target folder of all emitted crates, so that cargo compiles the
/// runtime once. Copies the node to `out`.
fn compile(
    dir: &Path,
    out: &Path,
    package: &str,
    target: Target,
    how: Build<'_>,
) -> Result<PathBuf> {
    // The same versions as the workspace's own; cargo strikes out what is not needed.
    fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
    let shared = root().join("target/nodes");
    let cargo = |offline: bool, by_settings: bool| -> Result<_> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(["build", "--release", "--quiet", "--target", target.triple()])
            .arg("--target-dir")
            .arg(&shared)
            .arg("--manifest-path")
            .arg(dir.join("Cargo.toml"))
            // From inside the workspace, for the cross linkers in its configuration.
            .current_dir(root())
            .stdin(Stdio::null());
        for feature in how.features {
            command.args(["--features", &format!("tessera-node/{feature}")]);
        }
        if let Some(level) = how.level {
            // More units than one: a crate is compiled by all cores. Nobody else compiles meanwhile, since cargo locks the folder.
            for setting in [
                format!("opt-level={level}"),
                "debug=0".into(),
                "codegen-units=16".into(),
            ] {
                let setting = format!("profile.release.package.{package}.{setting}");
                command.args(["--config", &setting]);
            }
        }
        if offline {
            command.arg("--offline");
        }
        if by_settings {
            command.arg("--config").arg(dir.join(SETTINGS));
        }
        command.output().context("cannot start cargo")
    };
    // The dependencies of this workspace suffice, unless another target needs more.
    let mut done = cargo(true, true)?;
    if !done.status.success() {
        done = cargo(false, true)?;
    }
    // Some systems have no static C library.
    if !done.status.success() {
        done = cargo(false, false)?;
    }
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("{package} does not compile:\n{}", said.trim_end());
    }
    let built = shared.join(target.triple()).join("release").join(package);
    let (node, part) = (out.join("node"), out.join("node.part"));
    fs::copy(&built, &part).with_context(|| format!("the build left no {}", built.display()))?;
    fs::rename(&part, &node)?;
    Ok(node)
}

/// A setting of a target in `.cargo/config.toml`.
fn setting(target: Target, key: &str) -> Result<String> {
    let text = fs::read_to_string(root().join(".cargo/config.toml"))?;
    let config: toml::Table = text.parse()?;
    let value = config
        .get("target")
        .and_then(|t| t.get(target.triple())?.get(key)?.as_str());
    let value =
        value.with_context(|| format!("no {key} for {} in .cargo/config.toml", target.triple()))?;
    Ok(value.to_owned())
}

/// Command in front of a target's programs on this machine: nothing, or an emulator.
///
/// # Errors
/// When the target is foreign and no emulator is configured.
pub fn runner(target: Target) -> Result<Vec<OsString>> {
    if target.triple() == Target::Portable.triple() {
        return Ok(Vec::new());
    }
    let words: Vec<OsString> = setting(target, "runner")?
        .split_whitespace()
        .map(OsString::from)
        .collect();
    ensure!(!words.is_empty(), "an empty runner");
    Ok(words)
}
