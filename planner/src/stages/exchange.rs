//! Stages whose halos are exchanged: a stage of layers becomes several of the same grid. Each ends where the next layer
//! would need more of it than the tile's own share, and the tiles of the next one fetch that halo from their neighbours.
//! So nothing is computed twice.
//!
//! ```text
//! conv 3x3 | pool 2 | conv 3x3 | pool 2 | conv 3x3 | conv 1x1 | conv 3x3
//! └─── stage 0 ───┘ └─── stage 1 ───┘ └─────── stage 2 ──────┘ └ stage 3
//! ```
//!
//! All of them are cut at the same places of the map, in proportion, so that tiles of one place need nothing of each
//! other but halos. A layer that is two operations (an antialiased convolution) may need a halo inside; its stage
//! computes it again, and says so ([`Border::Recompute`]).

use super::{
    cuts::StageCuts,
    parts::{AxisParts, check_grid, of_cut, parts_at},
    shares::Shares,
    split::wanted,
};
use crate::{
    error::PlanError,
    ftp::{
        Axis, StageGraph,
        axis::extent,
        cuts::{TooFine, equal, even},
        cyclic,
        stage::coarsest,
    },
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Border, Split},
};

const AXES: [Axis; 2] = [Axis::Y, Axis::X];

/// The plan `cuts` with the stages that have [`Border::Exchange`] in `borders` (one for each stage, or one for all)
/// taken apart. Those that have [`Border::Reuse`] are named so. Tensors that a dump shows leave the stages if `dump`. Stages of one tile and stages that are cut by channels stay as they are: they have no halo.
///
/// # Errors
/// When a stage's grid does not fit its layers.
pub fn exchanged(
    graph: &Graph,
    (dump, split): (bool, Split),
    cuts: &StageCuts,
    borders: &[Border],
) -> Result<StageCuts, PlanError> {
    let wanted = wanted(graph, dump);
    let mut list = StageCuts::default();
    for (i, (first, end)) in cuts.spans().enumerate() {
        let border = borders.get(i).or_else(|| borders.first());
        let (grid, shares) = (cuts.grids[i], &cuts.shares[i]);
        let reuses = border == Some(&Border::Reuse) && cuts.borders[i] == Border::Recompute;
        if reuses && !cuts.channels[i] && grid != [1, 1] {
            list.push(end, grid, shares.clone(), false, Border::Reuse);
            continue;
        }
        let exchanges = border == Some(&Border::Exchange) && cuts.borders[i] == Border::Recompute;
        if !exchanges || cuts.channels[i] || grid == [1, 1] {
            list.push(end, grid, shares.clone(), cuts.channels[i], cuts.borders[i]);
            continue;
        }
        let whole = StageGraph::new(graph, first, end, &wanted);
        whole.check_busy()?;
        check_grid(graph, &whole, grid, split)?;
        let marks = Marks::new(graph, &whole, grid, shares.as_ref(), split)?;
        let mut from = first;
        while from < end {
            let (to, lengths, border) = marks.next(graph, &wanted, from, end);
            list.push(to, grid, Some(lengths), false, border);
            from = to;
        }
    }
    Ok(list)
}

/// A stage of a plan that was taken apart, with the rows and columns of its tiles.
pub fn exchanged_parts(
    graph: &Graph,
    first: usize,
    end: usize,
    lengths: &Shares,
) -> (StageGraph, [AxisParts; 2]) {
    let stage = StageGraph::new(graph, first, end, &wanted(graph, false));
    let parts = [0, 1].map(|k| parts_at(graph, &stage, AXES[k], &lengths[k]));
    (stage, parts)
}

/// Where both axes of all maps are cut: positions on an axis of `base` rows (columns).
struct Marks([(usize, Vec<usize>); 2]);

impl Marks {
    /// Cuts of the coarsest map of the layers: in equal parts, by shares, or by the paper's rule.
    fn new(
        graph: &Graph,
        whole: &StageGraph,
        grid: [usize; 2],
        shares: Option<&Shares>,
        split: Split,
    ) -> Result<Self, PlanError> {
        let axis = |k: usize| -> Result<(usize, Vec<usize>), PlanError> {
            let made = whole.nodes.iter().map(|n| TensorIx::node(*n));
            let base = made.map(|t| extent(graph, t, AXES[k])).min().unwrap_or(0);
            if grid[k] > base {
                return Err(too_fine(whole, grid, k, base));
            }
            let by_rule = match split {
                Split::Equal => equal(base, grid[k]),
                Split::Balanced | Split::Speed | Split::Channels => None,
            };
            let equal_shares = vec![1; grid[k]];
            let shares = shares.map_or(&equal_shares, |s| &s[k]);
            Ok((base, by_rule.unwrap_or_else(|| even(base, shares))))
        };
        Ok(Self([axis(0)?, axis(1)?]))
    }

    /// The next stage, from layer `from` on: its end, which is at most `end`, the rows and columns of its tiles, and how
    /// they get their halo.
    fn next(
        &self,
        graph: &Graph,
        wanted: &[TensorIx],
        from: usize,
        end: usize,
    ) -> (usize, Shares, Border) {
        let cut = |to: usize| {
            let stage = StageGraph::new(graph, from, to, wanted);
            let [ys, xs] = [0, 1].map(|k| self.on(graph, &stage, k));
            let parts = [(0, &ys), (1, &xs)].map(|(k, cut)| of_cut(graph, &stage, AXES[k], cut));
            let twice = AXES
                .iter()
                .zip(&parts)
                .any(|(axis, parts)| computes_twice(graph, &stage, *axis, parts));
            (twice, [ys, xs].map(|cut| lengths(&cut)))
        };
        let (twice, first) = cut(from + 1);
        let mut best = (from + 1, first);
        if twice {
            return (best.0, best.1, Border::Recompute);
        }
        for to in from + 2..=end {
            let (twice, longer) = cut(to);
            if twice {
                break;
            }
            best = (to, longer);
        }
        (best.0, best.1, Border::Exchange)
    }

    /// The cut list of axis `k` on the coarsest output of a stage.
    fn on(&self, graph: &Graph, stage: &StageGraph, k: usize) -> Vec<usize> {
        let (base, marks) = &self.0[k];
        let here = coarsest(graph, stage, AXES[k]);
        marks.iter().map(|m| m * here / base).collect()
    }
}

fn lengths(cut: &[usize]) -> Vec<u64> {
    cut.windows(2).map(|w| (w[1] - w[0]) as u64).collect()
}

/// Whether two parts of an axis compute the same rows (columns) of any node.
fn computes_twice(graph: &Graph, stage: &StageGraph, axis: Axis, parts: &AxisParts) -> bool {
    stage.nodes.iter().any(|n| {
        let t = TensorIx::node(*n);
        let extent = extent(graph, t, axis);
        let mut end = 0;
        let spans = parts.traces.iter().map(|trace| trace.span(t));
        spans.filter(|s| !s.is_empty()).any(|s| {
            let again = s.lo < end || cyclic::wraps(s, extent);
            end = s.hi;
            again
        })
    })
}

/// The error of a grid with more rows (`k` = 0) or columns (1) than the coarsest map of the layers has.
fn too_fine(stage: &StageGraph, grid: [usize; 2], k: usize, base: usize) -> PlanError {
    let mut largest = grid;
    largest[k] = base;
    PlanError::TooFine {
        first: stage.first_layer,
        last: stage.end_layer.saturating_sub(1),
        grid,
        reasons: vec![TooFine::Extent {
            parts: grid[k],
            what: ["rows", "columns"][k],
            extent: base,
        }],
        largest,
    }
}
