//! Tables and plots of what runs showed.

use std::{collections::BTreeMap, fmt::Write};

use crate::{cell::Cell, found::Found};

/// Carriers in the order of the tables, with their colours.
pub const CARRIERS: [(&str, &str); 4] = [
    ("tessera", "#1b6ca8"),
    ("simulated", "#7fb2d6"),
    ("quinn, streams", "#c8553d"),
    ("quinn, datagrams", "#e3a857"),
];

/// Brings runs into the order of cells and carriers.
pub fn sort(all: &mut [Found], cells: &[Cell]) {
    let place = |f: &Found| {
        let cell = cells.iter().position(|c| c.name == f.cell.name);
        (
            cell,
            CARRIERS.iter().position(|(name, _)| *name == f.carrier),
        )
    };
    all.sort_by_key(place);
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |v| format!("{v:.digits$}"))
}

/// All runs as Markdown tables, one for each group of cells.
pub fn markdown(all: &[Found]) -> String {
    let mut groups: Vec<&str> = all.iter().map(|f| &*f.cell.group).collect();
    groups.dedup();
    let mut text = String::new();
    for group in groups {
        let _ = writeln!(
            text,
            "\n## {}{}\n\n| network | carrier | boxes | p50 ms | p99 ms | Mbit/s | CPU ms/MB | beyond payload % | duplicates % | asked again % |\n|---|---|---|---|---|---|---|---|---|---|",
            group[..1].to_uppercase(),
            &group[1..]
        );
        for f in all.iter().filter(|f| f.cell.group == group) {
            let _ = writeln!(
                text,
                "| {} | {} | {} of {} | {} | {} | {:.1} | {} | {} | {} | {} |",
                f.cell.name,
                f.carrier,
                f.fetches[1],
                f.fetches[0],
                number(f.p50_ms, 1),
                number(f.p99_ms, 1),
                f.goodput,
                number(f.cpu_ms_per_mb, 2),
                number(f.beyond_percent, 1),
                number(f.duplicate_percent, 2),
                number(f.again_percent, 2),
            );
        }
    }
    text
}

/// Cells by the order in which they ran.
fn by_cell(all: &[Found]) -> Vec<(&str, BTreeMap<&str, &Found>)> {
    let mut cells: Vec<(&str, BTreeMap<&str, &Found>)> = Vec::new();
    for f in all {
        match cells.iter_mut().find(|(name, _)| *name == f.cell.name) {
            Some((_, runs)) => {
                runs.insert(&f.carrier, f);
            }
            None => cells.push((&f.cell.name, BTreeMap::from([(&*f.carrier, f)]))),
        }
    }
    cells
}

/// A drawing: a bar per cell and carrier, on a logarithmic scale.
pub fn bars(all: &[Found], title: &str, value: impl Fn(&Found) -> Option<f64>) -> String {
    let cells = by_cell(all);
    let values: Vec<f64> = all.iter().filter_map(&value).filter(|v| *v > 0.0).collect();
    let least = values.iter().copied().fold(f64::MAX, f64::min).min(1e6) * 0.8;
    let most = values.iter().copied().fold(least * 2.0, f64::max);
    let (left, wide, bar) = (230.0, 560.0, 7.0);
    let row = bar * CARRIERS.len() as f64 + 8.0;
    let high = 60.0 + row * cells.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{high:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"900\" height=\"{high:.0}\" fill=\"#ffffff\"/>\n<text x=\"10\" y=\"18\" font-size=\"14\">{title}</text>\n"
    );
    for (k, (name, colour)) in CARRIERS.iter().enumerate() {
        let x = left + 140.0 * k as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"37\">{name}</text>",
            x + 14.0
        );
    }
    for (k, (name, runs)) in cells.iter().enumerate() {
        let y = 50.0 + row * k as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            left - 8.0,
            y + row / 2.0
        );
        for (n, (carrier, colour)) in CARRIERS.iter().enumerate() {
            let Some(v) = runs.get(carrier).and_then(|f| value(f)) else {
                continue;
            };
            let long = wide * (v.max(least) / least).ln() / (most / least).ln();
            let at = y + bar * n as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{at:.1}\" width=\"{long:.1}\" height=\"{:.1}\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"7\">{v:.1}</text>",
                bar - 1.0,
                left + long + 3.0,
                at + bar - 1.5
            );
        }
    }
    svg + "</svg>\n"
}
