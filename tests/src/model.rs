//! Models for tests, from cfg text and random weights or a Darknet weights file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use tessera_plan::graph::{Darknet, Graph};
use tessera_planner::{cfg, model::Model, weights};

/// Lowers the cfg `text` to a graph.
///
/// # Errors
/// When the front end refuses the cfg; the error holds all diagnostics.
pub fn graph(name: &str, text: &str, darknet: Darknet) -> Result<Graph> {
    let (graph, diagnostics) = cfg::read(text.as_bytes(), name, darknet);
    let Some(graph) = graph else {
        let said: Vec<String> = diagnostics.iter().map(|d| format!("{name}: {d}")).collect();
        bail!("{}", said.join("\n"));
    };
    Ok(graph)
}

/// A shipped network without weights: `name` is the cfg's path in `models`, without its ending.
///
/// # Errors
/// When there is no such cfg, or the front end refuses it.
pub fn shipped(name: &str) -> Result<Model> {
    let cfg = crate::bundle::root()
        .join("models")
        .join(name)
        .with_extension("cfg");
    let text = std::fs::read_to_string(&cfg).with_context(|| cfg.display().to_string())?;
    Ok(weights::without(graph(name, &text, Darknet::Alexey)?))
}

/// A model with the random weights of `seed`.
///
/// # Errors
/// When the cfg is refused.
pub fn random(name: &str, text: &str, darknet: Darknet, seed: u64) -> Result<Model> {
    let graph = graph(name, text, darknet)?;
    let bytes = weights::random_file(&graph, seed);
    Ok(weights::from_bytes(name, &bytes, graph)?.0)
}

/// A model from a cfg and a Darknet weights file; named after the cfg's file or, when that is
/// `model.cfg`, its folder.
///
/// # Errors
/// When the cfg or the weights file cannot be used.
pub fn load(cfg: &Path, weights: &Path, darknet: Darknet) -> Result<Model> {
    let text = std::fs::read_to_string(cfg).with_context(|| format!("{}", cfg.display()))?;
    let name = match cfg.file_stem() {
        Some(stem) if stem == "model" => cfg.parent().and_then(Path::file_name),
        stem => stem,
    };
    let name = name.map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
    let graph = graph(&name, &text, darknet)?;
    Ok(tessera_planner::weights::load(weights, graph)?.0)
}
