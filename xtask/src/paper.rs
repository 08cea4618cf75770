//! `cargo xtask paper`: the evaluation of the DeepThings paper again, as files.
//!
//! Every result of a system on so many boards is kept in a file of its own as soon as it is there, so a command that was
//! interrupted goes on where it was.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use tessera_evaluation::{
    cell::{self, Cell, Place},
    figures, memory,
};
use tessera_planner::{model::Model, weights};

use crate::{
    files::{self, Output},
    flags::{Fork, PaperArgs},
    model,
    out::{note, outln},
    progress::Step,
    workspace,
};

/// Largest file of a result, in bytes.
const CELL_BYTES_MAX: u64 = 1 << 16;

/// Runs the command.
///
/// # Errors
/// When a plan is impossible, a frame does not end, or a file cannot be written.
pub fn run(args: &PaperArgs) -> Result<()> {
    let default = workspace::root().join("docs/evaluation");
    let out = args.out.as_deref().unwrap_or(&default);
    let kept = workspace::root().join("out/paper");
    files::check_folder("--out", out)?;
    fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    let (graph, _) = model::graph(Path::new("yolov2.cfg"), Fork::Alexey)?;
    let model = weights::without(graph);
    let step = Step::begin("Figure 11");
    let memory = memory::memory(&model)?;
    step.done("memory of each layer");
    let places = Place::all();
    let mut cells = Vec::with_capacity(places.len());
    for (k, place) in places.iter().enumerate() {
        let at = format!("{} of {}", k + 1, places.len());
        cells.push(found(*place, &model, &kept, args.fresh, &at)?);
    }
    for (name, text) in figures::files(&memory, &cells) {
        Output::check("--out", &out.join(&name))?.write(text.as_bytes())?;
    }
    outln!("{}", workspace::show(&out.join("README.md")))?;
    Ok(())
}

/// The result of a place: the one that is kept, or a new one.
fn found(place: Place, model: &Model, kept: &Path, fresh: bool, at: &str) -> Result<Cell> {
    let file = kept.join(format!("{}.json", place.name()));
    if !fresh && let Some(cell) = read(&file) {
        return Ok(cell);
    }
    let step = Step::begin(format!("Figures 12 to 14, {at}"));
    step.note(&place.name());
    let cell = cell::run(place, model).with_context(|| place.name())?;
    let text = serde_json::to_string_pretty(&cell)? + "\n";
    Output::check("paper", &file)?.write(text.as_bytes())?;
    step.done(&format!(
        "{}: {:.2} s, {:.2} MiB",
        place.name(),
        cell.latency_s,
        cell.values_mib
    ));
    Ok(cell)
}

/// A result that is kept; `None` where there is none of this version, or it cannot be read.
fn read(file: &Path) -> Option<Cell> {
    if !file.exists() {
        return None;
    }
    let bytes = files::read(file, CELL_BYTES_MAX, "no result is that large").ok()?;
    let cell: Cell = match serde_json::from_slice(&bytes) {
        Ok(cell) => cell,
        Err(e) => {
            note!("note: {} is made anew: {e}", workspace::show(file));
            return None;
        }
    };
    (cell.version == cell::VERSION).then_some(cell)
}
