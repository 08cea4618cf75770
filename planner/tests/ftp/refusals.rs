//! Grids that do not fit: the largest that is named works, the next does not.

use std::cell::Cell;

use tessera_plan::limits::STAGE_TILES_MAX;
use tessera_plan::{graph::Graph, plan::Split};
use tessera_planner::{
    make::{self, PlanError},
    options::PlanOptions,
    weights,
};

use crate::{nets::any_net, runner};

fn plan(graph: &Graph, offload: usize, grid: [usize; 2], split: Split) -> Result<(), PlanError> {
    let options = PlanOptions {
        grids: vec![grid],
        offload: Some(offload),
        split,
        ..PlanOptions::default()
    };
    make::plan(&weights::without(graph.clone()), &options).map(|_| ())
}

/// Plans; on refusal checks the grid that the refusal names. Gives whether it was refused.
fn check(graph: &Graph, offload: usize, grid: [usize; 2], split: Split) -> bool {
    let Err(e) = plan(graph, offload, grid, split) else {
        return false;
    };
    let (PlanError::TooFine { largest, .. } | PlanError::Tiles { largest, .. }) = e else {
        return false;
    };
    let text = e.to_string();
    assert!(
        text.contains(&format!("{}x{}", largest[0], largest[1])),
        "{text}"
    );
    assert!(plan(graph, offload, largest, split).is_ok(), "{text}");
    // No grid with one part more on an axis that had to give way, up to what was asked.
    for axis in 0..2 {
        if largest[axis] < grid[axis] {
            let mut finer = largest;
            finer[axis] += 1;
            assert!(
                plan(graph, offload, finer, split).is_err(),
                "{text}: {finer:?}"
            );
        }
    }
    if let PlanError::TooFine { reasons, .. } = &e {
        assert!(!reasons.is_empty());
        for r in reasons {
            if let tessera_planner::ftp::cuts::TooFine::LastEmpty {
                parts, what, next, ..
            } = r
            {
                let mut other = [1, 1];
                other[usize::from(*what == "columns")] = *next;
                assert!(*next > *parts);
                assert!(plan(graph, offload, other, split).is_ok(), "{text}");
            }
        }
    }
    true
}

#[test]
fn named_grids_are_the_largest_that_work() {
    let refused = Cell::new(0);
    let strategy = (
        any_net(),
        0usize..16,
        proptest::array::uniform2(0usize..=40),
    );
    runner(300)
        .run(&strategy, |(net, offload, grid)| {
            let (_, graph) = net.build();
            let offload = 1 + offload % graph.layers.len();
            for split in [Split::Equal, Split::Balanced] {
                refused.set(refused.get() + usize::from(check(&graph, offload, grid, split)));
            }
            Ok(())
        })
        .unwrap();
    assert!(refused.get() > 200, "{}", refused.get());
}

#[test]
fn tiles_are_bounded() {
    let text = b"[net]\nwidth=640\nheight=640\nchannels=1\n[convolutional]\nfilters=1\n";
    let graph = tessera_planner::cfg::read(text, "wide", Default::default())
        .0
        .unwrap();
    for grid in [[100, 100], [640, 640], [1, 641], [usize::MAX, 2], [0, 0]] {
        assert!(check(&graph, 1, grid, Split::Equal), "{grid:?}");
    }
    assert!(plan(&graph, 1, [64, 64], Split::Equal).is_ok());
    const { assert!(64 * 64 == STAGE_TILES_MAX) };
}
