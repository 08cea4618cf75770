//! Wired against wireless.

use std::fmt::Write as _;

use super::{
    Figure, Page, Section,
    beyond::{NETWORKS, Network, edge, percent, short},
};
use crate::{
    EvaluationError,
    case::{Case, Load},
    cell::{Cell, Results},
    plot::{Bars, Series, bars},
    systems::{Times, searched, stealing},
};

/// The figure.
pub const FIGURE: Figure = Figure {
    key: "media",
    page: Page::Beyond,
    cases,
    show: |_, results, out| show(results, out),
};

/// What is compared: key, name, boards, grid of WST.
const KINDS: [(&str, &str, usize, Option<[usize; 2]>); 4] = [
    ("wst-6", "WST 5x5, 6 boards", 6, Some([5, 5])),
    ("ours-6", "ours, 6 boards", 6, None),
    ("wst-16", "WST 5x5, 16 boards", 16, Some([5, 5])),
    ("ours-16", "ours, 16 boards", 16, None),
];

fn name(network: &Network, kind: &str) -> String {
    format!("media-{}-{kind}", network.key)
}

fn cases() -> Result<Vec<Case>, EvaluationError> {
    let mut list = Vec::new();
    for network in &NETWORKS {
        let board = edge(network, 1.0)?;
        for (key, _, boards, grid) in KINDS {
            let (options, times) = match grid {
                Some(_) => (stealing(grid, boards, &board), Times::Paper),
                None => (searched(None, boards, &board), Times::Planner),
            };
            list.push(Case {
                name: name(network, key),
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
    let row = |key: &str| -> Result<Vec<&Cell>, EvaluationError> {
        NETWORKS.iter().map(|n| results.of(&name(n, key))).collect()
    };
    let rows: Vec<Vec<&Cell>> = KINDS.iter().map(|k| row(k.0)).collect::<Result<_, _>>()?;
    let gain = |k: usize| rows[k][0].latency_s / rows[k][NETWORKS.len() - 1].latency_s;
    let _ = writeln!(
        out.text,
        "\n## Wired and wireless\n\n\
         A switch of 1 Gbit/s instead of the paper's Wi-Fi makes our frame {:.1} times as fast on 6 boards and {:.1} times on 16: the plans for Wi-Fi already send \
         little. Work stealing sends 13 MiB on any of them, and gains {:.1} and {:.1} times; its 25 tiles leave boards without work at the end.",
        gain(1),
        gain(3),
        gain(0),
        gain(2),
    );
    let head: Vec<&str> = std::iter::once("seconds of a frame")
        .chain(NETWORKS.iter().map(|n| n.name))
        .collect();
    let mut table = Vec::new();
    for ((_, name, _, grid), cells) in KINDS.iter().zip(&rows) {
        let seconds = cells.iter().map(|c| match grid {
            Some(_) => format!("{:.2}, {:.1} MiB", c.latency_s, c.values_mib),
            None => format!(
                "{:.2}, {:.1} MiB, `{}`",
                c.latency_s,
                c.values_mib,
                short(&c.plan)
            ),
        });
        table.push(std::iter::once((*name).to_owned()).chain(seconds).collect());
    }
    out.table(&head, &table);
    let mut csv = String::from("system,network,latency_s,values_mib,boards_busy,plan\n");
    for ((key, ..), cells) in KINDS.iter().zip(&rows) {
        for (c, network) in cells.iter().zip(&NETWORKS) {
            let _ = writeln!(
                csv,
                "{key},{},{:.4},{:.4},{},{}",
                network.key,
                c.latency_s,
                c.values_mib,
                percent(c.boards_busy),
                c.plan
            );
        }
    }
    out.files.push(("media.csv".to_owned(), csv));
    let title = "One frame on wired and wireless networks";
    let series = KINDS
        .iter()
        .zip(&rows)
        .map(|((_, name, ..), cells)| Series {
            name: (*name).to_owned(),
            values: cells.iter().map(|c| Some(c.latency_s)).collect(),
            pale: false,
        });
    let svg = bars(&Bars {
        title,
        values: "s",
        groups: "network",
        names: NETWORKS.iter().map(|n| n.name.to_owned()).collect(),
        series: series.collect(),
    });
    out.drawing(title, "media.svg".to_owned(), svg);
    Ok(())
}
