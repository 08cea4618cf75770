//! What a run tells people: detections, who computed what, memory and traffic.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{cluster::Outcome, size};

/// Detections per picture.
pub fn detections(images: &[Value]) -> String {
    let mut s = String::new();
    for image in images {
        let (w, h) = (
            image["width"].as_u64().unwrap_or(0),
            image["height"].as_u64().unwrap_or(0),
        );
        let _ = writeln!(s, "{} ({w} x {h})", image["file"].as_str().unwrap_or("?"));
        if let Some(reason) = image.get("dropped") {
            let _ = writeln!(s, "  dropped: {}", reason.as_str().unwrap_or("?"));
            continue;
        }
        for t in image["top"].as_array().into_iter().flatten() {
            let _ = writeln!(
                s,
                "  class {:>4}  {:>6.4}",
                t["class"],
                t["score"].as_f64().unwrap_or(0.0)
            );
        }
        let found = image["detections"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if found.is_empty() && image.get("top").is_none() {
            let _ = writeln!(s, "  nothing above the threshold");
        }
        for d in found {
            let px = |k: usize| d["box_px"].get(k).and_then(Value::as_f64).unwrap_or(0.0);
            let label = d["label"].as_str().unwrap_or("?");
            let score = d["score"].as_f64().unwrap_or(0.0) * 100.0;
            let _ = writeln!(
                s,
                "  {label:<16} {score:5.1} %   left {:5.0}  top {:5.0}  width {:5.0}  height {:5.0}",
                px(0),
                px(1),
                px(2),
                px(3)
            );
        }
    }
    s
}

fn count(v: &Value, path: &[&str]) -> u64 {
    path.iter()
        .try_fold(v, |v, k| v.get(k))
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

/// Who computed what, what was stolen, memory and traffic per node.
pub fn cluster(outcome: &Outcome) -> String {
    let mut s = String::new();
    let frames = outcome.records.len();
    let _ = writeln!(s, "{frames} frame(s) in {:.3} s", outcome.seconds);
    let _ = writeln!(
        s,
        "  {:<12} {:>6} {:>7} {:>6} {:>10} {:>12} {:>12} {:>12}",
        "process", "tasks", "stolen", "given", "re-issued", "sent", "received", "peak memory"
    );
    for (i, stats) in outcome.stats.iter().enumerate() {
        let name = if i == 0 {
            "gateway".to_string()
        } else {
            format!("edge {i}")
        };
        let Some(v) = stats else {
            let _ = writeln!(
                s,
                "  {name:<12} left no statistics (it did not end by itself)"
            );
            continue;
        };
        let memory = size::show(count(v, &["memory", "peak_bytes"]));
        let _ = writeln!(
            s,
            "  {name:<12} {:>6} {:>7} {:>6} {:>10} {:>12} {:>12} {memory:>12}",
            count(v, &["counters", "tasks_computed"]),
            count(v, &["counters", "tasks_stolen"]),
            count(v, &["counters", "tasks_given"]),
            count(v, &["counters", "reissues"]),
            size::show(count(v, &["counters", "bytes_sent"])),
            size::show(count(v, &["counters", "bytes_received"])),
        );
        for w in v["workers"].as_array().into_iter().flatten() {
            let memory = size::show(count(w, &["memory", "peak_bytes"]));
            let _ = writeln!(
                s,
                "  {:<12} {:>6} {:>7} {:>6} {:>10} {:>12} {:>12} {memory:>12}",
                "  worker",
                count(w, &["tasks"]),
                "",
                "",
                "",
                "",
                ""
            );
        }
    }
    s
}
