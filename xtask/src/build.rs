//! `cargo xtask build`: plans, emits and compiles the nodes of a cluster.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tessera_plan::plan::Plan;
use tessera_planner::options::{PlanOptions, Target};

use crate::{
    compile::compile_with,
    emit,
    flags::{BuildArgs, PlannedArgs},
    measured,
    model::{self, Loaded},
    names,
    out::outln,
    plan, ranges, start, strip, workspace,
};

/// A plan that was made of flags, and what its crates are made of.
#[derive(Debug)]
pub struct Planned {
    /// The model.
    pub loaded: Loaded,
    /// What the plan was made for.
    pub options: PlanOptions,
    /// The plan.
    pub plan: Plan,
    /// Names of classes.
    pub names: Vec<String>,
}

impl Planned {
    /// Makes the plan.
    ///
    /// # Errors
    /// When the model cannot be used, or no plan fits.
    pub fn of(args: &PlannedArgs) -> Result<Self> {
        let (model, flags) = (&args.model, &args.plan);
        let loaded = model::load(model)?;
        let options = plan::options(flags, model, false)?;
        let options = measured::refined(options, &flags.from_run, &loaded.model)?;
        let options = ranges::calibrated(options, flags.calibrate_on.as_deref(), &loaded)?;
        let plan = plan::make_plan(&loaded.model, &options)?;
        let names = names::of(args.names.as_deref(), &loaded.cfg, &loaded.model.graph)?;
        Ok(Self {
            loaded,
            options,
            plan,
            names,
        })
    }

    /// Writes the crate of a target below `out`; returns its folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn emit(&self, target: Target, out: &Path) -> Result<PathBuf> {
        let dir = emit::folder(&self.plan, target.name(), out);
        let weights = self.loaded.model.weights.as_deref();
        emit::write_crate(&self.plan, weights, target.name(), &dir)?;
        names::write(&dir, &self.names)?;
        Ok(dir)
    }

    /// Compiles the node of a target whose crate is in `dir`, with these features; returns its path.
    ///
    /// # Errors
    /// When that fails.
    pub fn compile(&self, target: Target, dir: &Path, with: &[String]) -> Result<PathBuf> {
        compile_with(&self.plan.name, target, dir, with)
    }
}

/// Runs `cargo xtask build`.
///
/// # Errors
/// When planning, emitting or compiling fails.
pub fn run(args: &BuildArgs) -> Result<()> {
    let planned = Planned::of(&args.planned)?;
    let out = workspace::root().join("generated").join(&planned.plan.name);
    let mut folders = Vec::new();
    for target in planned.options.targets() {
        let dir = planned.emit(target, &out)?;
        let node = planned.compile(target, &dir, &args.with)?;
        let board = strip::stripped(&node, target)?;
        outln!("node:    {}", workspace::show(&board))?;
        outln!("symbols: {}", workspace::show(&node))?;
        if planned.loaded.model.weights.is_some() {
            outln!("weights: {}", workspace::show(&emit::weights_file(&dir)))?;
        }
        folders.push((target, dir));
    }
    if let model::Source::None { looked } = &planned.loaded.source {
        let shown = args.planned.model.model.file_name();
        let shown = shown.map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        outln!("{}", plan::missing_weights(looked, &shown))?;
    }
    if !planned.names.is_empty() {
        let (_, dir) = &folders[0];
        outln!("names:   {}", workspace::show(&dir.join("weights.names")))?;
    }
    if args.planned.plan.cluster.is_some() {
        start::described(&planned.options, &planned.plan, &folders)
    } else {
        start::alike()
    }
}
