//! Measures a plan alone: all tiles and the tail in one process, per layer and in total.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tessera_plan::plan::{Plan, TargetPlan};
use tessera_planner::text;

use super::{
    node::{self, Said},
    profile::{self, Profile},
    subject::Subject,
    times::Times,
};
use crate::{
    flags::{BenchArgs, ModelArgs},
    out::{out, outln},
    progress::Step,
};

/// Runs the command.
///
/// # Errors
/// When the model cannot be planned or compiled, or the node fails.
pub fn run(args: &BenchArgs, from: &ModelArgs) -> Result<()> {
    let subject = Subject::make(args, from)?;
    let mut reports = Vec::new();
    for threads in args.threads_or(&[1]) {
        let step = Step::begin(format!(
            "Timing {} frames, {threads} thread(s)",
            args.repeat
        ));
        let said = node::time(node::Run {
            built: &subject.built,
            tensor: &subject.frame(),
            frames: args.repeat,
            threads,
            layers: true,
        })?;
        step.done("");
        let report = Report::new(&subject.plan, &said, threads)?;
        if !args.json {
            report.print()?;
        }
        reports.push(report.json());
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&reports)?)?;
    }
    Ok(())
}

/// A line of the totals.
struct Part {
    name: &'static str,
    times: Times,
    macs: u64,
    /// Bytes of the largest arena of the part's tasks.
    arena_bytes: u64,
}

/// Results of one run.
struct Report<'a> {
    plan: &'a str,
    threads: usize,
    frames: usize,
    parts: Vec<Part>,
    layers: Profile,
    peak_bytes: u64,
}

impl<'a> Report<'a> {
    fn new(made: &'a Plan, said: &Said, threads: usize) -> Result<Self> {
        let target: &TargetPlan = made.target.values().next().context("a plan has a target")?;
        let tiles = made.dataflow.stages.iter().flat_map(|s| &s.tiles);
        let stages: u64 = tiles.map(|t| t.macs).sum();
        let bytes = |floats: Option<usize>| 4 * floats.unwrap_or(0) as u64;
        let classes = target.stages.iter().flatten();
        let of_stages = bytes(classes.map(|c| c.arena_floats).max());
        let of_tail = bytes(Some(target.tail.arena_floats));
        let parts = [
            ("stages", &said.stages, stages, of_stages),
            ("tail", &said.tail, target.tail.macs, of_tail),
            (
                "frame",
                &said.frame,
                stages + target.tail.macs,
                of_stages.max(of_tail),
            ),
        ];
        let part = |(name, seconds, macs, arena_bytes): (_, &Vec<f64>, _, _)| {
            Some(Part {
                name,
                times: Times::of(seconds)?,
                macs,
                arena_bytes,
            })
        };
        Ok(Self {
            plan: &made.name,
            threads,
            frames: said.frame.len(),
            parts: parts.into_iter().filter_map(part).collect(),
            layers: profile::read(&said.events, made)?,
            peak_bytes: said.peak_bytes,
        })
    }

    /// Peak float32 operations per second of the whole team; `None` if unknown.
    fn peak(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        self.layers.peak.map(|p| p * self.threads as f64)
    }

    fn json(&self) -> Value {
        let parts: Vec<Value> = self
            .parts
            .iter()
            .map(|p| {
                let flops = profile::flops(p.macs, p.times.min_s);
                json!({
                    "part": p.name, "min_s": p.times.min_s, "median_s": p.times.median_s, "max_s": p.times.max_s,
                    "spread": p.times.spread(), "macs": p.macs, "gflops": flops / 1e9,
                    "of_peak": self.peak().map(|peak| flops / peak), "arena_bytes": p.arena_bytes,
                })
            })
            .collect();
        json!({
            "plan": self.plan, "threads": self.threads, "frames": self.frames, "parts": parts,
            "layers": self.layers.json(self.threads), "peak_gflops": self.layers.peak.map(|p| p / 1e9),
            "peak_bytes": self.peak_bytes,
        })
    }

    fn print(&self) -> Result<()> {
        outln!(
            "{}, {} thread(s), {} frames",
            self.plan,
            self.threads,
            self.frames
        )?;
        let mut table = profile::table();
        self.layers.add_to(&mut table, self.threads);
        for p in &self.parts {
            profile::add(&mut table, p.name, "", p.times, p.macs, self.peak());
        }
        out!("{}", table.render(2))?;
        for p in &self.parts {
            outln!("  arena of {}: {}", p.name, text::bytes(p.arena_bytes))?;
        }
        outln!("  peak resident memory: {}", text::bytes(self.peak_bytes))?;
        match self.layers.peak {
            Some(p) => outln!(
                "  one core's fused multiply-adds at best: {:.1} GFLOP/s",
                p / 1e9
            )?,
            None => outln!("  the peak of this processor's kernels is not known")?,
        }
        Ok(())
    }
}
