//! Times of layers, summed over a frame's tasks, and their share of the peak speed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tessera_plan::{
    graph::NodeIx,
    plan::{Chain, Plan},
};
use tessera_planner::text::{Table, count};

use super::times::Times;

/// Times of a layer, summed over all tiles of a frame.
#[derive(Debug, Default)]
struct Layer {
    name: String,
    /// Name of the kernel, without its strides; `loop` for a layer without a kernel.
    kernel: String,
    macs: u64,
    times: Times,
}

/// Times of a frame's layers.
#[derive(Debug)]
pub struct Profile {
    /// Layers by node, in ascending order.
    layers: BTreeMap<NodeIx, Layer>,
    /// Peak float32 operations per second of one core; `None` if unknown.
    pub peak: Option<f64>,
}

/// Finds the profile among a node's events.
///
/// # Errors
/// When there is no profile, or the profile does not fit the plan.
pub fn read(events: &[Value], plan: &Plan) -> Result<Profile> {
    let event = events
        .iter()
        .find(|v| v["event"] == "profile")
        .context("the node printed no profile")?;
    let target = plan.target.values().next().context("a plan has a target")?;
    let tiles = plan
        .dataflow
        .stages
        .iter()
        .zip(&target.stages)
        .flat_map(|(stage, classes)| stage.tiles.iter().map(|t| &classes[t.class]));
    let chains: Vec<&Chain> = tiles.chain([&target.tail]).collect();
    let tasks = event["tasks"].as_array().context("times of tasks")?;
    ensure!(tasks.len() == chains.len(), "the node ran other tasks");
    let mut layers: BTreeMap<NodeIx, Layer> = BTreeMap::new();
    for (chain, seen) in chains.into_iter().zip(tasks) {
        let seen = seen.as_array().context("times of layers")?;
        ensure!(seen.len() == chain.steps.len(), "the node ran other layers");
        for (step, seen) in chain.steps.iter().zip(seen) {
            let layer = layers.entry(step.node).or_default();
            if layer.name.is_empty() {
                layer.name.clone_from(&step.name);
                layer.kernel = step.conv.as_ref().map_or_else(
                    || "loop".into(),
                    |k| {
                        let what = if k.depthwise { "dwconv" } else { "conv" };
                        let pool = if k.pool { " pool" } else { "" };
                        format!(
                            "{what}{0}x{0}s{1} {2}x{3}{pool}",
                            k.size, k.stride_x, k.mr, k.nr
                        )
                    },
                );
            }
            layer.macs += step.macs;
            let seconds = |key: &str| seen[key].as_f64().unwrap_or(0.0);
            layer.times.min_s += seconds("min_s");
            layer.times.median_s += seconds("median_s");
            layer.times.max_s += seconds("max_s");
            layer.times.spread_s += seconds("spread_s");
        }
    }
    let peak = event["peak_flops"].as_f64();
    Ok(Profile { layers, peak })
}

/// Operations per second, two per multiply-add.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub fn flops(macs: u64, seconds: f64) -> f64 {
    2.0 * macs as f64 / seconds.max(1e-9)
}

/// An empty table for rows of [`add`].
pub fn table() -> Table {
    Table::new(
        "<<>>>>>>",
        &[
            "layer",
            "kernel",
            "min ms",
            "median ms",
            "spread",
            "multiply-adds",
            "GFLOP/s",
            "of peak",
        ],
    )
}

/// Adds a row; rates are computed from the shortest time.
pub fn add(table: &mut Table, name: &str, kernel: &str, t: Times, macs: u64, peak: Option<f64>) {
    let ms = |s: f64| format!("{:.3}", s * 1e3);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let rate = (macs > 0).then(|| flops(macs, t.min_s));
    let of_peak = rate.zip(peak).map(|(rate, peak)| percent(rate / peak));
    table.row(&[
        name,
        kernel,
        &ms(t.min_s),
        &ms(t.median_s),
        &percent(t.spread()),
        &count(macs),
        &rate.map_or_else(String::new, |r| format!("{:.1}", r / 1e9)),
        &of_peak.unwrap_or_default(),
    ]);
}

impl Profile {
    /// Peak float32 operations per second of `threads` cores; `None` if unknown.
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    fn peak_of(&self, threads: usize) -> Option<f64> {
        self.peak.map(|p| p * threads as f64)
    }

    /// The table as JSON, for machines.
    pub fn json(&self, threads: usize) -> Vec<Value> {
        let peak = self.peak_of(threads);
        self.layers
            .values()
            .map(|l| {
                let flops = flops(l.macs, l.times.min_s);
                json!({
                    "layer": l.name, "kernel": l.kernel, "macs": l.macs, "min_s": l.times.min_s,
                    "median_s": l.times.median_s, "spread": l.times.spread(), "gflops": flops / 1e9,
                    "of_peak": peak.map(|p| flops / p),
                })
            })
            .collect()
    }

    /// Adds a row per layer to a table for people.
    pub fn add_to(&self, table: &mut Table, threads: usize) {
        let peak = self.peak_of(threads);
        for l in self.layers.values() {
            add(table, &l.name, &l.kernel, l.times, l.macs, peak);
        }
    }
}
