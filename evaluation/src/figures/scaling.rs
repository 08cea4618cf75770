//! One frame on 1 to 64 boards.

use std::fmt::Write as _;

use super::{
    Figure, Page, Section,
    beyond::{NETWORKS, Network, edge, short},
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
    key: "scaling",
    page: Page::Beyond,
    cases,
    show: |_, results, out| show(results, out),
};

const BOARDS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// A line of the drawing.
struct Kind {
    key: &'static str,
    name: &'static str,
    network: &'static Network,
    grid: Option<[usize; 2]>,
}

const KINDS: [Kind; 4] = [
    Kind {
        key: "wst-5x5-wifi",
        name: "WST 5x5, Wi-Fi",
        network: &NETWORKS[0],
        grid: Some([5, 5]),
    },
    Kind {
        key: "wst-8x8-wifi",
        name: "WST 8x8, Wi-Fi",
        network: &NETWORKS[0],
        grid: Some([8, 8]),
    },
    Kind {
        key: "ours-wifi",
        name: "ours, Wi-Fi",
        network: &NETWORKS[0],
        grid: None,
    },
    Kind {
        key: "ours-wire",
        name: "ours, 1 Gbit/s switch",
        network: &NETWORKS[3],
        grid: None,
    },
];

fn name(kind: &Kind, boards: usize) -> String {
    format!("scaling-{}-{boards}", kind.key)
}

fn cases() -> Result<Vec<Case>, EvaluationError> {
    let mut list = Vec::new();
    for kind in &KINDS {
        let board = edge(kind.network, 1.0)?;
        for boards in BOARDS {
            let (options, times) = match kind.grid {
                Some(_) => (stealing(kind.grid, boards, &board), Times::Paper),
                None => (searched(None, boards, &board), Times::Planner),
            };
            list.push(Case {
                name: name(kind, boards),
                options,
                boards: None,
                times,
                load: Load::one_frame(1),
            });
        }
    }
    Ok(list)
}

fn show(results: &Results, out: &mut Section) -> Result<(), EvaluationError> {
    let row = |kind| -> Result<Vec<&Cell>, EvaluationError> {
        BOARDS.iter().map(|n| results.of(&name(kind, *n))).collect()
    };
    let rows: Vec<Vec<&Cell>> = KINDS.iter().map(row).collect::<Result<_, _>>()?;
    let of = |k: usize, n: usize| rows[k][n].latency_s;
    let last = BOARDS.len() - 1;
    // 16 boards.
    let middle = 4;
    let _ = writeln!(
        out.text,
        "\n## One frame on 1 to 64 boards\n\n\
         On Wi-Fi, {} boards make our frame {:.1} times as fast as one, and {} boards {:.1} times: one channel carries all of their values. \
         On a switch of 1 Gbit/s these are {:.1} and {:.1} times: with many boards, bursts from all of them overflow the queue before one board's wire, and lost values are \
         sent again. Work stealing on Wi-Fi never takes less than {:.1} s, when ours takes {:.1} s.",
        BOARDS[middle],
        of(2, 0) / of(2, middle),
        BOARDS[last],
        of(2, 0) / of(2, last),
        of(3, 0) / of(3, middle),
        of(3, 0) / of(3, last),
        (0..=last)
            .flat_map(|n| [of(0, n), of(1, n)])
            .fold(f64::INFINITY, f64::min),
        (0..=last).map(|n| of(2, n)).fold(f64::INFINITY, f64::min),
    );
    let counts: Vec<String> = BOARDS.iter().map(usize::to_string).collect();
    let head: Vec<&str> = std::iter::once("seconds on so many boards")
        .chain(counts.iter().map(String::as_str))
        .collect();
    let table = KINDS.iter().zip(&rows).map(|(kind, cells)| {
        let seconds = cells.iter().map(|c| format!("{:.2}", c.latency_s));
        std::iter::once(kind.name.to_owned())
            .chain(seconds)
            .collect()
    });
    out.table(&head, &table.collect::<Vec<_>>());
    let plans = [2, 3].map(|k| {
        let plans = rows[k]
            .iter()
            .zip(BOARDS)
            .map(|(c, n)| format!("{n}: `{}`", short(&c.plan)));
        let plans: Vec<String> = plans.collect();
        format!("{}: {}", KINDS[k].name, plans.join(", "))
    });
    let _ = writeln!(out.text, "\nThe plans: {}.", plans.join("; "));
    let mut csv = String::from("system,boards,latency_s,values_mib,boards_busy,plan\n");
    for (kind, cells) in KINDS.iter().zip(&rows) {
        for (c, n) in cells.iter().zip(BOARDS) {
            let _ = writeln!(
                csv,
                "{},{n},{:.4},{:.4},{:.3},{}",
                kind.key, c.latency_s, c.values_mib, c.boards_busy, c.plan
            );
        }
    }
    out.files.push(("scaling.csv".to_owned(), csv));
    let line = |(kind, cells): (&Kind, &Vec<&Cell>)| Line {
        name: kind.name.to_owned(),
        points: (BOARDS.iter().zip(cells))
            .map(|(n, c)| (number(*n), Some(c.latency_s)))
            .collect(),
    };
    let mut drawn: Vec<Line> = KINDS.iter().zip(&rows).map(line).collect();
    drawn.push(Line {
        name: "one board's time, divided".to_owned(),
        points: (BOARDS
            .iter()
            .map(|n| (number(*n), Some(of(2, 0) / number(*n)))))
        .collect(),
    });
    let title = "One frame on 1 to 64 boards";
    let svg = lines(&Lines {
        title,
        values: "s",
        across: "boards that compute",
        axes: [Axis::Doubling; 2],
        ticks: BOARDS.map(number).to_vec(),
        marks: Vec::new(),
        lines: drawn,
    });
    out.drawing(title, "scaling.svg".to_owned(), svg);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "few boards")]
const fn number(n: usize) -> f64 {
    n as f64
}
