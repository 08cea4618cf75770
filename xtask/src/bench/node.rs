//! Runs a node alone, once, and reads what it says about its times.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::build::Built;

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

/// Seconds of a list in an event.
fn list(event: &Value, key: &str) -> Vec<f64> {
    let all = event[key].as_array().into_iter().flatten();
    all.filter_map(Value::as_f64).collect()
}

/// Runs the node.
///
/// # Errors
/// When it cannot be started, fails, or says nothing of its times.
pub fn time(run: Run<'_>) -> Result<Said> {
    let out = Command::new(&run.built.node)
        .args(["solo", "--weights"])
        .arg(&run.built.weights)
        .arg("--input-f32")
        .arg(run.tensor)
        .args(["--threads", &run.threads.to_string()])
        .args(["--repeat", &run.frames.to_string()])
        .args(run.layers.then_some("--profile"))
        .output()
        .context("cannot start the node")?;
    if !out.status.success() {
        bail!("the node failed:\n{}", String::from_utf8_lossy(&out.stderr));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let events: Vec<Value> = text
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    let timing = events
        .iter()
        .find(|v| v["event"] == "timing")
        .context("the node printed no timing")?;
    Ok(Said {
        frame: list(timing, "seconds"),
        stages: list(timing, "stages_seconds"),
        tail: list(timing, "tail_seconds"),
        processor: list(timing, "processor_seconds"),
        peak_bytes: timing["memory"]["peak_bytes"].as_u64().unwrap_or(0),
        events,
    })
}
