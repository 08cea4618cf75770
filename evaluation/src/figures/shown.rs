//! The paper's figures that show a value of every system for one to six: traffic, latency, several sources.

use std::fmt::Write as _;

use super::{
    Figure, Page, Section, off,
    winners::{self, Compared},
};
use crate::{
    EvaluationError,
    case::Case,
    cell::{Cell, Results},
    place::{DEVICES_MAX, Place, rows as systems_and_grids},
    plot::{Bars, Series, bars},
    published::{Devices, OfGrids},
    systems::{GRIDS, Published, SYSTEMS},
};

/// What a figure shows.
struct Shown {
    file: &'static str,
    title: &'static str,
    /// What is said before the table.
    before: &'static str,
    /// What is said behind it.
    after: &'static str,
    places: fn() -> Vec<Place>,
    value: fn(&Cell) -> f64,
    published: fn(&Published) -> &'static OfGrids,
    digits: usize,
    /// What one to six counts, on the axis and in a word.
    groups: &'static str,
    counted: &'static str,
    drawn: Drawn,
}

/// What bars show of one to six.
struct Drawn {
    title: &'static str,
    unit: &'static str,
    /// The bar's height, of the count and the value.
    height: fn(usize, f64) -> f64,
}

/// Values of a system for one to six, and the paper's.
struct Row<'a> {
    system: usize,
    grid: Option<[usize; 2]>,
    places: Vec<Place>,
    cells: Vec<&'a Cell>,
    ours: Vec<f64>,
    paper: Option<Devices>,
}

/// Figure 12.
pub const TRAFFIC: Figure = Figure {
    key: "figure12",
    page: Page::Paper,
    cases: || cases(&TRAFFIC_SHOWN),
    show: |_, results, out| show(&TRAFFIC_SHOWN, results, out),
};

/// Figure 13.
pub const LATENCY: Figure = Figure {
    key: "figure13",
    page: Page::Paper,
    cases: || cases(&LATENCY_SHOWN),
    show: |_, results, out| show(&LATENCY_SHOWN, results, out),
};

/// Figure 14.
pub const SOURCES: Figure = Figure {
    key: "figure14",
    page: Page::Paper,
    cases: || cases(&SOURCES_SHOWN),
    show: |_, results, out| show(&SOURCES_SHOWN, results, out),
};

const TRAFFIC_SHOWN: Shown = Shown {
    file: "figure12",
    title: "Traffic of one frame (Figure 12)",
    before: "",
    after: "The paper's WST-S sends all strips to the gateway, also when nobody steals. Here a board fetches those that it needs from the board that has them. \
            [What differs](../systems.md#what-differs-from-the-paper), and why.",
    places: Place::of_one_source,
    value: |c| c.values_mib,
    published: |p| p.mib,
    digits: 2,
    groups: "boards that compute",
    counted: "boards",
    drawn: Drawn {
        title: "Traffic of one frame (Figure 12)",
        unit: "MiB",
        height: |_, v| v,
    },
};

const LATENCY_SHOWN: Shown = Shown {
    file: "figure13",
    title: "Latency of one frame (Figure 13)",
    before: "",
    after: "[What differs](../systems.md#what-differs-from-the-paper), and why.",
    places: Place::of_one_source,
    value: |c| c.latency_s,
    published: |p| p.s,
    digits: 2,
    groups: "boards that compute",
    counted: "boards",
    drawn: Drawn {
        title: "Latency of one frame (Figure 13)",
        unit: "s",
        height: |_, v| v,
    },
};

const SOURCES_SHOWN: Shown = Shown {
    file: "figure14",
    title: "Several sources on six boards (Figure 14)",
    before: "So many of six boards bring a frame each at the same time. Seconds until the gateway has the results of the last one; the frames per second \
             are the sources divided by it.",
    after: "The paper's gateway shares one frame after the other: its seconds of MoDNN and WSH are those of one frame times the sources. Ours works on \
            several frames at a time, so boards that wait for one compute for another.",
    places: Place::of_sources,
    value: |c| c.longest_s,
    published: |p| p.sources_s,
    digits: 1,
    groups: "boards that bring frames",
    counted: "sources",
    drawn: Drawn {
        title: "Frames per second of several sources (Figure 14)",
        unit: "frames/s",
        height: |n, v| n as f64 / v,
    },
};

fn cases(shown: &Shown) -> Result<Vec<Case>, EvaluationError> {
    (shown.places)().iter().map(Place::case).collect()
}

/// All rows, ordered by systems and grids: the only place that finds what the paper says of one.
fn rows<'a>(shown: &Shown, results: &'a Results) -> Result<Vec<Row<'a>>, EvaluationError> {
    let all = (shown.places)();
    let row = |(system, grid): (usize, Option<[usize; 2]>)| {
        let same = all.iter().filter(|p| (p.system, p.grid) == (system, grid));
        let places: Vec<Place> = same.copied().collect();
        let cells = places.iter().map(|p| results.of(&p.name()));
        let cells: Vec<&Cell> = cells.collect::<Result<_, _>>()?;
        let at = grid.and_then(|g| GRIDS.iter().position(|x| *x == g));
        let published = SYSTEMS[system].published.as_ref().map(shown.published);
        Ok(Row {
            system,
            grid,
            ours: cells.iter().map(|c| (shown.value)(c)).collect(),
            places,
            cells,
            paper: published.and_then(|of_grids| of_grids[at.unwrap_or(0)]),
        })
    };
    systems_and_grids().map(row).collect()
}

fn show(shown: &Shown, results: &Results, out: &mut Section) -> Result<(), EvaluationError> {
    let rows = rows(shown, results)?;
    let _ = writeln!(out.text, "\n## {}", shown.title);
    if !shown.before.is_empty() {
        let _ = writeln!(out.text, "\n{}", shown.before);
    }
    let counts: Vec<String> = (1..=DEVICES_MAX).map(|n| n.to_string()).collect();
    let head = ["system"]
        .into_iter()
        .chain(counts.iter().map(String::as_str));
    out.table(&head.collect::<Vec<_>>(), &table(shown, &rows));
    let compared = rows.iter().filter_map(|r| {
        Some(Compared {
            system: r.system,
            grid: r.grid,
            ours: r.ours.clone(),
            paper: r.paper?,
        })
    });
    winners::show(&compared.collect::<Vec<_>>(), shown.counted, out);
    if !shown.after.is_empty() {
        let _ = writeln!(out.text, "\n{}", shown.after);
    }
    out.files.push((format!("{}.csv", shown.file), csv(&rows)));
    for grid in GRIDS {
        let [r, c] = grid;
        let title = format!("{}, {r}x{c} tiles", shown.drawn.title);
        // Where the paper was not read, there is nothing to compare with.
        let panel = panel(shown, &rows, grid, &title);
        if let Some(svg) = panel {
            out.drawing(&title, format!("{}-{r}x{c}.svg", shown.file), svg);
        }
    }
    Ok(())
}

/// A line of the paper's values, where there are any, and one of ours, for every row.
fn table(shown: &Shown, rows: &[Row<'_>]) -> Vec<Vec<String>> {
    let digits = shown.digits;
    let mut lines = Vec::new();
    for row in rows {
        let system = &SYSTEMS[row.system];
        let label = system.label(row.grid);
        if let Some(paper) = row.paper {
            let name = std::iter::once(format!("{label}, the paper"));
            lines.push(
                name.chain(paper.iter().map(|v| format!("{v:.digits$}")))
                    .collect(),
            );
        }
        let each = row.ours.iter().enumerate().map(|(n, v)| match row.paper {
            Some(paper) => format!("{v:.digits$} ({})", off(*v, paper[n])),
            None => format!("{v:.digits$}"),
        });
        let name = std::iter::once(format!("{label}{}", system.of_ours()));
        lines.push(name.chain(each).collect());
    }
    lines
}

fn csv(rows: &[Row<'_>]) -> String {
    let mut csv = String::from(
        "system,grid,devices,sources,value,paper,plan,values_mib,datagrams_mib,stolen\n",
    );
    for row in rows {
        let grid = row
            .grid
            .map_or_else(String::new, |[r, c]| format!("{r}x{c}"));
        for (n, (place, cell)) in row.places.iter().zip(&row.cells).enumerate() {
            let paper = row.paper.map_or_else(String::new, |p| p[n].to_string());
            let _ = writeln!(
                csv,
                "{},{grid},{},{},{:.4},{paper},{},{:.4},{:.4},{}",
                place.entry().key,
                place.devices,
                place.sources,
                row.ours[n],
                cell.plan,
                cell.values_mib,
                cell.datagrams_mib,
                cell.stolen,
            );
        }
    }
    csv
}

/// The bars of a grid: of every system the paper's and ours, and those of searched plans. `None` where the paper's were not read.
fn panel(shown: &Shown, rows: &[Row<'_>], grid: [usize; 2], title: &str) -> Option<String> {
    let of: Vec<&Row<'_>> = rows
        .iter()
        .filter(|r| r.grid.is_none_or(|g| g == grid))
        .collect();
    of.iter().find(|r| r.grid.is_some() && r.paper.is_some())?;
    let mut series = Vec::new();
    let mut add = |name: String, values: &[f64], pale: bool| {
        let heights = values.iter().zip(1..);
        let values = heights
            .map(|(v, n)| Some((shown.drawn.height)(n, *v)))
            .collect();
        series.push(Series { name, values, pale });
    };
    for row in of {
        let system = &SYSTEMS[row.system];
        if let Some(paper) = row.paper {
            add(format!("{}, the paper", system.name), &paper, true);
        }
        let name = format!("{}{}", system.name, system.of_ours());
        add(name, &row.ours, false);
    }
    Some(bars(&Bars {
        title,
        values: shown.drawn.unit,
        groups: shown.groups,
        names: (1..=DEVICES_MAX).map(|n| n.to_string()).collect(),
        series,
    }))
}
