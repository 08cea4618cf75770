//! Figure 11: memory of each layer.

use std::fmt::Write as _;

use tessera_planner::model::Model;

use super::{Figure, Page, Section};
use crate::{
    EvaluationError,
    cell::Results,
    memory,
    plot::{Bars, Series, bars},
    published::{FIGURE_11, FIGURE_11_TOTAL, LAYERS},
};

/// The figure.
pub const FIGURE: Figure = Figure {
    key: "figure11",
    page: Page::Paper,
    cases: || Ok(Vec::new()),
    show,
};

fn show(model: &Model, _: &Results, out: &mut Section) -> Result<(), EvaluationError> {
    let m = memory::memory(model)?;
    out.text += "\n## Memory of each layer (Figure 11)\n\n![Memory of each layer](figure11.svg)\n\n\
        Input and output of a layer in float32, of the largest tile, as the paper counts them: a convolution's output is as large as its input tile. \
        The paper's values, read from its drawing, and these are at most 0.013 MiB apart. Rolling rows: the ring buffers that a layer reads and writes, with its working memory; a pool is part of the \
        convolution before it. The last row has the largest layer (with rolling rows the whole arena) and the 13.08 MiB of weights; the paper's are in brackets.\n";
    let mut csv = String::from(
        "layer,unpartitioned,bodp4,ftp3x3,ftp5x5,paper_unpartitioned,paper_bodp4,paper_ftp3x3,paper_ftp5x5,rolling_unpartitioned,rolling_3x3,rolling_5x5\n",
    );
    let number = |v: &Option<f64>| v.map_or_else(String::new, |v| format!("{v:.2}"));
    let mut rows = Vec::new();
    for (((name, row), paper), rolling) in
        LAYERS.iter().zip(&m.layers).zip(&FIGURE_11).zip(&m.rolling)
    {
        let cells = row.iter().map(|v| format!("{v:.2}"));
        let rolling = rolling.iter().map(number);
        let name = std::iter::once((*name).to_owned());
        rows.push(
            name.clone()
                .chain(cells.clone())
                .chain(rolling.clone())
                .collect(),
        );
        let paper = paper.iter().map(|v| format!("{v:.2}"));
        let all: Vec<String> = name.chain(cells).chain(paper).chain(rolling).collect();
        let _ = writeln!(csv, "{}", all.join(","));
    }
    let totals = m.totals.iter().zip(&FIGURE_11_TOTAL);
    let totals = totals.map(|(v, paper)| format!("**{v:.2}** ({paper:.1})"));
    let rolling = m.rolling_totals.iter().map(|v| format!("**{v:.2}**"));
    let name = std::iter::once("largest + weights".to_owned());
    rows.push(name.chain(totals).chain(rolling).collect());
    let head = [
        "layer",
        "unpartitioned",
        "BODP-4",
        "FTP 3x3",
        "FTP 5x5",
        "rolling, unpartitioned",
        "rolling, 3x3",
        "rolling, 5x5",
    ];
    out.table(&head, &rows);
    let [three, five] = &m.strips;
    let _ = writeln!(
        out.text,
        "\nWST-S has the same largest layers: tiles of the first colour are those of FTP. Such a tile keeps strips for its neighbours until they have them, up to \
         {:.2} MiB with 3x3 tiles and {:.2} MiB with 5x5, so a board needs {:.2} and {:.2} MiB. A board that computes all tiles of a frame keeps {:.2} and {:.2} MiB of strips.",
        three.most,
        five.most,
        m.totals[2] + three.most,
        m.totals[3] + five.most,
        three.all,
        five.all,
    );
    let column = |k: usize| m.layers.iter().map(|row| Some(row[k])).collect();
    let rolled = |k: usize| m.rolling.iter().map(|row| row[k]).collect();
    let series = |name: &str, values| Series {
        name: name.to_owned(),
        values,
        pale: false,
    };
    out.files.push(("figure11.csv".to_owned(), csv));
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
    out.files.push(("figure11.svg".to_owned(), drawn));
    Ok(())
}
