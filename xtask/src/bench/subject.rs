//! The subject of a measurement: a model, planned and compiled as the flags say, and a frame.

use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;
use tessera_plan::plan::Plan;
use tessera_planner::options::Target;

use crate::{
    compile::{self, Built},
    flags::{BenchArgs, ModelArgs},
    model, plan, ranges,
};

/// A planned and compiled model.
#[derive(Debug)]
pub struct Subject {
    /// The plan.
    pub plan: Plan,
    /// The target that the node is compiled for.
    pub target: Target,
    /// The compiled node.
    pub built: Built,
    dir: TempDir,
}

impl Subject {
    /// Plans and compiles the model, and writes a frame.
    ///
    /// # Errors
    /// When the model cannot be planned or compiled.
    pub fn make(args: &BenchArgs, from: &ModelArgs) -> Result<Self> {
        let loaded = model::load(from)?;
        let shown = from
            .model
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        plan::require_weights(&loaded.source, &shown)?;
        let options = plan::options(&plan::in_floats(args.plan.clone()), from, false)?;
        let options = ranges::calibrated(options, args.plan.calibrate_on.as_deref(), &loaded)?;
        let made = plan::make_plan(&loaded.model, &options)?;
        let target = options.target();
        let subject = Self {
            built: compile::cached(&made, &loaded, target)?,
            plan: made,
            target,
            dir: tempfile::tempdir()?,
        };
        // The frame is mid grey: kernels take the same time for every picture.
        let values = loaded.model.graph.input.len();
        std::fs::write(subject.frame(), 0.5f32.to_le_bytes().repeat(values))?;
        Ok(subject)
    }

    /// The frame: C, H, W, float32.
    pub fn frame(&self) -> PathBuf {
        self.dir.path().join("input.f32")
    }
}
