//! The table of all engines' rounds, side by side.

use std::fmt::Write;

use serde_json::{Value, json};
use tessera_planner::text::Table;

use super::{Report, network::Network, sample::Sample};
use crate::bench::{node::Said, times::Times};

/// An engine's samples over all rounds.
#[derive(Debug)]
pub struct Row {
    /// The engine's name, with its options.
    pub engine: String,
    /// One sample per successful round.
    pub samples: Vec<Sample>,
    /// The engine's error, if a round failed.
    pub error: Option<String>,
}

impl Row {
    /// The row of an engine before its first round.
    pub fn new(engine: &str) -> Self {
        Self {
            engine: engine.to_owned(),
            samples: Vec::new(),
            error: None,
        }
    }

    /// The sample of a process of Tessera's node.
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    pub fn add(&mut self, said: &Said) {
        if let Some(t) = Times::of(&said.frame) {
            let processor: f64 = said.processor.iter().sum();
            self.samples.push(Sample {
                min_s: t.min_s,
                median_s: t.median_s,
                processor_s: Some(processor / said.processor.len().max(1) as f64),
                peak_bytes: said.peak_bytes as f64,
            });
        }
    }

    /// The minimum of the rounds' minima and of their processor times, the median of their medians,
    /// the largest peak.
    fn sum(&self) -> Option<Sample> {
        let of = |f: fn(&Sample) -> f64| Times::of(&self.samples.iter().map(f).collect::<Vec<_>>());
        let processor: Vec<f64> = self.samples.iter().filter_map(|s| s.processor_s).collect();
        Some(Sample {
            min_s: of(|s| s.min_s)?.min_s,
            median_s: of(|s| s.median_s)?.median_s,
            processor_s: Times::of(&processor).map(|t| t.min_s),
            peak_bytes: of(|s| s.peak_bytes)?.max_s,
        })
    }
}

const MB: f64 = (1 << 20) as f64;

/// A table for people. Ratios below 1 mean that Tessera takes less.
pub fn render(network: &Network, report: &Report) -> String {
    let mut table = Table::new(
        "<>>>>>>>>>",
        &[
            "engine",
            "threads",
            "min ms",
            "median ms",
            "cpu ms",
            "GFLOP/s",
            "peak MiB",
            "ours / its: min",
            "median",
            "cpu",
        ],
    );
    let cpu = |s: Sample| s.processor_s.unwrap_or(f64::NAN);
    for (threads, rows) in &report.rows {
        let ours = rows.first().and_then(Row::sum);
        for row in rows {
            let (engine, threads) = (row.engine.as_str(), threads.to_string());
            let (Some(s), Some(o)) = (row.sum(), ours) else {
                let why = row.error.as_deref().unwrap_or("no result");
                table.row_with_note(&[engine, &threads], why);
                continue;
            };
            let two = |x: f64| format!("{x:.2}");
            table.row(&[
                engine,
                &threads,
                &two(s.min_s * 1e3),
                &two(s.median_s * 1e3),
                &two(cpu(s) * 1e3),
                &format!("{:.1}", network.gflop / s.min_s),
                &format!("{:.0}", s.peak_bytes / MB),
                &two(o.min_s / s.min_s),
                &two(o.median_s / s.median_s),
                &two(cpu(o) / cpu(s)),
            ]);
        }
    }
    let mut text = format!(
        "{}, {:.2} GFLOP; ours: {}\n{}",
        network.name,
        network.gflop,
        report.plan,
        table.render(2)
    );
    for (engine, difference) in &report.differences {
        let _ = writeln!(
            text,
            "  largest difference from {engine}: {difference:.1e} of the largest value"
        );
    }
    text
}

/// The table as JSON, for machines.
pub fn json(network: &Network, report: &Report) -> Value {
    let rows = report.rows.iter().flat_map(|(threads, rows)| {
        let ours = rows.first().and_then(Row::sum);
        rows.iter().map(move |row| {
            let mut v = json!({"engine": row.engine, "threads": threads, "rounds": row.samples.len(), "error": row.error});
            if let (Some(s), Some(o)) = (row.sum(), ours) {
                v["min_s"] = s.min_s.into();
                v["median_s"] = s.median_s.into();
                v["processor_s"] = s.processor_s.into();
                v["peak_bytes"] = s.peak_bytes.into();
                v["min_ratio"] = (o.min_s / s.min_s).into();
                v["median_ratio"] = (o.median_s / s.median_s).into();
                v["processor_ratio"] = o.processor_s.zip(s.processor_s).map(|(o, s)| o / s).into();
            }
            v
        })
    });
    let differences: Vec<Value> = report
        .differences
        .iter()
        .map(|(engine, d)| json!({"engine": engine, "relative": d}))
        .collect();
    json!({
        "network": network.name, "plan": report.plan, "gflop": network.gflop,
        "rows": rows.collect::<Vec<_>>(), "differences": differences,
    })
}

#[cfg(test)]
mod tests {
    use super::{Row, Sample};

    #[test]
    fn rounds_are_summed() {
        let mut row = Row::new("ncnn");
        assert!(row.sum().is_none());
        for (min_s, median_s, peak_bytes) in [(2.0, 5.0, 1.0), (1.0, 4.0, 3.0), (3.0, 9.0, 2.0)] {
            row.samples.push(Sample {
                min_s,
                median_s,
                processor_s: (peak_bytes > 1.0).then_some(peak_bytes),
                peak_bytes,
            });
        }
        let s = row.sum().unwrap();
        assert_eq!((s.min_s, s.median_s, s.peak_bytes), (1.0, 5.0, 3.0));
        assert_eq!(s.processor_s, Some(2.0));
    }
}
