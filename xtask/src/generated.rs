//! Checks that the committed crate, `generated/demo-3x3-x86-64-v3`, equals the crate of the demo's plan.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use tessera_codegen::{EmitOptions, Files, emit};
use tessera_planner::options::Target;

use crate::{
    demo,
    flags::{Fork, ModelArgs, PlanArgs},
    model, plan, workspace,
};

/// The target on which most machines run the demo.
const TARGET: Target = Target::X86_64V3;

/// Name of the crate, its files, and the command that writes them.
fn made() -> Result<(String, Files, String)> {
    let model = ModelArgs {
        model: "demo.cfg".into(),
        weights: None,
        darknet: Fork::Alexey,
    };
    let flags = PlanArgs {
        target: Some(TARGET.name().into()),
        ..demo::plan_args(2)
    };
    let options = plan::options(&flags, &model, false)?;
    let loaded = model::load(&model)?;
    let plan = plan::make_plan(&loaded.model, &options)?;
    let emit_options = EmitOptions {
        runtime_path: "../../runtime".into(),
    };
    let files = emit(&plan, TARGET.name(), &emit_options)?;
    Ok((plan.name, files, options.command))
}

/// Paths inside the crate whose files differ, are missing, or are superfluous.
fn stale(dir: &Path, files: &Files) -> Result<Vec<String>> {
    let mut bad: Vec<String> = files
        .iter()
        .filter(|(name, content)| {
            fs::read(dir.join(name)).ok().as_deref() != Some(content.as_slice())
        })
        .map(|(name, _)| name.clone())
        .collect();
    let mut folders = vec![dir.join("src")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.strip_prefix(dir)?.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !files.contains_key(&name) {
                bad.push(name);
            }
        }
    }
    Ok(bad)
}

#[test]
fn the_committed_crate_is_fresh() -> Result<()> {
    let (name, files, command) = made()?;
    let dir = workspace::root().join("generated").join(&name);
    let bad = stale(&dir, &files);
    let bad = bad.with_context(|| format!("make the crate with\n  {command}"))?;
    ensure!(
        bad.is_empty(),
        "generated/{name} is stale: {}\nmake it again with\n  {command}",
        bad.join(", ")
    );
    Ok(())
}
