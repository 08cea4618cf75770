//! The summary of a run for people: detections, tasks per node, memory and traffic.

use std::fmt::Write as _;

use tessera_plan::files::statistics::{EdgeStatistics, Process, Socket};
use tessera_planner::text::{Table, bytes};

use crate::{cluster::ClusterRun, images::Image};

/// Lists the detections of each picture.
pub fn detections(images: &[Image]) -> String {
    let mut s = String::new();
    for image in images {
        let source = image.source_name.as_deref();
        let file = image.file.as_deref().or(source).unwrap_or("?");
        let _ = writeln!(s, "{file} ({} x {})", image.width, image.height);
        if let Some(reason) = image.dropped {
            let _ = writeln!(s, "  dropped: {}", reason.text());
            continue;
        }
        let mut top = Table::plain("<><>");
        for t in image.top.iter().flatten() {
            let name = t.label.as_deref().unwrap_or_default();
            let score = format!("{:.4}", t.score);
            top.row(&["class", &t.class.to_string(), name, &score]);
        }
        s += &top.render(2);
        if image.detections.is_empty() {
            if image.top.is_none() {
                let _ = writeln!(s, "  nothing above the threshold");
            }
            continue;
        }
        let head = ["label", "score", "left", "top", "width", "height"];
        let mut boxes = Table::new("<>>>>>", &head);
        for d in &image.detections {
            let label = d.label.as_deref().unwrap_or_default();
            let score = format!("{:.1} %", d.score * 100.0);
            let [left, top, width, height] = d.box_px.map(|px| px.to_string());
            boxes.row(&[label, &score, &left, &top, &width, &height]);
        }
        s += &boxes.render(2);
    }
    s
}

/// Tables of computed and stolen tasks, memory and traffic per node.
pub fn cluster(run: &ClusterRun) -> String {
    let mut s = String::new();
    let frames = run.records.len();
    let _ = writeln!(s, "{frames} frame(s) in {:.3} s", run.seconds);
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
    // The tail is not a task, so no other node can steal the tail.
    let no_tasks = [(); 4].map(|()| String::new());
    let gateway = run.gateway.as_ref();
    let gateway = gateway.map(|g| (no_tasks, &g.socket, &g.process));
    node_row(&mut processes, 0, gateway);
    for (id, edge) in (1..).zip(&run.edges) {
        let said = edge.as_ref();
        let said = said.map(|e| (tasks_of(e), &e.socket, &e.process));
        node_row(&mut processes, id, said);
        for w in edge.iter().flat_map(|e| &e.workers) {
            let (tasks, memory) = (w.jobs.to_string(), bytes(w.peak_bytes));
            processes.row(&["  worker", &tasks, "", "", "", "", "", &memory]);
        }
    }
    s += &processes.render(2);
    for (id, edge) in (1..).zip(&run.edges) {
        if let Some(e) = edge
            && e.frames.accepted > 0
        {
            source(&mut s, &node_name(id), e);
        }
    }
    s
}

/// Adds a node's row: the cells for tasks, socket and process, or a note that the node reported nothing.
fn node_row(table: &mut Table, id: u16, said: Option<([String; 4], &Socket, &Process)>) {
    let name = node_name(id);
    let Some(([tasks, stolen, given, again], socket, process)) = said else {
        table.row_with_note(&[&name], "left no statistics (it did not end by itself)");
        return;
    };
    let [sent, received, memory] = [
        socket.counters.bytes_sent,
        socket.counters.bytes_received,
        process.memory.peak_bytes,
    ]
    .map(bytes);
    table.row(&[
        &name, &tasks, &stolen, &given, &again, &sent, &received, &memory,
    ]);
}

/// Numbers of tasks that the edge computed, stole from others, gave to others, and issued again.
fn tasks_of(edge: &EdgeStatistics) -> [String; 4] {
    let c = &edge.counters;
    [
        c.tasks_own + c.tasks_stolen,
        c.tasks_stolen,
        c.leases_issued,
        c.tasks_reissued,
    ]
    .map(|n| n.to_string())
}

/// Writes, for a source's frames, the edges that computed tasks and the frames' durations.
fn source(s: &mut String, name: &str, edge: &EdgeStatistics) {
    let shares: Vec<String> = edge
        .counters
        .tasks_by_node
        .iter()
        .map(|(node, tasks)| format!("{} {tasks}", node_name(*node)))
        .collect();
    if !shares.is_empty() {
        let _ = writeln!(s, "Tasks of {name}'s frames: {}", shares.join(", "));
    }
    let ended = edge.frames.each.iter().filter(|f| !f.dropped);
    let mut took: Vec<u64> = ended.map(|f| f.latency_us).collect();
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

fn node_name(id: u16) -> String {
    if id == 0 {
        "gateway".into()
    } else {
        format!("edge {id}")
    }
}
