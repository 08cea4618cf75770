//! A stage's grid: its axes cut to parts.

use std::collections::BTreeMap;

use super::shares::Shares;
use tessera_plan::limits::STAGE_TILES_MAX;

use crate::{
    chain,
    error::PlanError,
    ftp::{
        Axis, StageGraph, Trace,
        cuts::{self, TooFine},
    },
};
use tessera_plan::{graph::Graph, plan::Split, region::Span};

/// One axis of a tiled stage: for each part its ranges of the outputs, its trace and its class.
#[derive(Clone, Debug)]
pub struct AxisParts {
    /// For each part, its range of every output.
    pub ends: Vec<Vec<Span>>,
    /// For each part, its trace.
    pub traces: Vec<Trace>,
    /// For each part, its class: parts of equal geometry share one.
    pub classes: Vec<usize>,
    /// For each class, its first part.
    pub firsts: Vec<usize>,
}

/// Checks a stage's grid.
///
/// # Errors
/// When it has an empty tile or too many; the error names the largest grid that works. When it has several tiles, and a
/// layer of the stage needs whole maps.
pub fn check_grid(
    graph: &Graph,
    stage: &StageGraph,
    grid: [usize; 2],
    split: Split,
) -> Result<(), PlanError> {
    if grid != [1, 1] {
        stage.check_tiled(graph)?;
    }
    let axes = [(Axis::Y, grid[0]), (Axis::X, grid[1])];
    let reasons: Vec<TooFine> = axes
        .iter()
        .filter_map(|(axis, n)| cuts::fits(graph, stage, *axis, *n, split).err())
        .collect();
    let [mut rows, cols] = axes.map(|(axis, n)| cuts::largest(graph, stage, axis, n, split));
    let cols = cols.min(STAGE_TILES_MAX);
    if rows.saturating_mul(cols) > STAGE_TILES_MAX {
        rows = cuts::largest(graph, stage, Axis::Y, STAGE_TILES_MAX / cols, split);
    }
    let largest = [rows, cols];
    if !reasons.is_empty() {
        return Err(PlanError::TooFine {
            first: stage.first_layer,
            last: stage.end_layer.saturating_sub(1),
            grid,
            reasons,
            largest,
        });
    }
    if largest != grid {
        return Err(PlanError::Tiles { grid, largest });
    }
    Ok(())
}

/// Cuts rows and columns of a stage.
///
/// # Errors
/// As [`check_grid`].
pub fn grid_parts(
    graph: &Graph,
    stage: &StageGraph,
    grid: [usize; 2],
    split: Split,
) -> Result<[AxisParts; 2], PlanError> {
    check_grid(graph, stage, grid, split)?;
    let axis = |axis, n| {
        parts(graph, stage, axis, n, split).map_err(|e| PlanError::TooFine {
            first: stage.first_layer,
            last: stage.end_layer.saturating_sub(1),
            grid,
            reasons: vec![e],
            largest: [1, 1],
        })
    };
    Ok([axis(Axis::Y, grid[0])?, axis(Axis::X, grid[1])?])
}

/// Cuts rows and columns of a stage by shares.
///
/// # Errors
/// As [`check_grid`].
pub fn grid_parts_by(
    graph: &Graph,
    stage: &StageGraph,
    shares: &Shares,
) -> Result<[AxisParts; 2], PlanError> {
    let [ys, xs] = shares;
    check_grid(graph, stage, [ys.len(), xs.len()], Split::Speed)?;
    let axis = |axis, shares| {
        parts_by(graph, stage, axis, shares).map_err(|e| PlanError::TooFine {
            first: stage.first_layer,
            last: stage.end_layer.saturating_sub(1),
            grid: [ys.len(), xs.len()],
            reasons: vec![e],
            largest: [1, 1],
        })
    };
    Ok([axis(Axis::Y, ys)?, axis(Axis::X, xs)?])
}

/// Cuts rows and columns of a stage into parts of `lengths` rows and columns of its coarsest output.
///
/// # Errors
/// As [`check_grid`].
pub fn grid_parts_at(
    graph: &Graph,
    stage: &StageGraph,
    lengths: &Shares,
) -> Result<[AxisParts; 2], PlanError> {
    let [ys, xs] = lengths;
    check_grid(graph, stage, [ys.len(), xs.len()], Split::Balanced)?;
    let axis = |axis, lengths| parts_at(graph, stage, axis, lengths);
    Ok([axis(Axis::Y, ys), axis(Axis::X, xs)])
}

/// Cuts one axis of a stage into parts of `lengths` rows (columns) of its coarsest output, as many as it has.
pub fn parts_at(graph: &Graph, stage: &StageGraph, axis: Axis, lengths: &[u64]) -> AxisParts {
    let mut end = 0;
    let behind = lengths.iter().map(|n| {
        end += usize::try_from(*n).unwrap_or(usize::MAX);
        end
    });
    let cut: Vec<usize> = std::iter::once(0).chain(behind).collect();
    of_cut(graph, stage, axis, &cut)
}

/// Cuts one axis of a stage and finds the classes of its parts.
///
/// # Errors
/// When a part would be empty.
pub fn parts(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    n: usize,
    split: Split,
) -> Result<AxisParts, TooFine> {
    let cut = cuts::cut(graph, stage, axis, n, split)?;
    Ok(of_cut(graph, stage, axis, &cut))
}

/// Cuts one axis of a stage by shares and finds the classes of its parts.
///
/// # Errors
/// When a part would be empty.
pub fn parts_by(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    shares: &[u64],
) -> Result<AxisParts, TooFine> {
    let cut = cuts::cut_by(graph, stage, axis, shares)?;
    Ok(of_cut(graph, stage, axis, &cut))
}

/// An axis of a stage that is cut at these positions of its coarsest output, which rise from 0 to the output's extent.
pub fn of_cut(graph: &Graph, stage: &StageGraph, axis: Axis, cut: &[usize]) -> AxisParts {
    let mut p = AxisParts {
        ends: Vec::new(),
        traces: Vec::new(),
        classes: Vec::new(),
        firsts: Vec::new(),
    };
    let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for (i, w) in cut.windows(2).enumerate() {
        let ends = cuts::scale(graph, stage, axis, w[0], w[1]);
        let trace = stage.trace(graph, axis, &ends);
        let signature = chain::signature(
            graph,
            &stage.nodes,
            &stage.inputs,
            &stage.outputs,
            &ends,
            &trace,
            axis,
        );
        let next = known.len();
        let class = *known.entry(signature).or_insert(next);
        if class == next {
            p.firsts.push(i);
        }
        p.ends.push(ends);
        p.traces.push(trace);
        p.classes.push(class);
    }
    p
}
