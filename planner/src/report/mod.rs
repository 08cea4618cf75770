//! What a plan tells people: stages, chain classes, multiply-adds, bytes, memory, reasons.

mod boards;
mod borders;
mod layers;
mod strips;

use std::fmt::Write as _;

use crate::{
    estimate::stage_bytes,
    ftp::reuse,
    ftp::work::untiled_macs,
    memory,
    stages::grid_name,
    text::{Table, bytes, count, plural},
};
use tessera_plan::limits;
use tessera_plan::{
    graph::{Graph, TensorIx},
    placement::ANYWHERE,
    plan::{Border, Dataflow, ElementType, Placement, Plan, Split, Stage, Tensor},
    region::Shape,
};

/// Chain classes of a plan that are listed one by one.
const CLASSES_SHOWN: usize = 16;

/// Renders the report.
pub fn render(plan: &Plan, graph: &Graph) -> String {
    let mut s = head(plan, graph);
    s += &boards::render(plan);
    s += &stages(plan, graph);
    s += &classes(plan);
    s += &layers::render(plan, graph);
    s += &traffic(plan);
    s += &borders::render(plan, graph);
    s += &strips::render(plan, graph);
    s += &with_reuse(plan, graph);
    s += &memory_table(plan);
    s += &time(plan);
    s.push_str("\nwhy\n");
    for w in &plan.estimates.why {
        let _ = writeln!(s, "  {w}");
    }
    s
}

#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}

fn head(plan: &Plan, graph: &Graph) -> String {
    let Shape { h, w, c } = graph.input;
    let mut t = Table::plain("<<");
    let input = format!("{w} x {h} x {c}");
    t.row(&[
        "model",
        &format!(
            "{}, input {input} (w x h x c), {}",
            graph.name,
            plural(graph.layers.len(), "layer")
        ),
    ]);
    for (name, target) in &plan.target {
        t.row(&["target", &format!("{name} ({})", target.triple)]);
    }
    t.row(&["placement", &placement(plan)]);
    t.row(&["hash", plan.hash.get(..16).unwrap_or(&plan.hash)]);
    format!("plan {}\n{}", plan.name, t.render(2))
}

/// The policy by which boards share tasks; with homes, the number of tasks of every board.
fn placement(plan: &Plan) -> String {
    let d = &plan.dataflow;
    match d.placement {
        Placement::Steal => return "idle boards steal".into(),
        Placement::StealIdle => return "idle boards without frames of their own steal".into(),
        Placement::Queue => return "idle boards steal the next tile, one at a time".into(),
        Placement::QueueIdle => {
            return "idle boards without frames of their own steal the next tile, one at a time"
                .into();
        }
        Placement::Home | Placement::Share => {}
    }
    let tiles = || d.stages.iter().flat_map(|s| &s.tiles);
    let homes = || tiles().filter(|t| t.instead_of.is_none()).map(|t| t.home);
    if homes().any(|h| h == ANYWHERE) {
        return format!(
            "whole frames, on their sources' boards or idle ones; a source has up to {} in flight",
            d.frames_in_flight
        );
    }
    let of_board = |b: usize| homes().filter(|h| usize::from(*h) == b).count().to_string();
    let counts: Vec<String> = (0..d.boards).map(of_board).collect();
    let how = if d.placement == Placement::Share {
        "work sharing through the gateway"
    } else {
        "home boards"
    };
    format!(
        "{how}; tasks of the source and of the others: {}",
        counts.join(" ")
    )
}

fn layers_of(s: &Stage) -> String {
    format!("{}..{}", s.first_layer, s.end_layer.saturating_sub(1))
}

fn classes_in(s: &Stage) -> usize {
    s.tiles.iter().map(|t| t.class + 1).max().unwrap_or(0)
}

fn stages(plan: &Plan, graph: &Graph) -> String {
    let d = &plan.dataflow;
    let mut t = Table::new(
        "<<<<>>>>>>>",
        &[
            "stage",
            "layers",
            "grid",
            "split",
            "tiles",
            "classes",
            "multiply-adds",
            "redundancy",
            "dearest/cheapest",
            "tile inputs",
            "tile outputs",
        ],
    );
    let tasks = tessera_plan::dataflow::TaskGraph::of(d).ok();
    for (i, s) in d.stages.iter().enumerate() {
        let tiles = || s.tiles.iter().filter(|t| t.instead_of.is_none());
        let macs = || tiles().map(|t| t.macs);
        let total: u64 = macs().sum();
        let moved = |ports| tasks.as_ref().map_or(0, |t| stage_bytes(t, i, ports));
        let split = format!("{:?}", s.split).to_lowercase();
        let untiled = untiled_macs(graph, s.first_layer, s.end_layer);
        let times = |x: f64| format!("{x:.3}x");
        t.row(&[
            &i.to_string(),
            &layers_of(s),
            &grid_name(s.grid, s.split == Split::Channels),
            &split,
            &tiles().count().to_string(),
            &classes_in(s).to_string(),
            &count(total),
            &times(if untiled == 0 {
                1.0
            } else {
                ratio(total, untiled)
            }),
            &times(ratio(macs().max().unwrap_or(0), macs().min().unwrap_or(0))),
            &bytes(moved(|t| &t.inputs)),
            &bytes(moved(|t| &t.outputs)),
        ]);
    }
    let (first, end) = (d.tail.first_layer, d.tail.end_layer);
    if first < end {
        let layers = format!("{first}..{}", end - 1);
        let macs = count(untiled_macs(graph, first, end));
        t.row(&["tail", &layers, "-", "-", "-", "-", &macs]);
    }
    format!("\nstages\n{}", t.render(2))
}

/// Distinct tile shapes: all of them, or where they are many their ranges per stage.
fn classes(plan: &Plan) -> String {
    let all: usize = plan.dataflow.stages.iter().map(classes_in).sum();
    match all {
        0 => String::new(),
        1..=CLASSES_SHOWN => every_class(plan),
        _ => class_ranges(plan),
    }
}

fn class_ranges(plan: &Plan) -> String {
    let Some(target) = plan.target.values().next() else {
        return String::new();
    };
    let mut t = Table::new(
        "<>>>>>",
        &[
            "stage",
            "classes",
            "output h x w",
            "input h x w",
            "multiply-adds",
            "arena bytes",
        ],
    );
    let range = |values: &mut dyn Iterator<Item = u64>| {
        let (lo, hi) = values.fold((u64::MAX, 0), |(lo, hi), v| (lo.min(v), hi.max(v)));
        if lo >= hi {
            count(hi)
        } else {
            format!("{}..{}", count(lo), count(hi))
        }
    };
    for (i, (s, chains)) in plan.dataflow.stages.iter().zip(&target.stages).enumerate() {
        let size = |of: fn(&tessera_plan::plan::Tile) -> Option<&tessera_plan::region::Region>| {
            let mut rows = s.tiles.iter().filter_map(of).map(|r| r.y.len() as u64);
            let mut cols = s.tiles.iter().filter_map(of).map(|r| r.x.len() as u64);
            format!("{} x {}", range(&mut rows), range(&mut cols))
        };
        t.row(&[
            &i.to_string(),
            &chains.len().to_string(),
            &size(|t| t.outputs.first()),
            &size(|t| t.inputs.first()),
            &range(&mut chains.iter().map(|c| c.macs)),
            &range(&mut chains.iter().map(|c| 4 * c.arena_floats as u64)),
        ]);
    }
    format!(
        "\nchain classes (tiles of one shape share code; first output and input shown)\n{}",
        t.render(2)
    )
}

fn every_class(plan: &Plan) -> String {
    let Some(target) = plan.target.values().next() else {
        return String::new();
    };
    let mut t = Table::new(
        "<<>>>>>",
        &[
            "stage",
            "class",
            "tiles",
            "output h x w",
            "input h x w",
            "multiply-adds",
            "arena bytes",
        ],
    );
    for (i, (s, chains)) in plan.dataflow.stages.iter().zip(&target.stages).enumerate() {
        for (k, chain) in chains.iter().enumerate() {
            let of_class = || s.tiles.iter().filter(|t| t.class == k);
            let Some(tile) = of_class().next() else {
                continue;
            };
            let size = |r: Option<&tessera_plan::region::Region>| {
                r.map_or_else(String::new, |r| format!("{} x {}", r.y.len(), r.x.len()))
            };
            t.row(&[
                &i.to_string(),
                &chain.name,
                &of_class().count().to_string(),
                &size(tile.outputs.first()),
                &size(tile.inputs.first()),
                &count(chain.macs),
                &count(4 * chain.arena_floats as u64),
            ]);
        }
    }
    format!(
        "\nchain classes (tiles of one shape share code; first output and input shown)\n{}",
        t.render(2)
    )
}

/// How frames and the stages' outputs are stored, as `frames u8, objects f16`.
fn formats(d: &Dataflow) -> String {
    let name = |t: &Tensor| match t.element {
        ElementType::U8 => "u8",
        ElementType::F16 => "f16",
        ElementType::F32 => "f32",
    };
    let frames = d.tensors.iter().filter(|t| t.id == TensorIx::INPUT);
    let mut parts: Vec<String> = frames.map(|t| format!("frames {}", name(t))).collect();
    let made = d.stages.iter().flat_map(|s| &s.outputs);
    let made = made.filter_map(|id| d.tensors.iter().find(|t| t.id == *id && !t.is_strip()));
    let mut objects: Vec<&str> = made.map(name).collect();
    objects.dedup();
    if !objects.is_empty() {
        parts.push(format!("objects {}", objects.join(", ")));
    }
    parts.join(", ")
}

fn traffic(plan: &Plan) -> String {
    let d = &plan.dataflow;
    let get = |k: &str| plan.estimates.traffic.get(k).copied().unwrap_or(0);
    let mut t = Table::plain(">><");
    let mut row = |n: u64, what: &str| t.row(&[&count(n), &bytes(n), what]);
    if !d.stages.is_empty() {
        let (frame, halos) = if d.placement == Placement::Share {
            (
                "of the picture, from its source to the gateway, and tiles of it from there",
                "between stages, to the gateway and from there",
            )
        } else {
            (
                "of the picture, from its source to other edges",
                "between stages, from edge to edge",
            )
        };
        row(get("expected.frame"), frame);
        if d.stages.len() > 1 {
            row(get("expected.halos"), halos);
        }
    }
    row(
        get("expected.results"),
        if d.stages.is_empty() {
            "the picture to the gateway"
        } else {
            "results to the gateway"
        },
    );
    row(get("expected.total"), "in all");
    let mut s = format!(
        "\nbytes moved per frame ({}; {}, as scheduled below)\n{}",
        formats(d),
        boards(plan),
        t.render(2)
    );
    if !d.stages.is_empty() {
        let mut t = Table::plain(">><");
        for i in 0..d.stages.len() {
            let n = get(&format!("stage{i}.inputs"));
            let what = format!("inputs of all tiles of stage {i}, if each ran elsewhere");
            t.row(&[&count(n), &bytes(n), &what]);
        }
        let n = get("work_sharing");
        t.row(&[
            &count(n),
            &bytes(n),
            "work sharing: picture, tile inputs and results all through the gateway",
        ]);
        s += &format!("  by way of comparison\n{}", t.render(2));
    }
    s
}

/// What DeepThings' reuse of borders would come to, where a stage is a chain.
fn with_reuse(plan: &Plan, graph: &Graph) -> String {
    let mut t = Table::new(
        "<>>>>>",
        &[
            "stage",
            "multiply-adds",
            "redundancy",
            "tile inputs",
            "strips handed over",
            "largest of one tile",
        ],
    );
    let mut any = false;
    let stages = plan.dataflow.stages.iter().enumerate();
    // Ranges of channels have no borders.
    let plain = |s: &Stage| s.split != Split::Channels && s.border != Border::Reuse;
    for (i, stage) in stages.filter(|(_, s)| plain(s)) {
        let Some(r) = reuse::reuse(graph, stage).filter(|r| r.plain.len() > 1) else {
            continue;
        };
        any = true;
        let macs: u64 = r.tiles.iter().map(|t| r.macs(graph, t)).sum();
        let inputs: u64 = r.tiles.iter().map(|t| r.input_bytes(graph, t)).sum();
        let donated = r.donated(graph);
        let untiled = untiled_macs(graph, stage.first_layer, stage.end_layer);
        t.row(&[
            &i.to_string(),
            &count(macs),
            &format!("{:.3}x", ratio(macs, untiled)),
            &bytes(inputs),
            &format!("{} bytes", count(donated.iter().sum())),
            &bytes(donated.iter().copied().max().unwrap_or(0)),
        ]);
    }
    if !any {
        return String::new();
    }
    format!(
        "\nby way of comparison: borders reused in two colours (DeepThings)\n{}",
        t.render(2)
    )
}

/// The boards that compute tasks, as `6 edges of 1 worker, the gateway's board with 2 workers`.
fn boards(plan: &Plan) -> String {
    let e = &plan.estimates;
    let edges = format!(
        "{} of {}",
        plural(e.edges, "edge"),
        plural(e.workers, "worker")
    );
    match e.gateway_workers {
        0 => edges,
        n => format!("{edges}, the gateway's board with {}", plural(n, "worker")),
    }
}

fn memory_table(plan: &Plan) -> String {
    let mut t = Table::plain("<>><");
    for (role, n, what) in memory_of_nodes(plan) {
        t.row(&[role, &count(n), &bytes(n), &what]);
    }
    format!(
        "\nmemory per node in bytes, at most ({} per edge; the kernel's socket buffers are not counted)\n{}",
        plural(plan.estimates.workers, "worker"),
        t.render(2)
    )
}

/// What nodes need at most: the role, bytes, and what they consist of in words.
pub fn memory_of_nodes(plan: &Plan) -> Vec<(&'static str, u64, String)> {
    let m = &plan.estimates.memory;
    let get = |k: &str| m.get(k).copied().unwrap_or(0);
    let mut rows = Vec::new();
    let mut row = |role, n, what| rows.push((role, n, what));
    if !plan.dataflow.stages.is_empty() {
        row(
            "edge",
            memory::edge_bytes(m),
            format!(
                "arenas {}, weights {}, processes {}, objects {}, boxes that tiles share {}",
                bytes(get("edge.arena")),
                bytes(get("edge.weights")),
                bytes(get("edge.processes")),
                bytes(get("edge.objects")),
                bytes(get("edge.shared")),
            ),
        );
        row(
            "source",
            memory::source_bytes(m),
            format!(
                "the same, with {} of its own frames in flight: objects {}; a picture {}",
                plan.dataflow.frames_in_flight,
                bytes(get("source.objects")),
                bytes(get("source.picture")),
            ),
        );
    }
    row(
        "gateway",
        memory::gateway_bytes(m),
        format!(
            "arena {}, weights {}, process {}, {} frames merged {}",
            bytes(get("gateway.arena")),
            bytes(get("gateway.weights")),
            bytes(get("gateway.process")),
            limits::GATEWAY_FRAMES,
            bytes(get("gateway.merged"))
        ),
    );
    if plan.estimates.gateway_workers > 0 {
        row(
            "its edge",
            memory::gateway_edge_bytes(m),
            format!(
                "{}: arenas {}, weights {}, objects {}",
                plural(plan.estimates.gateway_workers, "worker"),
                bytes(get("gateway.edge.arena")),
                bytes(get("gateway.edge.weights")),
                bytes(get("gateway.edge.objects")),
            ),
        );
    }
    rows
}

fn time(plan: &Plan) -> String {
    let e = &plan.estimates;
    let get = |k: &str| e.seconds.get(k).copied().unwrap_or(0.0);
    let mut t = Table::plain(">><");
    let mut row = |k: &str, what: &str| t.row(&[&format!("{:.4}", get(k)), "s", what]);
    if !plan.dataflow.stages.is_empty() {
        row("stages", "from the frame's arrival to the last result's");
    }
    row("tail", "tail on the gateway");
    row("frame", "a frame");
    row("one_thread", "everything on the first board, by one thread");
    format!(
        "\nestimated time ({} on {})\n{}",
        boards(plan),
        e.speed,
        t.render(2)
    )
}
