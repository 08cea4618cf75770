//! Runs a node alone, once, and reads what it says about its times.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tessera_plan::files::events::Event;

use crate::{build::Built, children};

/// How a node is run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What is run.
    pub built: &'a Built,
    /// The frame: C, H, W, float32.
    pub tensor: &'a Path,
    /// How often it is computed under the clock.
    pub frames: u32,
    /// Threads that share every layer.
    pub threads: usize,
    /// Whether layers are timed too.
    pub layers: bool,
}

/// What the node said.
#[derive(Debug)]
pub struct Said {
    /// Seconds of every frame.
    pub frame: Vec<f64>,
    /// The stages' part of them.
    pub stages: Vec<f64>,
    /// The tail's part of them.
    pub tail: Vec<f64>,
    /// Processor seconds of every frame, all threads together.
    pub processor: Vec<f64>,
    /// Peak resident set (`VmHWM`) of the process.
    pub peak_bytes: u64,
    /// All events.
    pub events: Vec<Value>,
}

/// Runs the node.
///
/// # Errors
/// When it cannot be started, fails, or says nothing of its times.
pub fn time(run: Run<'_>) -> Result<Said> {
    let mut command = Command::new(&run.built.node);
    command
        .args(["solo", "--weights"])
        .arg(&run.built.weights)
        .arg("--input-f32")
        .arg(run.tensor)
        .args(["--threads", &run.threads.to_string()])
        .args(["--repeat", &run.frames.to_string()])
        .args(run.layers.then_some("--profile"));
    let out = children::output(&mut command).context("cannot start the node")?;
    if !out.status.success() {
        bail!("the node failed:\n{}", String::from_utf8_lossy(&out.stderr));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let events: Vec<Value> = text
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    let timing = text.lines().find_map(|l| match serde_json::from_str(l) {
        Ok(Event::Timing {
            seconds,
            stages_seconds,
            tail_seconds,
            processor_seconds,
            memory,
        }) => Some((
            [seconds, stages_seconds, tail_seconds, processor_seconds],
            memory,
        )),
        _ => None,
    });
    let (times, memory) = timing.context("the node printed no timing")?;
    let [frame, stages, tail, processor] = times;
    Ok(Said {
        frame,
        stages,
        tail,
        processor,
        peak_bytes: memory.peak_bytes,
        events,
    })
}
