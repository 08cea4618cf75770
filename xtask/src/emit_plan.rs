//! `cargo xtask emit`: writes the crate of an existing plan, with the same bytes as `cargo xtask plan`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use tessera_plan::{graph::NodeWeights, limits::PLAN_BYTES_MAX, plan::Plan};
use tessera_plan_text::PlanText;
use tessera_planner::{text, weights};

use crate::{emit, files, flags::EmitArgs, model, names, out::note, workspace};

/// Runs the command.
///
/// # Errors
/// When the plan or the weights cannot be used, or a file cannot be written.
pub fn run(args: &EmitArgs) -> Result<()> {
    files::check_folder("--out", &args.out)?;
    let plan = read(&args.plan)?;
    let target = target(&plan, args.target.as_deref())?;
    let weights = args
        .weights
        .as_deref()
        .map(|w| weights_of(&plan, w))
        .transpose()?;
    let beside = args.plan.with_file_name("weights.names");
    let names = args.names.as_deref();
    let names = names
        .or_else(|| beside.is_file().then_some(&*beside))
        .map(|file| names::read(file, &plan.network))
        .transpose()?;
    let written = emit::write_crate(&plan, weights.as_deref(), target, &args.out)?;
    names::write(&args.out, &names.unwrap_or_default())?;
    note!(
        "wrote {}: {} files, {} of sources",
        workspace::show(&args.out),
        written.files,
        text::bytes(written.source_bytes)
    );
    match written.weights_bytes {
        Some(bytes) => note!(
            "wrote {}: {}",
            workspace::show(&emit::weights_file(&args.out)),
            text::bytes(bytes)
        ),
        None => note!(
            "note: weights.bin was not written; a node needs it: give --weights FILE, those that the plan was made with"
        ),
    }
    Ok(())
}

/// Reads and checks a plan.
///
/// # Errors
/// When the file cannot be read, or is no valid plan.
pub fn read(path: &Path) -> Result<Plan> {
    const ADVICE: &str = "no plan is that large; give the plan.toml that cargo xtask plan writes";
    let bytes = files::read(path, PLAN_BYTES_MAX as u64, ADVICE)?;
    let unusable = || format!("cannot use {}", path.display());
    let text = String::from_utf8(bytes).with_context(unusable)?;
    Plan::from_toml(&text).with_context(unusable)
}

/// The target that `--target` names, or the plan's only one.
fn target<'p>(plan: &'p Plan, name: Option<&str>) -> Result<&'p str> {
    let known = || {
        let names: Vec<&str> = plan.target.keys().map(String::as_str).collect();
        names.join(", ")
    };
    let mut all = plan.target.keys();
    match (name, all.next(), all.next()) {
        (Some(name), ..) => match plan.target.get_key_value(name) {
            Some((target, _)) => Ok(target),
            None => bail!("--target {name}: the plan is for {}", known()),
        },
        (None, Some(only), None) => Ok(only),
        (None, None, _) => bail!(
            "the plan has no target: make it again with\n  {}",
            plan.command
        ),
        (None, Some(_), Some(_)) => bail!("the plan is for {}: choose one with --target", known()),
    }
}

/// The folded weights of the plan's network; refuses weights other than those of the plan's making.
fn weights_of(plan: &Plan, named: &str) -> Result<Vec<Option<NodeWeights>>> {
    let model = model::read(&model::source(named)?, plan.network.clone())?;
    let planned = &plan.dataflow.digest;
    if hex::encode(model.digest) != *planned {
        let why = if hex::encode(weights::without(plan.network.clone()).digest) == *planned {
            "the plan was made without weights"
        } else {
            "the plan was made with other weights"
        };
        bail!(
            "--weights {named}: {why}, and nodes of both would take each other for the same\n  \
             help: give the weights it was made with, or plan again with these: add --weights {named} to\n        {}",
            plan.command
        );
    }
    model.weights.context("weights without values")
}
