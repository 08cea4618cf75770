//! Writes emitted crates to disk: only files that changed, so that cargo rebuilds only then.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tessera_codegen::{EmitOptions, Files, emit, pack, rounding::rounding};
use tessera_plan::plan::Plan;
use tessera_planner::{model::Model, options::Target, text};

use crate::{progress::Step, workspace};

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Number of source files.
    pub files: usize,
    /// Their bytes.
    pub source_bytes: u64,
    /// Bytes of `weights.bin`; `None` without weights.
    pub weights_bytes: Option<u64>,
}

/// The runtime's path as seen from `dir`, both absolute, with `..` where they part.
fn runtime_path(dir: &Path) -> Result<String> {
    let runtime = fs::canonicalize(workspace::root().join("runtime"))
        .context("the runtime crate is missing")?;
    let dir = fs::canonicalize(dir)?;
    let common = runtime
        .components()
        .zip(dir.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = dir.components().skip(common).map(|_| "..".to_string());
    let down = runtime
        .components()
        .skip(common)
        .map(|c| c.as_os_str().to_string_lossy().into_owned());
    Ok(up.chain(down).collect::<Vec<_>>().join("/"))
}

fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes sources of an earlier plan that this one no longer has.
fn remove_stale(src: &Path, keep: &dyn Fn(&Path) -> bool) -> Result<()> {
    for entry in fs::read_dir(src).into_iter().flatten() {
        let path = entry?.path();
        if path.is_dir() {
            remove_stale(&path, keep)?;
            let _ = fs::remove_dir(&path); // succeeds only when empty
        } else if !keep(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Emits the crate of `plan` into `dir`, and packs its weights.
///
/// # Errors
/// When codegen refuses the plan or a file cannot be written.
pub fn write_crate(plan: &Plan, model: &Model, target: Target, dir: &Path) -> Result<Written> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let step = Step::begin("Emitting sources");
    let options = EmitOptions {
        runtime_path: runtime_path(dir)?,
    };
    let files = emit(plan, model, target.name(), &options)?;
    write_sources(dir, &files)?;
    let source_bytes = files.values().map(|f| f.len() as u64).sum();
    step.done(&workspace::show(dir));
    let weights_bytes = if model.weights.is_some() {
        Some(pack_weights(plan, model, target, dir)?)
    } else {
        None
    };
    Ok(Written {
        files: files.len(),
        source_bytes,
        weights_bytes,
    })
}

/// Writes emitted files where they differ, and removes sources that an earlier plan left.
///
/// # Errors
/// When a file cannot be written.
pub fn write_sources(dir: &Path, files: &Files) -> Result<()> {
    for (name, content) in files {
        write_if_changed(&dir.join(name), content)?;
    }
    remove_stale(&dir.join("src"), &|p| {
        p.strip_prefix(dir)
            .is_ok_and(|rel| files.contains_key(&*rel.to_string_lossy()))
    })?;
    // The same dependency versions as the workspace's own.
    let lock = dir.join("Cargo.lock");
    if !lock.exists() {
        let _ = fs::copy(workspace::root().join("Cargo.lock"), &lock);
    }
    Ok(())
}

/// Path of the packed weights inside an emitted crate.
pub fn weights_file(dir: &Path) -> PathBuf {
    dir.join("weights.bin")
}

fn pack_weights(plan: &Plan, model: &Model, target: Target, dir: &Path) -> Result<u64> {
    let file = weights_file(dir);
    let step = Step::begin("Packing weights");
    // A half-written file never carries the real name.
    let part = dir.join("weights.bin.part");
    let mut w = BufWriter::with_capacity(
        1 << 20,
        fs::File::create(&part).with_context(|| format!("cannot write {}", part.display()))?,
    );
    pack::write(plan, model, target.name(), &mut w)?;
    w.flush()?;
    drop(w);
    fs::rename(&part, &file)?;
    let bytes = fs::metadata(&file)?.len();
    let tp = plan.target.get(target.name());
    let changed = tp.and_then(|tp| rounding(tp, model)).map(|r| {
        format!(
            ", of which {} weights in half precision: changed by {:.3} % (root mean square), {} became zero",
            r.weights,
            100.0 * r.relative,
            r.zeros
        )
    });
    step.done(&(text::bytes(bytes) + &changed.unwrap_or_default()));
    Ok(bytes)
}

/// Writes `<name>.bin` and `<name>.f32` into `dir`: packed weights, and a frame of mid grey.
///
/// # Errors
/// When the plan's weights cannot be packed or a file cannot be written.
pub fn write_case(
    dir: &Path,
    name: &str,
    plan: &Plan,
    model: &Model,
    target: Target,
) -> Result<()> {
    let file = |ending: &str| dir.join(format!("{name}.{ending}"));
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(file("bin"))?);
    pack::write(plan, model, target.name(), &mut out)?;
    out.flush()?;
    let values = model.graph.input.len();
    fs::write(file("f32"), 0.5f32.to_le_bytes().repeat(values))?;
    Ok(())
}
