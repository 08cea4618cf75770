//! A drawing of a simulation: a row per board, time from left to right.
//!
//! ```text
//!            0 s      0.1 s     0.2 s
//!   gateway  |                 ▇▇▇▇▇▇▇ tail
//!            ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂ what it receives
//!   pi1      ▇▇▇▇▇▇▇ task       ▇▇▇▇▇▇
//!            ▂▂▂▂▂
//! ```

use std::collections::BTreeMap;

use tessera_plan::plan::{Plan, Stage};
use tessera_sim::course::TaskCourse;

use crate::{
    cluster::SimulatedCluster,
    outcome::{Outcome, RunKind},
    settings::Settings,
    svg::{Anchor, Length, Svg, step},
};

const WIDTH: f64 = 1200.0;
/// Left of time 0: names of boards.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 20.0;
/// Height of a line of the legend.
const LEGEND_LINE: f64 = 18.0;
/// Height above the rows that the axis takes.
const AXIS: f64 = 34.0;
/// Height that rows have together, if there are enough of them.
const ROWS: f64 = 1500.0;
/// Tasks up to which each has a title of its own.
const TITLES_MAX: usize = 2000;
/// Boards up to which stolen tasks have lines from their owners.
const ARROWS_MAX: usize = 16;

/// The time axis, and where rows lie.
struct Scale {
    top: f64,
    row: f64,
    from_s: f64,
    per_s: f64,
}

impl Scale {
    fn x(&self, s: f64) -> f64 {
        LEFT + (s - self.from_s) * self.per_s
    }

    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    fn y(&self, row: usize) -> f64 {
        self.top + self.row * row as f64
    }
}

/// Draws a simulation.
#[expect(clippy::cast_precision_loss, reason = "few rows")]
pub fn draw(plan: &Plan, cluster: &SimulatedCluster, settings: &Settings, o: &Outcome) -> String {
    let stages = &plan.dataflow.stages;
    let legend = legend(stages);
    let lines = lay_out(&legend);
    let rows = cluster.boards.len() + 1;
    let from_s = o.course.frames.iter().map(|f| f.entered_s);
    let from_s = from_s.fold(f64::INFINITY, f64::min);
    let from_s = if from_s.is_finite() { from_s } else { 0.0 };
    let span_s = (o.course.ended_s - from_s).max(1e-6);
    let lines_count = lines.last().map_or(0, |l| l.line + 1);
    let scale = Scale {
        top: 26.0 + LEGEND_LINE * lines_count as f64 + AXIS,
        row: (ROWS / rows as f64).clamp(7.0, 34.0),
        from_s,
        per_s: (WIDTH - LEFT - RIGHT) / span_s,
    };
    let height = scale.y(rows) + 12.0;
    let mut svg = Svg::new(WIDTH, height, stages.len() + 1);
    svg.text("head", [12.0, 20.0], Anchor::Start, &plan.name);
    for (at, (class, label)) in lines.iter().zip(&legend) {
        let y = 26.0 + LEGEND_LINE * at.line as f64;
        svg.rect(class, [at.x, y + 4.0], [12.0, 9.0], "");
        svg.text("", [at.x + 17.0, y + 13.0], Anchor::Start, label);
    }
    axis(&mut svg, &scale, span_s, rows);
    names(&mut svg, &scale, cluster);
    tasks(&mut svg, &scale, cluster, o);
    tails(&mut svg, &scale, cluster, o, stages.len());
    transfers(&mut svg, &scale, o);
    if cluster.boards.len() <= ARROWS_MAX {
        arrows(&mut svg, &scale, o);
    }
    for kill in &settings.kills {
        let (x, y) = (
            scale.x(kill.at_s + from_s.min(0.0)),
            scale.y(kill.node.min(rows - 1)),
        );
        svg.line("fault", [x, y], [x, y + scale.row]);
        svg.text("small", [x + 3.0, y + 9.0], Anchor::Start, "killed");
    }
    let title = format!(
        "Course of {}: what every board computed and received, over {span_s:.3} s of virtual time",
        plan.name
    );
    svg.finish(&title)
}

/// Classes and labels of the legend.
fn legend(stages: &[Stage]) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = Vec::new();
    for (k, s) in stages.iter().enumerate() {
        let label = match s.end_layer - s.first_layer {
            1 => format!("layer {}", s.first_layer),
            _ => format!("layers {} to {}", s.first_layer, s.end_layer - 1),
        };
        list.push((format!("c{k}"), label));
    }
    list.push((format!("c{}", stages.len()), "tail".to_owned()));
    list.push(("grey".to_owned(), "receives".to_owned()));
    list.push((
        "outline".to_owned(),
        "framed: a task of another board, or run again".to_owned(),
    ));
    list
}

/// Where an entry of the legend stands.
struct Place {
    x: f64,
    line: usize,
}

#[expect(clippy::cast_precision_loss, reason = "short texts")]
fn lay_out(legend: &[(String, String)]) -> Vec<Place> {
    let (mut x, mut line) = (12.0, 0);
    let mut list = Vec::new();
    for (_, label) in legend {
        let w = 36.0 + 6.6 * label.chars().count() as f64;
        if x + w > WIDTH && x > 12.0 {
            (x, line) = (12.0, line + 1);
        }
        list.push(Place { x, line });
        x += w;
    }
    list
}

fn axis(svg: &mut Svg, scale: &Scale, span_s: f64, rows: usize) {
    let step = step(span_s, 12.0);
    let digits = if step < 1.0 {
        usize::try_from(-(step.log10().floor() as i32)).unwrap_or(0)
    } else {
        0
    };
    let (top, bottom) = (scale.top - 6.0, scale.y(rows));
    let mut k = 0.0;
    while k * step <= span_s * 1.000_001 {
        let x = scale.x(scale.from_s + k * step);
        svg.line("grid", [x, top], [x, bottom]);
        let label = format!("{:.digits$} s", k * step);
        let near_end = x > WIDTH - RIGHT - 20.0;
        let anchor = if near_end {
            Anchor::End
        } else {
            Anchor::Middle
        };
        svg.text("faint", [x, top - 4.0], anchor, &label);
        k += 1.0;
    }
    svg.text("faint", [12.0, top - 4.0], Anchor::Start, "time");
}

fn names(svg: &mut Svg, scale: &Scale, cluster: &SimulatedCluster) {
    let names = cluster.boards.iter().map(|(name, _)| name.as_str());
    // Small rows have a name now and then.
    let every = (11.0 / scale.row).ceil() as usize;
    for (row, name) in std::iter::once("gateway").chain(names).enumerate() {
        if row % 2 == 0 {
            let at = [LEFT, scale.y(row)];
            svg.rect("band", at, [WIDTH - LEFT - RIGHT, scale.row], "");
        }
        if row % every == 0 {
            let short: String = name.chars().take(16).collect();
            let y = scale.y(row) + scale.row.min(20.0) * 0.5 + 4.0;
            svg.text("", [LEFT - 8.0, y], Anchor::End, &short);
        }
    }
}

/// A lane for every worker, so that tasks that overlap lie above each other.
fn lanes(tasks: &[(usize, &TaskCourse)], workers: usize) -> Vec<usize> {
    let mut free_s = vec![f64::NEG_INFINITY; workers.max(1)];
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by(|a, b| tasks[*a].1.start_s.total_cmp(&tasks[*b].1.start_s));
    let mut lanes = vec![0; tasks.len()];
    for k in order {
        let t = tasks[k].1;
        let free = free_s.iter().position(|s| *s <= t.start_s + 1e-9);
        let lane = free.unwrap_or(0);
        free_s[lane] = t.end_s;
        lanes[k] = lane;
    }
    lanes
}

/// A rectangle as a part of a path.
fn part(path: &mut String, [x, y]: [f64; 2], [w, h]: [f64; 2]) {
    use std::fmt::Write as _;
    let [x, y, w, h] = [x, y, w, h].map(Length);
    let _ = write!(path, "M{x} {y}h{w}v{h}h-{w}z");
}

#[expect(clippy::cast_precision_loss, reason = "few workers")]
fn tasks(svg: &mut Svg, scale: &Scale, cluster: &SimulatedCluster, o: &Outcome) {
    let titles = o.course.tasks.len() <= TITLES_MAX;
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    let mut framed = String::new();
    let mut by_board: Vec<Vec<(usize, &TaskCourse)>> = vec![Vec::new(); cluster.boards.len()];
    for (k, t) in o.course.tasks.iter().enumerate() {
        by_board[t.board].push((k, t));
    }
    for (board, list) in by_board.iter().enumerate() {
        let (name, timing) = &cluster.boards[board];
        let workers = timing.workers.max(1);
        let h = 0.68 * scale.row / workers as f64;
        for ((k, t), lane) in list.iter().zip(lanes(list, workers)) {
            let at = [
                scale.x(t.start_s),
                scale.y(board + 1) + 1.0 + h * lane as f64,
            ];
            let size = [
                ((t.end_s - t.start_s) * scale.per_s).max(0.2),
                (h - 0.5).max(0.5),
            ];
            let stage = cluster.info.tasks[t.task.index()].stage;
            let class = format!("c{stage}");
            if titles {
                let title = format!(
                    "{name}: task {} of frame {} of source {}, {:.4} s to {:.4} s",
                    t.task, t.frame.number.0, t.frame.source.0, t.start_s, t.end_s
                );
                svg.rect(&class, at, size, &title);
            } else {
                part(paths.entry(class).or_default(), at, size);
            }
            if o.runs[*k] != RunKind::Home {
                part(&mut framed, at, size);
            }
        }
    }
    for (class, path) in &paths {
        svg.path(class, path);
    }
    if !framed.is_empty() {
        svg.path("outline", &framed);
    }
}

/// The tail of every frame: it ends with the record, and runs alone.
fn tails(svg: &mut Svg, scale: &Scale, cluster: &SimulatedCluster, o: &Outcome, stages: usize) {
    let mut path = String::new();
    for written_s in o.course.frames.iter().filter_map(|f| f.written_s) {
        let from_s = written_s - cluster.gateway.tail_s;
        let at = [scale.x(from_s), scale.y(0) + 1.0];
        let w = (cluster.gateway.tail_s * scale.per_s).max(0.6);
        part(&mut path, at, [w, 0.68 * scale.row - 0.5]);
    }
    if !path.is_empty() {
        svg.path(&format!("c{stages}"), &path);
    }
}

/// What each node receives, under its tasks: transfers that overlap are one bar.
fn transfers(svg: &mut Svg, scale: &Scale, o: &Outcome) {
    let mut by_node: BTreeMap<usize, Vec<[f64; 2]>> = BTreeMap::new();
    for t in &o.course.transfers {
        by_node.entry(t.to).or_default().push([t.start_s, t.end_s]);
    }
    let mut path = String::new();
    for (node, mut list) in by_node {
        list.sort_by(|a, b| a[0].total_cmp(&b[0]));
        // What is closer than a third of a pixel is one.
        let gap_s = 0.3 / scale.per_s;
        let mut bars: Vec<[f64; 2]> = Vec::new();
        for [from, to] in list {
            match bars.last_mut() {
                Some(last) if from <= last[1] + gap_s => last[1] = last[1].max(to),
                _ => bars.push([from, to]),
            }
        }
        for [from, to] in bars {
            let at = [scale.x(from), scale.y(node) + 0.74 * scale.row];
            let w = ((to - from) * scale.per_s).max(0.3);
            part(&mut path, at, [w, 0.18 * scale.row]);
        }
    }
    if !path.is_empty() {
        svg.path("grey", &path);
    }
}

/// Lines from the owners of stolen tasks to the boards that ran them.
fn arrows(svg: &mut Svg, scale: &Scale, o: &Outcome) {
    for (t, kind) in o.course.tasks.iter().zip(&o.runs) {
        let owner = usize::from(t.frame.source.0);
        if *kind == RunKind::Stolen && owner != t.board + 1 {
            let x = scale.x(t.start_s);
            let y = |row: usize| scale.y(row) + 0.34 * scale.row;
            svg.line("arrow", [x, y(owner)], [x, y(t.board + 1)]);
        }
    }
}
