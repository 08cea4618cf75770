//! What a run tells people: detections, who computed what, memory and traffic.

use std::fmt::Write as _;

use serde_json::Value;

use tessera_planner::text::{Table, bytes};

use crate::cluster::Outcome;

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
        let mut top = Table::plain("<>>");
        for t in image["top"].as_array().into_iter().flatten() {
            let score = t["score"].as_f64().unwrap_or(0.0);
            top.row(&["class", &t["class"].to_string(), &format!("{score:.4}")]);
        }
        s += &top.render(2);
        let found = image["detections"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if found.is_empty() && image.get("top").is_none() {
            let _ = writeln!(s, "  nothing above the threshold");
            continue;
        }
        let head = ["label", "score", "left", "top", "width", "height"];
        let mut boxes = Table::new("<>>>>>", &head);
        for d in found {
            let px = |k: usize| {
                let px = d["box_px"].get(k).and_then(Value::as_f64);
                format!("{:.0}", px.unwrap_or(0.0))
            };
            let label = d["label"].as_str().unwrap_or("?");
            let score = d["score"].as_f64().unwrap_or(0.0) * 100.0;
            let score = format!("{score:.1} %");
            boxes.row(&[label, &score, &px(0), &px(1), &px(2), &px(3)]);
        }
        s += &boxes.render(2);
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
    let head = [
        "process",
        "tasks",
        "stolen",
        "given",
        "re-issued",
        "sent",
        "received",
        "peak memory",
    ];
    let mut processes = Table::new("<>>>>>>>", &head);
    for (i, stats) in outcome.stats.iter().enumerate() {
        let name = node_name(i as u64);
        let Some(v) = stats else {
            processes.row_with_note(&[&name], "left no statistics (it did not end by itself)");
            continue;
        };
        let counter = |key: &str| count(v, &["counters", key]);
        let own = counter("tasks_own");
        let stolen = counter("tasks_stolen");
        let numbers = if i == 0 {
            // The tail is no task that could be stolen.
            [(); 4].map(|()| String::new())
        } else {
            [
                own + stolen,
                stolen,
                counter("leases_issued"),
                counter("tasks_reissued"),
            ]
            .map(|n| n.to_string())
        };
        let [tasks, stolen, given, again] = numbers;
        let sent = bytes(count(v, &["socket", "bytes_sent"]));
        let received = bytes(count(v, &["socket", "bytes_received"]));
        let memory = bytes(count(v, &["memory", "peak_bytes"]));
        processes.row(&[
            &name, &tasks, &stolen, &given, &again, &sent, &received, &memory,
        ]);
        for w in v["workers"].as_array().into_iter().flatten() {
            let tasks = count(w, &["jobs"]).to_string();
            let memory = bytes(count(w, &["peak_bytes"]));
            processes.row(&["  worker", &tasks, "", "", "", "", "", &memory]);
        }
    }
    s += &processes.render(2);
    for (i, stats) in outcome.stats.iter().enumerate().skip(1) {
        if let Some(v) = stats
            && count(v, &["frames", "accepted"]) > 0
        {
            source(&mut s, &node_name(i as u64), v);
        }
    }
    s
}

/// Of a source's frames: who computed their tasks, and how long they took.
fn source(s: &mut String, name: &str, v: &Value) {
    let shares: Vec<String> = v["counters"]["tasks_by_node"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(node, tasks)| format!("{} {tasks}", node_name(node.parse().unwrap_or(0))))
        .collect();
    if !shares.is_empty() {
        let _ = writeln!(s, "Tasks of {name}'s frames: {}", shares.join(", "));
    }
    let mut took: Vec<u64> = v["frames"]["each"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|f| f["dropped"] == false)
        .filter_map(|f| f["latency_us"].as_u64())
        .collect();
    took.sort_unstable();
    if let (Some(best), Some(worst)) = (took.first(), took.last()) {
        let middle = took[took.len() / 2];
        let ms = |us: u64| us as f64 / 1e3;
        let _ = writeln!(
            s,
            "From {name}'s picture to its record: {:.1} ms (median; {:.1} to {:.1})",
            ms(middle),
            ms(*best),
            ms(*worst)
        );
    }
}

fn node_name(id: u64) -> String {
    if id == 0 {
        "gateway".into()
    } else {
        format!("edge {id}")
    }
}
