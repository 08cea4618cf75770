//! The formulas of Figure 11 against the values in the paper's drawing.
#![forbid(unsafe_code)]

use std::{error::Error, path::Path};

use tessera_evaluation::{
    memory::memory,
    published::{FIGURE_11, FIGURE_11_TOTAL, LAYERS},
};
use tessera_plan::graph::Darknet;
use tessera_planner::{cfg, weights};

#[test]
fn memory_of_layers_is_the_papers_within_a_hundredth_of_a_mebibyte() -> Result<(), Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/yolov2.cfg");
    let graph = cfg::read(&std::fs::read(file)?, "yolov2", Darknet::Alexey).0;
    let found = memory(&weights::without(graph.ok_or("no graph")?))?;
    for ((name, ours), paper) in LAYERS.iter().zip(&found.layers).zip(&FIGURE_11) {
        for (a, b) in ours.iter().zip(paper) {
            assert!(
                (a - b).abs() < 0.015,
                "{name}: {ours:?}, the paper {paper:?}"
            );
        }
    }
    for (a, b) in found.totals.iter().zip(&FIGURE_11_TOTAL) {
        assert!((a - b).abs() < 0.1, "{:?}", found.totals);
    }
    // Rolling rows take less than whole maps, with every grid.
    let most = |k: usize| found.layers.iter().map(|r| r[k]).fold(0.0, f64::max);
    let rolled = |k: usize| {
        found
            .rolling
            .iter()
            .filter_map(|r| r[k])
            .fold(0.0, f64::max)
    };
    assert!(rolled(0) < most(0) && rolled(1) < most(2) && rolled(2) < most(3));
    assert_eq!(
        found.rolling.iter().filter(|r| r[1].is_none()).count(),
        4,
        "pools"
    );
    Ok(())
}
