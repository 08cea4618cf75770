//! `cargo xtask build`: plans, emits and compiles the nodes of a cluster.

use anyhow::Result;

use crate::{
    compile::compile_with, emit, flags::BuildArgs, measured, model, names, out::outln, plan,
    ranges, start, workspace,
};

/// Runs `cargo xtask build`.
///
/// # Errors
/// When planning, emitting or compiling fails.
pub fn run(args: &BuildArgs) -> Result<()> {
    let loaded = model::load(&args.model)?;
    let shown = args
        .model
        .model
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let options = plan::options(&args.plan, &args.model, false)?;
    let options = measured::refined(options, &args.plan.from_run, &loaded.model)?;
    let options = ranges::calibrated(options, args.plan.calibrate_on.as_deref(), &loaded)?;
    let made = plan::make_plan(&loaded.model, &options)?;
    let names = names::of(args.names.as_deref(), &loaded.cfg, &loaded.model.graph)?;
    let out = workspace::root().join("generated").join(&made.name);
    let weights = loaded.model.weights.as_deref();
    let mut folders = Vec::new();
    for target in options.targets() {
        let dir = emit::folder(&made, target.name(), &out);
        emit::write_crate(&made, weights, target.name(), &dir)?;
        names::write(&dir, &names)?;
        let node = compile_with(&made.name, target, &dir, &args.with)?;
        outln!("node:    {}", workspace::show(&node))?;
        if weights.is_some() {
            outln!("weights: {}", workspace::show(&emit::weights_file(&dir)))?;
        }
        folders.push((target, dir));
    }
    if let model::Source::None { looked } = &loaded.source {
        outln!("{}", plan::missing_weights(looked, &shown))?;
    }
    if !names.is_empty() {
        let (_, dir) = &folders[0];
        outln!("names:   {}", workspace::show(&dir.join("weights.names")))?;
    }
    if args.plan.cluster.is_some() {
        start::described(&options, &made, &folders)
    } else {
        start::alike()
    }
}
