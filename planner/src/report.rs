//! What a plan tells people.

use std::fmt::Write as _;

use crate::{estimate, graph::Graph, plan::Plan};

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn mib(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Renders the report.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn render(plan: &Plan, graph: &Graph) -> String {
    let d = &plan.dataflow;
    let e = &plan.estimates;
    let mut s = String::new();
    let _ = writeln!(s, "plan {}", plan.name);
    let _ = writeln!(
        s,
        "  input {} x {} x {}, {} layers, hash {}",
        d.input.w,
        d.input.h,
        d.input.c,
        graph.layers.len(),
        &plan.hash[..16.min(plan.hash.len())]
    );
    let _ = writeln!(s, "\nstages");
    let _ = writeln!(
        s,
        "  {:<6} {:<10} {:>6} {:>8} {:>18} {:>11} {:>12} {:>12}",
        "stage", "layers", "grid", "classes", "multiply-adds", "redundancy", "inputs", "outputs"
    );
    for (i, st) in d.stages.iter().enumerate() {
        let w = estimate::works(st);
        let macs: u64 = w.iter().map(|w| w.macs).sum();
        let untiled = estimate::untiled_macs(graph, st.first_layer, st.end_layer).max(1);
        let classes = st.tiles.iter().map(|t| t.class).max().map_or(0, |m| m + 1);
        let _ = writeln!(
            s,
            "  {i:<6} {:<10} {:>6} {classes:>8} {macs:>18} {:>10.3}x {:>12} {:>12}",
            format!("{}..{}", st.first_layer, st.end_layer - 1),
            format!("{}x{}", st.grid[0], st.grid[1]),
            macs as f64 / untiled as f64,
            mib(w.iter().map(|w| w.input_bytes).sum()),
            mib(w.iter().map(|w| w.output_bytes).sum()),
        );
        let (lo, hi) = (
            w.iter().map(|w| w.macs).min().unwrap_or(0),
            w.iter().map(|w| w.macs).max().unwrap_or(0),
        );
        let _ = writeln!(
            s,
            "         cheapest tile {lo} multiply-adds, dearest {hi} ({:.2}x)",
            hi as f64 / lo.max(1) as f64
        );
    }
    let tail = estimate::untiled_macs(graph, d.tail.first_layer, d.tail.end_layer);
    if d.tail.first_layer < d.tail.end_layer {
        let _ = writeln!(
            s,
            "  tail   {:<10} {:>6} {:>8} {tail:>18}",
            format!("{}..{}", d.tail.first_layer, d.tail.end_layer - 1),
            "-",
            "-"
        );
    }
    let _ = writeln!(s, "\nbytes per frame (float32 payload)");
    for (k, v) in &e.traffic {
        let what = match k.as_str() {
            "results" => "tile results to the gateway".to_string(),
            "work_sharing" => {
                "by way of comparison: picture and all tiles through the gateway".to_string()
            }
            k => format!(
                "inputs of {} if every tile ran elsewhere",
                k.trim_end_matches(".inputs").replace("stage", "stage ")
            ),
        };
        let _ = writeln!(s, "  {v:>14}  {:>12}  {what}", mib(*v));
    }
    let _ = writeln!(s, "\nmemory in bytes");
    for (k, v) in &e.memory {
        let _ = writeln!(s, "  {v:>14}  {:>12}  {k}", mib(*v));
    }
    let _ = writeln!(
        s,
        "\nestimate for {} edges (Cortex-A53 cores, one shared 100 Mbit/s channel)",
        e.edges
    );
    for (k, v) in &e.seconds {
        let _ = writeln!(s, "  {v:>14.3}  s  {k}");
    }
    let _ = writeln!(s, "\nwhy");
    for w in &e.why {
        let _ = writeln!(s, "  {w}");
    }
    s
}
