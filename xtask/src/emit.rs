//! Writes emitted crates to disk.

use std::{
    fs,
    io::{BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tessera_codegen::{EmitOptions, Files, emit, pack, rounding::rounding, write_files};
use tessera_plan::{graph::NodeWeights, plan::Plan};
use tessera_planner::{model::Model, options::Target, text};

use crate::{progress::Step, workspace};

/// Sizes of a written crate.
#[derive(Debug)]
pub struct Written {
    /// Number of source files.
    pub files: usize,
    /// Bytes of all source files.
    pub source_bytes: u64,
    /// Bytes of `weights.bin`; `None` without weights.
    pub weights_bytes: Option<u64>,
}

/// Relative path from `dir` to the runtime, with `..` where both paths part. `dir` must exist.
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

/// Emits the crate of `plan` for its target `target` into `dir`, and packs the model's folded `weights`, if
/// any.
///
/// # Errors
/// When codegen refuses the plan or the weights, or a file cannot be written.
pub fn write_crate(
    plan: &Plan,
    weights: Option<&[Option<NodeWeights>]>,
    target: &str,
    dir: &Path,
) -> Result<Written> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let step = Step::begin("Emitting sources");
    let options = EmitOptions {
        runtime_path: runtime_path(dir)?,
    };
    let files = emit(plan, target, &options)?;
    write_sources(dir, &files)?;
    let source_bytes = files.values().map(|f| f.len() as u64).sum();
    step.done(&workspace::show(dir));
    let weights_bytes = weights
        .map(|w| pack_weights(plan, w, target, dir))
        .transpose()?;
    Ok(Written {
        files: files.len(),
        source_bytes,
        weights_bytes,
    })
}

/// The folder of a plan's crate for `target` inside `out`: `out` itself, unless the plan is for several targets.
pub fn folder(plan: &Plan, target: &str, out: &Path) -> PathBuf {
    if plan.target.len() > 1 {
        out.join(target)
    } else {
        out.to_owned()
    }
}

/// Writes emitted files, and a `Cargo.lock` with the same dependency versions as the workspace's own.
///
/// # Errors
/// When a file cannot be written.
pub fn write_sources(dir: &Path, files: &Files) -> Result<()> {
    write_files(dir, files)?;
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

fn pack_weights(
    plan: &Plan,
    weights: &[Option<NodeWeights>],
    target: &str,
    dir: &Path,
) -> Result<u64> {
    let file = weights_file(dir);
    let step = Step::begin("Packing weights");
    // The file gets its real name only when complete. Another command may write the same plan's meanwhile.
    let part = tempfile::Builder::new()
        .prefix("weights.bin.")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut w = BufWriter::with_capacity(1 << 20, part);
    pack::write(plan, weights, target, &mut w)?;
    let part = w.into_inner().map_err(std::io::IntoInnerError::into_error);
    let part = part.with_context(|| format!("cannot write {}", file.display()))?;
    part.persist(&file)?;
    let bytes = fs::metadata(&file)?.len();
    let changed = rounding(plan, target, weights).map(|r| {
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
    let weights = model.weights.as_ref().context("a model without weights")?;
    pack::write(plan, weights, target.name(), &mut out)?;
    out.flush()?;
    let values = model.graph.input.len();
    fs::write(file("f32"), 0.5f32.to_le_bytes().repeat(values))?;
    Ok(())
}
