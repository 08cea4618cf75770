//! The figures as files: Markdown, CSV, drawings.

use std::fmt::Write as _;

use crate::{
    cell::{Cell, DEVICES_MAX, Place},
    memory::Memory,
    plot::{Bars, Series, bars},
    published::{Devices, FIGURE_11, FIGURE_11_TOTAL, LAYERS},
    systems::{GRIDS, SYSTEMS, System},
};

/// A file of the evaluation: its name and its text.
pub type File = (String, String);

/// What a figure of cells shows.
struct Shown {
    file: &'static str,
    title: &'static str,
    unit: &'static str,
    value: fn(&Cell) -> f64,
    published: fn(&System) -> Option<&'static [Devices; 3]>,
}

const TRAFFIC: Shown = Shown {
    file: "figure12",
    title: "Traffic of one frame (Figure 12)",
    unit: "MiB",
    value: |c| c.values_mib,
    published: |s| s.published_mib,
};

const LATENCY: Shown = Shown {
    file: "figure13",
    title: "Latency of one frame (Figure 13)",
    unit: "s",
    value: |c| c.latency_s,
    published: |s| s.published_s,
};

/// All files; `cells` are those of [`Place::all`], in its order.
pub fn files(memory: &Memory, cells: &[Cell]) -> Vec<File> {
    let mut page = String::from(
        "# The paper's evaluation, again\n\n\
         DeepThings (TCAD 2018) on YOLOv2-608, its first 16 layers: the paper's values, ours by its method, and ours at our best. \
         Everything here is made by\n\n```console\ncargo xtask paper\n```\n\n\
         which simulates Raspberry Pi 3 class boards in virtual time ([how](../simulate.md)): one core an edge, one channel of 38.4 Mbit/s for all. The \
         results are the same on every machine. Sizes are MiB, times seconds; latency ends when the gateway has all results, as the paper counts it.\n\n\
         The paper does not state its rate; 38.4 Mbit/s is derived from its Figure 1. A tile takes the paper's seconds per layer by the pixels of its input tile, and \
         0.19 s more (cropping, copies, queues), which its three latencies of one device have in common; a strip of one layer takes 0.08 s more, by the one of MoDNN.\n\n",
    );
    page += "| system | what it does |\n|---|---|\n";
    for s in SYSTEMS {
        let _ = writeln!(page, "| {} | {} |", s.name, s.what);
    }
    let mut files = Vec::new();
    figure_11(memory, &mut page, &mut files);
    for shown in [TRAFFIC, LATENCY] {
        figure(&shown, cells, &mut page, &mut files);
    }
    sources(cells, &mut page, &mut files);
    files.push(("README.md".to_owned(), page));
    files
}

fn off(ours: f64, published: f64) -> String {
    format!("{:+.0} %", 100.0 * (ours / published - 1.0))
}

fn figure_11(m: &Memory, page: &mut String, files: &mut Vec<File>) {
    *page += "\n## Memory of each layer (Figure 11)\n\n![Memory of each layer](figure11.svg)\n\n\
        Input and output of a layer in float32, of the largest tile, as the paper counts them: a convolution's output is as large as its input tile. \
        The paper's values, read from its drawing, and these are at most 0.013 MiB apart. Rolling rows: the ring buffers that a layer reads and writes, with its working memory; a pool is part of the \
        convolution before it. The last row has the largest layer (with rolling rows the whole arena) and the 13.08 MiB of weights; the paper's are in brackets.\n\n\
        | layer | unpartitioned | BODP-4 | FTP 3x3 | FTP 5x5 | rolling, unpartitioned | rolling, 3x3 | rolling, 5x5 |\n|---|---|---|---|---|---|---|---|\n";
    let mut csv = String::from(
        "layer,unpartitioned,bodp4,ftp3x3,ftp5x5,paper_unpartitioned,paper_bodp4,paper_ftp3x3,paper_ftp5x5,rolling_unpartitioned,rolling_3x3,rolling_5x5\n",
    );
    let number = |v: &Option<f64>| v.map_or_else(String::new, |v| format!("{v:.2}"));
    for (((name, row), paper), rolling) in
        LAYERS.iter().zip(&m.layers).zip(&FIGURE_11).zip(&m.rolling)
    {
        let cells = row.iter().map(|v| format!("{v:.2}"));
        let rolling = rolling.iter().map(number);
        let shown: Vec<String> = cells.clone().chain(rolling.clone()).collect();
        let _ = writeln!(page, "| {name} | {} |", shown.join(" | "));
        let paper = paper.iter().map(|v| format!("{v:.2}"));
        let all: Vec<String> = cells.chain(paper).chain(rolling).collect();
        let _ = writeln!(csv, "{name},{}", all.join(","));
    }
    let totals = m.totals.iter().zip(&FIGURE_11_TOTAL);
    let totals = totals.map(|(v, paper)| format!("**{v:.2}** ({paper:.1})"));
    let rolling = m.rolling_totals.iter().map(|v| format!("**{v:.2}**"));
    let all: Vec<String> = totals.chain(rolling).collect();
    let _ = writeln!(page, "| largest + weights | {} |", all.join(" | "));
    let column = |k: usize| m.layers.iter().map(|row| Some(row[k])).collect();
    let rolled = |k: usize| m.rolling.iter().map(|row| row[k]).collect();
    let series = |name: &str, values| Series {
        name: name.to_owned(),
        values,
    };
    files.push(("figure11.csv".to_owned(), csv));
    let drawn = bars(&Bars {
        title: "Memory of each layer (Figure 11)",
        values: "MiB",
        groups: "layer",
        names: LAYERS.iter().map(|s| (*s).to_owned()).collect(),
        series: vec![
            series("unpartitioned", column(0)),
            series("BODP-4", column(1)),
            series("FTP 3x3", column(2)),
            series("FTP 5x5", column(3)),
            series("rolling rows, 3x3", rolled(1)),
        ],
    });
    files.push(("figure11.svg".to_owned(), drawn));
}

/// Values of a system on one to six devices.
fn row(
    cells: &[Cell],
    system: usize,
    grid: Option<[usize; 2]>,
    value: fn(&Cell) -> f64,
) -> Vec<f64> {
    let places = Place::all();
    let with = places.iter().zip(cells);
    with.filter(|(p, _)| p.system == system && p.grid == grid && p.sources == 1)
        .map(|(_, c)| value(c))
        .collect()
}

fn figure(shown: &Shown, cells: &[Cell], page: &mut String, files: &mut Vec<File>) {
    let _ = write!(page, "\n## {}\n\n| system | ", shown.title);
    for n in 1..=DEVICES_MAX {
        let _ = write!(page, "{n} | ");
    }
    *page += "\n|---|---|---|---|---|---|---|\n";
    let mut csv =
        String::from("system,grid,devices,value,paper,plan,values_mib,datagrams_mib,stolen\n");
    for (k, system) in SYSTEMS.iter().enumerate() {
        for grid in system.grids() {
            let ours = row(cells, k, grid, shown.value);
            let at = grid.and_then(|g| GRIDS.iter().position(|x| *x == g));
            let paper = (shown.published)(system).map(|of_grids| of_grids[at.unwrap_or(0)]);
            let label = grid.map_or_else(
                || system.name.to_owned(),
                |[r, c]| format!("{} {r}x{c}", system.name),
            );
            if let Some(paper) = paper {
                let cells: Vec<String> = paper.iter().map(|v| format!("{v:.2}")).collect();
                let _ = writeln!(page, "| {label}, the paper | {} |", cells.join(" | "));
            }
            let each = ours.iter().enumerate().map(|(n, v)| match paper {
                Some(paper) => format!("{v:.2} ({})", off(*v, paper[n])),
                None => format!("{v:.2}"),
            });
            let each: Vec<String> = each.collect();
            let of = of_ours(system);
            let _ = writeln!(page, "| {label}{of} | {} |", each.join(" | "));
        }
    }
    let (agree, pairs) = winners(shown, cells);
    let _ = writeln!(
        page,
        "\nOf two systems of the paper on one grid and as many boards, the one with less is the same as in the paper in {agree} of {pairs} cases."
    );
    let of_one = Place::all().into_iter().zip(cells);
    for (place, cell) in of_one.filter(|(place, _)| place.sources == 1) {
        let grid = place
            .grid
            .map_or_else(String::new, |[r, c]| format!("{r}x{c}"));
        let at = place.grid.and_then(|g| GRIDS.iter().position(|x| *x == g));
        let paper = (shown.published)(place.entry());
        let paper = paper.map(|of_grids| of_grids[at.unwrap_or(0)][place.devices - 1]);
        let paper = paper.map_or_else(String::new, |v| v.to_string());
        let _ = writeln!(
            csv,
            "{},{grid},{},{:.4},{paper},{},{:.4},{:.4},{}",
            place.entry().key,
            place.devices,
            (shown.value)(cell),
            cell.plan,
            cell.values_mib,
            cell.datagrams_mib,
            cell.stolen,
        );
    }
    files.push((format!("{}.csv", shown.file), csv));
    for (at, grid) in GRIDS.iter().enumerate() {
        let name = format!("{}-{}x{}.svg", shown.file, grid[0], grid[1]);
        let title = format!("{}, {}x{} tiles", shown.title, grid[0], grid[1]);
        let _ = writeln!(page, "\n![{title}]({name})");
        files.push((name, panel(shown, cells, at, &title)));
    }
}

/// What our values of a system are called beside the paper's.
fn of_ours(system: &System) -> &'static str {
    if system.published_s.is_some() {
        ", ours"
    } else {
        ""
    }
}

/// The longest latency when some of six boards bring a frame each.
fn sources(cells: &[Cell], page: &mut String, files: &mut Vec<File>) {
    *page += "\n## Several sources on six boards (Figure 14)\n\nSo many of six boards bring a frame each at the same time. Seconds until the gateway has the results of the \
        last one; the frames per second are the sources divided by it.\n\n| system | 1 | 2 | 3 | 4 | 5 | 6 |\n|---|---|---|---|---|---|---|\n";
    let mut csv = String::from("system,grid,sources,longest_s,frames_per_second,paper_s\n");
    let places = Place::all();
    let longest = |system: usize, grid: Option<[usize; 2]>| -> Vec<f64> {
        let all = places.iter().zip(cells);
        let same =
            all.filter(|(p, _)| (p.system, p.grid, p.devices) == (system, grid, DEVICES_MAX));
        same.map(|(_, c)| c.longest_s).collect()
    };
    let published = |system: &System, at: usize| (*system.published_sources_s?)[at];
    for (k, system) in SYSTEMS.iter().enumerate() {
        for grid in system.grids() {
            let ours = longest(k, grid);
            let at = grid.and_then(|g| GRIDS.iter().position(|x| *x == g));
            let paper = published(system, at.unwrap_or(0));
            let label = grid.map_or_else(
                || system.name.to_owned(),
                |[r, c]| format!("{} {r}x{c}", system.name),
            );
            if let Some(paper) = paper {
                let cells: Vec<String> = paper.iter().map(|v| format!("{v:.1}")).collect();
                let _ = writeln!(page, "| {label}, the paper | {} |", cells.join(" | "));
            }
            let each = ours.iter().enumerate().map(|(n, v)| match paper {
                Some(paper) => format!("{v:.1} ({})", off(*v, paper[n])),
                None => format!("{v:.1}"),
            });
            let each: Vec<String> = each.collect();
            let of = of_ours(system);
            let _ = writeln!(page, "| {label}{of} | {} |", each.join(" | "));
            for (n, v) in ours.iter().enumerate() {
                let paper = paper.map_or_else(String::new, |p| p[n].to_string());
                let grid = grid.map_or_else(String::new, |[r, c]| format!("{r}x{c}"));
                let fps = (n + 1) as f64 / v;
                let _ = writeln!(
                    csv,
                    "{},{grid},{},{v:.4},{fps:.4},{paper}",
                    system.key,
                    n + 1
                );
            }
        }
    }
    *page += "\nThe paper's gateway shares one frame after the other: its seconds of MoDNN and WSH are those of one frame times the sources. \
        Ours works on several frames at a time, so boards that wait for one compute for another.\n";
    files.push(("figure14.csv".to_owned(), csv));
    for at in [0, 2] {
        let [r, c] = GRIDS[at];
        let mut series = Vec::new();
        for (k, system) in SYSTEMS.iter().enumerate() {
            let grid = system.gridded.then_some(GRIDS[at]);
            let mut add = |name: String, values: &[f64]| {
                let fps = values.iter().zip(1..).map(|(v, n)| Some(f64::from(n) / v));
                let values = fps.collect();
                series.push(Series { name, values });
            };
            if let Some(paper) = published(system, at) {
                add(format!("{}, the paper", system.name), &paper);
            }
            add(
                format!("{}{}", system.name, of_ours(system)),
                &longest(k, grid),
            );
        }
        let title = format!("Frames per second of several sources (Figure 14), {r}x{c} tiles");
        let name = format!("figure14-{r}x{c}.svg");
        let _ = writeln!(page, "\n![{title}]({name})");
        let drawn = bars(&Bars {
            title: &title,
            values: "frames/s",
            groups: "boards that bring frames",
            names: (1..=DEVICES_MAX).map(|n| n.to_string()).collect(),
            series,
        });
        files.push((name, drawn));
    }
}

/// Of pairs of systems on one grid and as many boards: how many have the same order as in the paper, and how many there are.
fn winners(shown: &Shown, cells: &[Cell]) -> (usize, usize) {
    let (mut agree, mut pairs) = (0, 0);
    for (at, grid) in GRIDS.iter().enumerate() {
        let of_system = |(k, system): (usize, &System)| {
            let paper = (shown.published)(system)?[at];
            let grid = system.gridded.then_some(*grid);
            Some((paper, row(cells, k, grid, shown.value)))
        };
        let rows: Vec<_> = SYSTEMS.iter().enumerate().filter_map(of_system).collect();
        for (k, (paper, ours)) in rows.iter().enumerate() {
            for (other_paper, other) in &rows[k + 1..] {
                let all = paper.iter().zip(other_paper).zip(ours.iter().zip(other));
                for ((p, q), (a, b)) in all {
                    pairs += 1;
                    agree += usize::from((p < q) == (a < b));
                }
            }
        }
    }
    (agree, pairs)
}

/// The bars of a grid: of every system the paper's and ours, and those of searched plans.
fn panel(shown: &Shown, cells: &[Cell], at: usize, title: &str) -> String {
    let mut series = Vec::new();
    let mut add = |name: String, values: &[f64]| {
        let values = values.iter().copied().map(Some).collect();
        series.push(Series { name, values });
    };
    for (k, system) in SYSTEMS.iter().enumerate() {
        if let Some(paper) = (shown.published)(system) {
            add(format!("{}, the paper", system.name), &paper[at]);
        }
        let grid = system.gridded.then_some(GRIDS[at]);
        let of = of_ours(system);
        add(
            format!("{}{of}", system.name),
            &row(cells, k, grid, shown.value),
        );
    }
    bars(&Bars {
        title,
        values: shown.unit,
        groups: "boards that compute",
        names: (1..=DEVICES_MAX).map(|n| n.to_string()).collect(),
        series,
    })
}
