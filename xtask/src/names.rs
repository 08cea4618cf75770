//! Finds and reads names of classes, and writes them beside packed weights for nodes.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use tessera_plan::graph::Graph;
use tessera_planner::names;

use crate::{files::Output, out::note, workspace};

/// Class names for `graph`: from the `given` file, the file beside the cfg, or `coco.names` for 80 classes. Empty
/// if no file has the names.
///
/// # Errors
/// When the file that the user gave cannot be read.
pub fn of(given: Option<&Path>, cfg: &Path, graph: &Graph) -> Result<Vec<String>> {
    let Some(classes) = graph.heads.last().map(|h| h.classes) else {
        // A classifier's names come only from a given file.
        return given.map_or(Ok(Vec::new()), |file| read(file, graph));
    };
    let beside = cfg.with_extension("names");
    let coco = workspace::root().join("models").join("coco.names");
    let file = match given {
        Some(p) => p,
        None if beside.is_file() => &beside,
        None if classes == 80 && coco.is_file() => &coco,
        None => return Ok(Vec::new()),
    };
    read(file, graph)
}

/// Reads the names in `file`; warns about too few or too many names.
///
/// # Errors
/// When the file cannot be read.
pub fn read(file: &Path, graph: &Graph) -> Result<Vec<String>> {
    let classes = graph.heads.last().map(|h| h.classes);
    let classes = classes.unwrap_or_else(|| graph.outputs_len());
    let (list, warnings) =
        names::read(file, classes).with_context(|| format!("cannot use {}", file.display()))?;
    for w in warnings {
        note!("warning: {}: {w}", file.display());
    }
    Ok(list)
}

/// Writes `weights.names` beside an emitted crate's `weights.bin`, where nodes look for it; nothing without names.
///
/// # Errors
/// When the file cannot be written.
pub fn write(dir: &Path, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for name in names {
        let _ = writeln!(text, "{name}");
    }
    Output::check("weights.names", &dir.join("weights.names"))?.write(text.as_bytes())
}
