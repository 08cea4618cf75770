//! A camera on every board: frames per second, and what bounds them.

use std::fmt::Write as _;

use tessera_planner::{
    boards::Board,
    options::{Goal, PlanOptions},
};

use super::{
    Figure, Page, Section,
    beyond::{NETWORKS, edge, percent, short},
};
use crate::{
    EvaluationError,
    case::{Case, Load},
    cell::{Cell, Results},
    plot::{Axis, Line, Lines, lines},
    systems::{Times, searched, stealing},
};

/// The figure.
pub const FIGURE: Figure = Figure {
    key: "cameras",
    page: Page::Beyond,
    cases,
    show: |_, results, out| show(results, out),
};

const BOARDS: [usize; 6] = [2, 4, 6, 8, 12, 16];
/// Frames of each camera: enough for a steady part between the first and the last ones.
const FRAMES: u32 = 9;

/// What is compared: key, name, and the most boards. Plans for latency spread every layer, and with more sources than that the channel
/// is full: hours of virtual time, and nothing new.
const KINDS: [(&str, &str, usize); 3] = [
    ("steal", "16 layers, 3x3 tiles, stolen", 16),
    ("latency", "ours, for latency", 8),
    ("throughput", "ours, for throughput", 16),
];

/// Numbers of boards up to the most.
fn boards_up_to(most: usize) -> impl Iterator<Item = usize> {
    BOARDS.into_iter().filter(move |n| *n <= most)
}

fn name(kind: &str, boards: usize) -> String {
    format!("cameras-{kind}-{boards}")
}

fn cases() -> Result<Vec<Case>, EvaluationError> {
    let board = edge(&NETWORKS[0], 1.0)?;
    let gateway = Board {
        team: tessera_planner::boards::TEAM,
        ..board.gateway()
    };
    let mut list = Vec::new();
    for (kind, _, most) in KINDS {
        for boards in boards_up_to(most) {
            let free = PlanOptions {
                offload: None,
                cameras: boards,
                ..searched(None, boards, &board)
            };
            let options = match kind {
                "steal" => stealing(Some([3, 3]), boards, &board),
                "latency" => free,
                _ => PlanOptions {
                    goal: Goal::Throughput,
                    ..free
                },
            };
            list.push(Case {
                name: name(kind, boards),
                options: PlanOptions {
                    gateway: gateway.clone(),
                    ..options
                },
                boards: None,
                times: Times::Planner,
                load: Load::stream(boards, FRAMES),
            });
        }
    }
    Ok(list)
}

fn show(results: &Results, out: &mut Section) -> Result<(), EvaluationError> {
    let row = |(key, _, most): &(&str, &str, usize)| -> Result<Vec<&Cell>, EvaluationError> {
        boards_up_to(*most)
            .map(|n| results.of(&name(key, n)))
            .collect()
    };
    let rows: Vec<Vec<&Cell>> = KINDS.iter().map(row).collect::<Result<_, _>>()?;
    let last = BOARDS.len() - 1;
    let full = |c: &&Cell| c.tail_busy > 0.95;
    let from = rows[0].iter().position(full).map(|k| BOARDS[k]);
    let _ = writeln!(
        out.text,
        "\n## A camera on every board\n\n\
         Every board brings frames as fast as they are taken, and the gateway computes what the plan leaves to it with four cores. \
         With the paper's 16 layers on the boards the gateway {}: {:.2} frames a second from 16 boards. Planned for throughput, a board computes frames alone, up to the layer that leaves the gateway as much as it can do beside the others: the more boards, \
         the fewer layers, and frames per second go on to grow, to {:.2}.",
        from.map_or_else(
            || "is not the bound".to_owned(),
            |n| format!("is busy all the time from {n} boards on")
        ),
        rows[0][last].frames_per_second,
        rows[2][last].frames_per_second,
    );
    let head = [
        "boards with cameras",
        "plan",
        "frames/s",
        "gateway busy",
        "channel busy",
        "boards busy",
        "s from frame to detections",
    ];
    let mut table = Vec::new();
    let mut csv = String::from(
        "division,boards,frames_per_second,gateway_busy,channel_busy,boards_busy,detected_s,plan\n",
    );
    for ((key, label, _), cells) in KINDS.iter().zip(&rows) {
        for (c, n) in cells.iter().zip(BOARDS) {
            table.push(vec![
                n.to_string(),
                format!("{label}: `{}`", short(&c.plan)),
                format!("{:.3}", c.frames_per_second),
                percent(c.tail_busy),
                percent(c.channel_busy),
                percent(c.boards_busy),
                format!("{:.1}", c.detected_s),
            ]);
            let _ = writeln!(
                csv,
                "{key},{n},{:.4},{:.3},{:.3},{:.3},{:.3},{}",
                c.frames_per_second,
                c.tail_busy,
                c.channel_busy,
                c.boards_busy,
                c.detected_s,
                c.plan
            );
        }
    }
    out.table(&head, &table);
    out.files.push(("cameras.csv".to_owned(), csv));
    let at = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let line = |((_, label, _), cells): (&(&str, &str, usize), &Vec<&Cell>)| Line {
        name: (*label).to_owned(),
        points: (BOARDS.iter().zip(cells))
            .map(|(n, c)| (at(*n), Some(c.frames_per_second)))
            .collect(),
    };
    let title = "Frames per second with a camera on every board";
    let svg = lines(&Lines {
        title,
        values: "frames/s",
        across: "boards with cameras",
        axes: [Axis::Linear; 2],
        ticks: BOARDS.map(at).to_vec(),
        marks: Vec::new(),
        lines: KINDS.iter().zip(&rows).map(line).collect(),
    });
    out.drawing(title, "cameras.svg".to_owned(), svg);
    Ok(())
}
