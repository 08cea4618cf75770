//! Runs a node alone, once, and reads the times that the node reports.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tessera_plan::files::events::Event;

use crate::{children, compile::Built};

/// Parameters of a timed run of a node.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The compiled node.
    pub built: &'a Built,
    /// The frame: C, H, W, float32.
    pub tensor: &'a Path,
    /// Number of timed computations of the frame.
    pub frames: u32,
    /// Number of threads that share every layer.
    pub threads: usize,
    /// True to time layers too.
    pub layers: bool,
}

/// Times and events that the node reported.
#[derive(Debug)]
pub struct Said {
    /// Seconds of every frame.
    pub frame: Vec<f64>,
    /// Seconds of the stages in every frame.
    pub stages: Vec<f64>,
    /// Seconds of the tail in every frame.
    pub tail: Vec<f64>,
    /// Processor seconds of every frame, summed over all threads.
    pub processor: Vec<f64>,
    /// Peak resident set (`VmHWM`) of the process, in bytes.
    pub peak_bytes: u64,
    /// All events that the node printed, as JSON.
    pub events: Vec<Value>,
}

/// Runs the node.
///
/// # Errors
/// When the node cannot be started, fails, or reports no times.
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
