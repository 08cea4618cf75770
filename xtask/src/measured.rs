//! What runs measured: the file of `run --stats`, and files of nodes beside a plan, for `plan --from-run`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tessera_plan::{
    files::statistics::{EdgeStatistics, GatewayStatistics, Role},
    plan::Plan,
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    model::Model,
    options::PlanOptions,
    refine::{self, Measured},
};

use crate::{cluster::ClusterRun, files, workspace};

/// Version of the file's form.
const VERSION: u32 = 1;
/// Largest accepted file, in bytes.
const BYTES_MAX: u64 = 256 << 20;

/// A run: its plan, as `plan.toml` has it, and the statistics of its nodes.
#[derive(Debug, Serialize, Deserialize)]
struct RunFile {
    version: u32,
    plan: String,
    gateway: Option<GatewayStatistics>,
    edges: Vec<EdgeStatistics>,
}

/// The file of a run, as JSON.
///
/// # Errors
/// When a number has no form in JSON.
pub fn file(plan: &Plan, run: &ClusterRun) -> Result<String> {
    let file = RunFile {
        version: VERSION,
        plan: plan.to_toml(),
        gateway: run.gateway.clone(),
        edges: run.edges.iter().flatten().cloned().collect(),
    };
    Ok(serde_json::to_string(&file)? + "\n")
}

/// The options with boards as the runs of `--from-run` measured them. `options` stay as they are without such files.
///
/// # Errors
/// When a file cannot be read, or the run was of another network or other boards.
pub fn refined(mut options: PlanOptions, files: &[String], model: &Model) -> Result<PlanOptions> {
    if files.is_empty() {
        return Ok(options);
    }
    let (plan, measured) = read(files)?;
    let said = refine::refine(&model.graph, &mut options, &plan, &measured);
    let said = said.with_context(|| format!("--from-run {}", files.join(",")))?;
    options
        .notes
        .extend(said.into_iter().map(|line| format!("by the run: {line}")));
    Ok(options)
}

/// The plan that ran, and what was measured.
fn read(files: &[String]) -> Result<(Plan, Measured)> {
    let mut plan = None;
    let mut measured = Measured::default();
    for name in files {
        let path = Path::new(name.trim());
        let shown = workspace::show(path);
        let bytes = files::read(path, BYTES_MAX, "give a file that run --stats wrote")?;
        let text = String::from_utf8(bytes).with_context(|| format!("--from-run {shown}"))?;
        let found = one(&text, &mut measured).with_context(|| {
            format!(
                "--from-run {shown}: neither a file of run --stats, nor a node's statistics, nor its plan.toml"
            )
        })?;
        if let Some(found) = found {
            ensure!(
                plan.is_none(),
                "--from-run {shown}: a second plan; give one run"
            );
            plan = Some(found);
        }
    }
    let plan = plan.context(
        "--from-run: no plan; statistics of nodes need the plan that ran beside them, as in \
         --from-run generated/NAME/plan.toml,gateway.json,edge1.json",
    )?;
    Ok((plan, measured))
}

/// Adds what a file has measured; returns its plan, if it has one.
fn one(text: &str, measured: &mut Measured) -> Result<Option<Plan>> {
    if !text.trim_start().starts_with('{') {
        return Ok(Some(Plan::from_toml(text)?));
    }
    #[derive(Deserialize)]
    struct Kind {
        version: Option<u32>,
        role: Option<Role>,
    }
    match serde_json::from_str(text)? {
        Kind {
            role: Some(Role::Edge),
            ..
        } => edge(&serde_json::from_str(text)?, measured),
        Kind {
            role: Some(Role::Gateway),
            ..
        } => gateway(&serde_json::from_str(text)?, measured),
        Kind { role: Some(_), .. } => bail!("this node was in no cluster"),
        Kind { version, .. } => {
            ensure!(
                version == Some(VERSION),
                "this program reads version {VERSION}"
            );
            let run: RunFile = serde_json::from_str(text)?;
            run.gateway.iter().for_each(|g| gateway(g, measured));
            run.edges.iter().for_each(|e| edge(e, measured));
            return Ok(Some(Plan::from_toml(&run.plan)?));
        }
    }
    Ok(None)
}

fn edge(e: &EdgeStatistics, measured: &mut Measured) {
    let id = e.process.id;
    measured.edges.push((id, e.tasks.clone()));
    let frames = e.counters.last_frames.iter();
    measured.frames.extend(frames.map(|f| (id, f.clone())));
}

fn gateway(g: &GatewayStatistics, measured: &mut Measured) {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let mean = |frames: u64| g.frames.tail_us as f64 / 1e6 / frames as f64;
    measured.tail_s = Some(g.frames.detections).filter(|n| *n > 0).map(mean);
}
