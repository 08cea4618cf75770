//! `bench --profile`: what every layer takes, summed over a frame's tasks, against the peak.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tessera_planner::plan::{Chain, Plan};

/// A layer, over all tiles of a frame.
#[derive(Debug, Default)]
struct Layer {
    name: String,
    /// Kernel, without its strides; `loop` where there is none.
    kernel: String,
    macs: u64,
    seconds: f64,
}

/// Times of a frame's layers.
#[derive(Debug)]
pub struct Profile {
    /// By node, in order.
    layers: BTreeMap<usize, Layer>,
    /// float32 operations per second of one core at best.
    peak: Option<f64>,
}

/// Finds the profile in a node's output; `None` if it printed none.
///
/// # Errors
/// When it does not fit the plan.
pub fn read(text: &str, plan: &Plan) -> Result<Option<Profile>> {
    let Some(event) = text
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok())
        .find(|v| v["event"] == "profile")
    else {
        return Ok(None);
    };
    let target = plan.target.values().next().context("a plan has a target")?;
    let tiles = plan
        .dataflow
        .stages
        .iter()
        .zip(&target.stages)
        .flat_map(|(stage, classes)| stage.tiles.iter().map(|t| &classes[t.class]));
    let chains: Vec<&Chain> = tiles.chain([&target.tail]).collect();
    let tasks = event["seconds"].as_array().context("seconds of tasks")?;
    ensure!(tasks.len() == chains.len(), "the node ran other tasks");
    let mut layers: BTreeMap<usize, Layer> = BTreeMap::new();
    for (chain, seconds) in chains.into_iter().zip(tasks) {
        let seconds = seconds.as_array().context("seconds of layers")?;
        ensure!(
            seconds.len() == chain.steps.len(),
            "the node ran other layers"
        );
        for (step, seconds) in chain.steps.iter().zip(seconds) {
            let layer = layers.entry(step.node).or_default();
            if layer.name.is_empty() {
                layer.name.clone_from(&step.name);
                layer.kernel = step.conv.as_ref().map_or_else(
                    || "loop".into(),
                    |k| {
                        let what = if k.depthwise { "dwconv" } else { "conv" };
                        format!("{what}{0}x{0}s{1} {2}x{3}", k.size, k.stride_x, k.mr, k.nr)
                    },
                );
            }
            layer.macs += step.macs;
            layer.seconds += seconds.as_f64().unwrap_or(0.0);
        }
    }
    let peak = event["peak_flops"].as_f64();
    Ok(Some(Profile { layers, peak }))
}

impl Layer {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    fn flops(&self) -> f64 {
        2.0 * self.macs as f64 / self.seconds.max(1e-9)
    }
}

impl Profile {
    /// For machines.
    pub fn json(&self) -> Value {
        let layers: Vec<Value> = self
            .layers
            .values()
            .map(|l| {
                json!({"layer": l.name, "kernel": l.kernel, "macs": l.macs, "min_s": l.seconds, "gflops": l.flops() / 1e9})
            })
            .collect();
        json!({"peak_gflops": self.peak.map(|p| p / 1e9), "layers": layers})
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<16} {:<20} {:>10} {:>14} {:>9} {:>8}",
            "layer", "kernel", "min ms", "multiply-adds", "GFLOP/s", "of peak"
        )?;
        for l in self.layers.values() {
            let share = match self.peak {
                Some(p) if l.macs > 0 => format!("{:.0} %", 100.0 * l.flops() / p),
                _ => String::new(),
            };
            let flops = if l.macs > 0 {
                format!("{:.1}", l.flops() / 1e9)
            } else {
                String::new()
            };
            writeln!(
                f,
                "  {:<16} {:<20} {:>10.3} {:>14} {flops:>9} {share:>8}",
                l.name,
                l.kernel,
                l.seconds * 1e3,
                l.macs
            )?;
        }
        match self.peak {
            Some(p) => write!(
                f,
                "  one core's fused multiply-adds at best: {:.1} GFLOP/s",
                p / 1e9
            ),
            None => write!(f, "  the peak of this processor's kernels is not known"),
        }
    }
}
