//! How many layers are fused: 4, 8 or 16, on six boards.

use std::fmt::Write as _;

use tessera_planner::{model::Model, options::PlanOptions};

use super::{Figure, Page, Section};
use crate::{
    EvaluationError,
    case::{Case, Load},
    cell::Results,
    memory::fused_mib,
    pi3,
    place::DEVICES_MAX,
    plot::{Bars, Series, bars},
    published::{DEPTHS, FIGURE_15},
    systems::{GRIDS, Times, reusing, searched},
};

/// The figure.
pub const FIGURE: Figure = Figure {
    key: "figure15",
    page: Page::Paper,
    cases,
    show,
};

/// One board, and all.
const BOARDS: [usize; 2] = [1, DEVICES_MAX];

fn name(grid: Option<[usize; 2]>, layers: usize, boards: usize) -> String {
    match grid {
        Some([r, c]) => format!("depth-wst-s-{r}x{c}-{layers}-{boards}"),
        None => format!("depth-best-{layers}-{boards}"),
    }
}

fn cases() -> Result<Vec<Case>, EvaluationError> {
    let board = pi3::edge()?;
    let mut list = Vec::new();
    for grid in GRIDS.iter().copied().map(Some).chain([None]) {
        for layers in DEPTHS {
            for boards in BOARDS {
                let (options, times) = match grid {
                    Some(_) => (reusing(grid, boards, &board), Times::Paper),
                    None => (searched(None, boards, &board), Times::Planner),
                };
                list.push(Case {
                    name: name(grid, layers, boards),
                    options: PlanOptions {
                        offload: Some(layers),
                        ..options
                    },
                    boards: None,
                    times,
                    load: Load::one_frame(1),
                });
            }
        }
    }
    Ok(list)
}

fn show(model: &Model, results: &Results, out: &mut Section) -> Result<(), EvaluationError> {
    out.text += "\n## Layers fused (Figure 15)\n\n\
        The first 4, 8 or 16 layers on six boards. Stealing with reused borders (WST-S), the paper's values in brackets, and the planner's own choice. \
        Memory is the largest layer of the largest tile and the weights, MiB of a frame's traffic, and how many times as fast six boards are as one. \
        The paper's memory of 4 and 8 layers has the tiles of 16 layers in it; those of fewer layers are smaller.\n";
    let head = [
        "layers",
        "grid",
        "memory",
        "traffic",
        "seconds on 6",
        "times as fast as 1",
        "ours at its best: traffic",
        "seconds on 6",
        "times as fast as 1",
    ];
    let mut rows = Vec::new();
    let mut csv = String::from(
        "layers,grid,memory_mib,paper_memory_mib,values_mib,paper_mib,latency_s,speedup,paper_speedup,best_mib,best_s,best_speedup\n",
    );
    let mut drawn = vec![Vec::new(); 2 * GRIDS.len() + 1];
    for (d, layers) in DEPTHS.into_iter().enumerate() {
        let of = |grid| -> Result<[f64; 3], EvaluationError> {
            let one = results.of(&name(grid, layers, 1))?;
            let all = results.of(&name(grid, layers, DEVICES_MAX))?;
            let faster = one.latency_s / all.latency_s;
            Ok([all.values_mib, all.latency_s, faster])
        };
        let best = of(None)?;
        for (g, grid) in GRIDS.into_iter().enumerate() {
            let paper = &FIGURE_15[d];
            let memory = fused_mib(model, grid, layers)?;
            let [mib, s, faster] = of(Some(grid))?;
            let [r, c] = grid;
            rows.push(vec![
                layers.to_string(),
                format!("{r}x{c}"),
                format!("{memory:.1} ({:.1})", paper.memory_mib[g]),
                format!("{mib:.1} ({:.1})", paper.mib[g]),
                format!("{s:.2}"),
                format!("{faster:.2} ({:.2})", paper.speedup[g]),
                format!("{:.1}", best[0]),
                format!("{:.2}", best[1]),
                format!("{:.2}", best[2]),
            ]);
            let _ = writeln!(
                csv,
                "{layers},{r}x{c},{memory:.4},{},{mib:.4},{},{s:.4},{faster:.4},{},{:.4},{:.4},{:.4}",
                paper.memory_mib[g], paper.mib[g], paper.speedup[g], best[0], best[1], best[2],
            );
            drawn[2 * g].push(Some(paper.speedup[g]));
            drawn[2 * g + 1].push(Some(faster));
        }
        drawn[2 * GRIDS.len()].push(Some(best[2]));
    }
    out.table(&head, &rows);
    out.files.push(("figure15.csv".to_owned(), csv));
    let series = |(k, values): (usize, Vec<Option<f64>>)| {
        let name = match GRIDS.get(k / 2) {
            Some([r, c]) if k % 2 == 0 => format!("WST-S {r}x{c}, the paper"),
            Some([r, c]) => format!("WST-S {r}x{c}, ours"),
            None => "ours at its best".to_owned(),
        };
        Series {
            name,
            values,
            pale: k < 2 * GRIDS.len() && k % 2 == 0,
        }
    };
    let title = "Layers fused (Figure 15): times as fast as one board";
    let svg = bars(&Bars {
        title,
        values: "times as fast",
        groups: "layers that six boards compute",
        names: DEPTHS.iter().map(usize::to_string).collect(),
        series: drawn.into_iter().enumerate().map(series).collect(),
    });
    out.drawing(title, "figure15.svg".to_owned(), svg);
    Ok(())
}
