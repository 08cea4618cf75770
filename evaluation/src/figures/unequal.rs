//! Six boards of different speeds.

use std::fmt::Write as _;

use tessera_plan::plan::{Placement, Split};
use tessera_planner::{boards::Board, options::PlanOptions};

use super::{
    Figure, Page, Section,
    beyond::{NETWORKS, edge},
};
use crate::{
    EvaluationError,
    case::{Case, Load},
    cell::{Cell, Results},
    pi3::OFFLOAD,
    plot::{Bars, Series, bars},
    systems::{Times, searched},
};

/// The figure.
pub const FIGURE: Figure = Figure {
    key: "unequal",
    page: Page::Beyond,
    cases,
    show: |_, results, out| show(results, out),
};

/// Speeds of six boards; all together they are as fast as six equal ones.
struct Mix {
    key: &'static str,
    name: &'static str,
    speeds: [f64; 6],
}

const MIXES: [Mix; 4] = [
    Mix {
        key: "equal",
        name: "equal",
        speeds: [1.0; 6],
    },
    Mix {
        key: "two-kinds",
        name: "3 of 1.5, 3 of 0.5",
        speeds: [1.5, 0.5, 1.5, 0.5, 1.5, 0.5],
    },
    Mix {
        key: "one-fast",
        name: "1 of 3.5, 5 of 0.5",
        speeds: [0.5, 3.5, 0.5, 0.5, 0.5, 0.5],
    },
    Mix {
        key: "one-slow",
        name: "1 of 0.1, 5 of 1.18",
        speeds: [1.18, 1.18, 0.1, 1.18, 1.18, 1.18],
    },
];

/// How the boards' work is divided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A plan for these boards.
    Planned,
    /// A plan for six equal boards, on these.
    Blind,
    /// Equal tiles of one stage, stolen.
    Stolen([usize; 2]),
}

const WAYS: [(&str, &str, Way); 4] = [
    (
        "stolen-3x3",
        "equal tiles, stolen, 3x3",
        Way::Stolen([3, 3]),
    ),
    (
        "stolen-5x5",
        "equal tiles, stolen, 5x5",
        Way::Stolen([5, 5]),
    ),
    ("blind", "planned for equal boards", Way::Blind),
    ("planned", "planned for these boards", Way::Planned),
];

fn name(mix: &Mix, way: &str) -> String {
    format!("unequal-{}-{way}", mix.key)
}

fn cases() -> Result<Vec<Case>, EvaluationError> {
    let wifi = &NETWORKS[0];
    let equal = edge(wifi, 1.0)?;
    let mut list = Vec::new();
    for mix in &MIXES {
        let boards = mix.speeds.iter().zip(1..).map(|(speed, n)| {
            Ok(Board {
                name: format!("edge {n}"),
                ..edge(wifi, *speed)?
            })
        });
        let boards: Vec<Board> = boards.collect::<Result<_, EvaluationError>>()?;
        for (key, _, way) in WAYS {
            let known = PlanOptions {
                boards: boards.clone(),
                ..searched(None, boards.len(), &equal)
            };
            let options = match way {
                Way::Planned => known,
                Way::Blind => searched(None, boards.len(), &equal),
                Way::Stolen(grid) => PlanOptions {
                    grids: vec![grid],
                    offload: Some(OFFLOAD),
                    split: Split::Equal,
                    placement: Placement::Steal,
                    ..known
                },
            };
            list.push(Case {
                name: name(mix, key),
                options,
                boards: Some(boards.clone()),
                times: Times::Planner,
                load: Load::one_frame(1),
            });
        }
    }
    Ok(list)
}

fn show(results: &Results, out: &mut Section) -> Result<(), EvaluationError> {
    let row = |(key, _, _): &(&str, &str, Way)| -> Result<Vec<&Cell>, EvaluationError> {
        MIXES.iter().map(|m| results.of(&name(m, key))).collect()
    };
    let rows: Vec<Vec<&Cell>> = WAYS.iter().map(row).collect::<Result<_, _>>()?;
    let s = |way: usize, mix: usize| rows[way][mix].latency_s;
    let slower = |way: usize| {
        (1..MIXES.len())
            .map(|m| s(way, m) / s(3, m))
            .fold(0.0_f64, f64::max)
    };
    let _ = writeln!(
        out.text,
        "\n## Boards of different speeds\n\n\
         Six boards that together are as fast as six equal ones: a plan that knows their speeds takes {:.1} to {:.1} s, and one that was made for equal boards up to {:.1} times as long. \
         Equal tiles that boards steal take up to {:.1} times as long (3x3) and {:.1} times (5x5): the last tile of a slow board keeps everyone waiting. \
         All four compute with the same kernels and send half precision, so only the division of the work differs.",
        (0..MIXES.len())
            .map(|m| s(3, m))
            .fold(f64::INFINITY, f64::min),
        (0..MIXES.len()).map(|m| s(3, m)).fold(0.0_f64, f64::max),
        slower(2),
        slower(0),
        slower(1),
    );
    let head: Vec<&str> = std::iter::once("seconds of a frame; speeds of the boards")
        .chain(MIXES.iter().map(|m| m.name))
        .collect();
    let table = WAYS.iter().zip(&rows).map(|((_, name, _), cells)| {
        let seconds = cells.iter().map(|c| format!("{:.2}", c.latency_s));
        std::iter::once((*name).to_owned()).chain(seconds).collect()
    });
    out.table(&head, &table.collect::<Vec<_>>());
    let mut csv = String::from("division,boards,latency_s,values_mib,stolen,copies,plan\n");
    for ((key, _, _), cells) in WAYS.iter().zip(&rows) {
        for (c, mix) in cells.iter().zip(&MIXES) {
            let _ = writeln!(
                csv,
                "{key},{},{:.4},{:.4},{},{},{}",
                mix.key, c.latency_s, c.values_mib, c.stolen, c.copies, c.plan
            );
        }
    }
    out.files.push(("unequal.csv".to_owned(), csv));
    let title = "One frame on six boards of different speeds";
    let series = WAYS.iter().zip(&rows).map(|((_, name, _), cells)| Series {
        name: (*name).to_owned(),
        values: cells.iter().map(|c| Some(c.latency_s)).collect(),
        pale: false,
    });
    let svg = bars(&Bars {
        title,
        values: "s",
        groups: "speeds of the boards, relative to one core of a Pi 3",
        names: MIXES.iter().map(|m| m.name.to_owned()).collect(),
        series: series.collect(),
    });
    out.drawing(title, "unequal.svg".to_owned(), svg);
    Ok(())
}
