//! Where a grid cuts an axis.

use super::{
    StageGraph,
    axis::{Axis, extent},
    balance,
    stage::coarsest,
};
use tessera_plan::{graph::Graph, plan::Split, region::Span};

/// An axis cannot be cut as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooFine {
    /// No parts are asked for.
    #[error("0 {what} of tiles are no grid")]
    None {
        /// `rows` or `columns`.
        what: &'static str,
        /// Rows or columns of the coarsest output: the largest number of parts.
        extent: usize,
    },
    /// More parts than the map has rows or columns.
    #[error(
        "{parts} {what} of tiles are too many: the stage's coarsest output has {extent} {what}"
    )]
    Extent {
        /// Number of parts asked for.
        parts: usize,
        /// `rows` or `columns`.
        what: &'static str,
        /// Rows or columns of the coarsest output.
        extent: usize,
    },
    /// The paper's rule leaves nothing for the last part.
    #[error(
        "{parts} {what} of tiles leave the last one empty: --split equal gives each ceil({extent} / {parts}) = {step} of the {extent} {what}; {largest} or {next} work, or --split balanced"
    )]
    LastEmpty {
        /// Number of parts asked for.
        parts: usize,
        /// `rows` or `columns`.
        what: &'static str,
        /// Rows or columns of the coarsest output.
        extent: usize,
        /// Rows or columns of each part but the last.
        step: usize,
        /// Largest smaller number that works.
        largest: usize,
        /// Smallest larger number that works.
        next: usize,
    },
}

/// The paper's rule: every part `ceil(extent / parts)`, the last what is left.
pub fn equal(extent: usize, parts: usize) -> Option<Vec<usize>> {
    let step = extent.div_ceil(parts);
    if (parts - 1) * step >= extent {
        return None;
    }
    Some((0..parts).map(|i| i * step).chain([extent]).collect())
}

/// Cuts `extent` rows (columns), at least as many as there are `shares`, in proportion to the shares; no part is empty.
pub fn even(extent: usize, shares: &[u64]) -> Vec<usize> {
    let (all, parts) = (shares.iter().sum(), shares.len());
    let (mut before, mut cuts) = (0, vec![0]);
    for (p, share) in shares.iter().enumerate().take(parts.saturating_sub(1)) {
        before += share;
        let latest = extent.saturating_sub(parts - p - 1);
        let wanted = balance::even_cut(before, all, extent);
        cuts.push(wanted.min(latest).max(cuts[p] + 1));
    }
    cuts.push(extent);
    cuts
}

/// The cut list of one axis on the coarsest output: `parts + 1` positions from 0 to its extent.
///
/// # Errors
/// When a part would be empty.
pub fn cut(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    parts: usize,
    split: Split,
) -> Result<Vec<usize>, TooFine> {
    fits(graph, stage, axis, parts, split)?;
    let extent = coarsest(graph, stage, axis);
    Ok(match split {
        Split::Equal => equal(extent, parts).unwrap_or_else(|| vec![0, extent]),
        Split::Balanced | Split::Speed | Split::Channels => {
            balance::balanced(graph, stage, axis, extent, &vec![1; parts])
        }
    })
}

/// The cut list of one axis by shares: the cost of every part is in proportion to its share, as nearly as whole
/// rows and columns allow.
///
/// # Errors
/// When a part would be empty.
pub fn cut_by(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    shares: &[u64],
) -> Result<Vec<usize>, TooFine> {
    fits(graph, stage, axis, shares.len(), Split::Speed)?;
    let extent = coarsest(graph, stage, axis);
    Ok(balance::balanced(graph, stage, axis, extent, shares))
}

/// Checks that an axis can be cut into `parts`.
///
/// # Errors
/// When a part would be empty; the error says what would work.
pub fn fits(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    parts: usize,
    split: Split,
) -> Result<(), TooFine> {
    let extent = coarsest(graph, stage, axis);
    let what = if axis == Axis::Y { "rows" } else { "columns" };
    if parts == 0 {
        return Err(TooFine::None { what, extent });
    }
    if parts > extent {
        return Err(TooFine::Extent {
            parts,
            what,
            extent,
        });
    }
    if split == Split::Equal && equal(extent, parts).is_none() {
        // One part and `extent` parts always work.
        let works = |p: &usize| equal(extent, *p).is_some();
        return Err(TooFine::LastEmpty {
            parts,
            what,
            extent,
            step: extent.div_ceil(parts),
            largest: (1..parts).rev().find(works).unwrap_or(1),
            next: (parts..=extent).find(works).unwrap_or(extent),
        });
    }
    Ok(())
}

/// The largest number of parts up to `parts` that works; 1 for 0.
pub fn largest(graph: &Graph, stage: &StageGraph, axis: Axis, parts: usize, split: Split) -> usize {
    match fits(graph, stage, axis, parts, split) {
        Ok(()) => parts,
        Err(TooFine::None { .. }) => 1,
        Err(TooFine::Extent { extent, .. }) => extent,
        Err(TooFine::LastEmpty { largest, .. }) => largest,
    }
}

/// The part `lo..hi` of the coarsest output on every output of the stage.
pub fn scale(graph: &Graph, stage: &StageGraph, axis: Axis, lo: usize, hi: usize) -> Vec<Span> {
    let base = coarsest(graph, stage, axis).max(1);
    stage
        .outputs
        .iter()
        .map(|t| {
            let e = extent(graph, *t, axis);
            Span::new(lo * e / base, hi * e / base)
        })
        .collect()
}
