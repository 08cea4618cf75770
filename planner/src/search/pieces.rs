//! Single stages, evaluated once for every pair of ends and every grid.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::Given;
use crate::{
    chain::How,
    cost::Cluster,
    estimate::input_bytes,
    ftp::{Axis, StageGraph},
    make::{self, Parts, PlanError},
    options::{PlanOptions, Target},
    packing,
};
use tessera_plan::{graph::Graph, plan::Stage};

/// A stage with one grid.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub stage: Stage,
    /// Bytes of the arena of its largest tile: no more than what the stage needs.
    pub arena: u64,
    /// Bytes of its weights, packed.
    pub weights: u64,
    /// Rough seconds: arithmetic on all cores.
    pub compute_s: f64,
    /// Rough bytes that its tiles read beyond their own shares.
    pub halo: u64,
    /// Bytes that its tiles read.
    pub inputs: u64,
}

/// A stage with every grid that fits, and the refusals of the others.
type Found = (Vec<GridPiece>, Vec<PlanError>);
type GridPiece = ([usize; 2], Piece);

/// Pieces by first layer, end and grid.
pub(super) struct Pieces {
    map: BTreeMap<(usize, usize), Vec<GridPiece>>,
    /// Stages that were refused, and the first refusal.
    pub refused: usize,
    pub why: Option<PlanError>,
}

impl Pieces {
    pub fn get(&self, first: usize, end: usize, grid: [usize; 2]) -> Option<&Piece> {
        let list = self.map.get(&(first, end))?;
        list.iter().find(|(g, _)| *g == grid).map(|(_, p)| p)
    }
}

/// Evaluates all `pairs` with all grids.
pub(super) fn evaluate(
    graph: &Graph,
    o: &PlanOptions,
    given: &Given<'_>,
    pairs: &[(usize, usize)],
) -> Pieces {
    let wanted = make::wanted(graph, o.dump);
    let done: Vec<Found> = pairs
        .par_iter()
        .map(|&(first, end)| {
            let stage = StageGraph::new(graph, first, end, &wanted);
            match stage.check_tiled(graph) {
                Ok(()) => grids(graph, o, &stage, given.grids),
                Err(e) => (Vec::new(), vec![e.into()]),
            }
        })
        .collect();
    let mut pieces = Pieces {
        map: BTreeMap::new(),
        refused: 0,
        why: None,
    };
    for (pair, (list, errors)) in pairs.iter().zip(done) {
        pieces.refused += errors.len();
        // The last stages are the ones that people think of first.
        pieces.why = errors.into_iter().next().or(pieces.why);
        pieces.map.insert(*pair, list);
    }
    pieces
}

fn grids(graph: &Graph, o: &PlanOptions, stage: &StageGraph, list: &[[usize; 2]]) -> Found {
    // An axis is cut once per number of parts, however many grids use it.
    let mut cut: BTreeMap<(bool, usize), Option<Parts>> = BTreeMap::new();
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for &grid in list {
        if let Err(e) = make::check_grid(graph, stage, grid, o.split) {
            errors.push(e);
            continue;
        }
        for (axis, n) in [(Axis::Y, grid[0]), (Axis::X, grid[1])] {
            cut.entry((axis == Axis::X, n))
                .or_insert_with(|| make::parts(graph, stage, axis, n, o.split).ok());
        }
        let of = |x: bool, n: usize| cut.get(&(x, n)).and_then(Option::as_ref);
        if let (Some(ys), Some(xs)) = (of(false, grid[0]), of(true, grid[1])) {
            found.push((grid, piece(graph, o, stage, grid, ys, xs)));
        }
    }
    (found, errors)
}

fn piece(
    graph: &Graph,
    o: &PlanOptions,
    stage: &StageGraph,
    grid: [usize; 2],
    ys: &Parts,
    xs: &Parts,
) -> Piece {
    let data = make::stage_data(graph, stage, grid, o, ys, xs);
    let target = o.targets.first().copied().unwrap_or(Target::Portable);
    // The class that holds most rows and columns over all layers.
    let longest = |p: &Parts| {
        let size = |i: &usize| p.traces[*i].spans.values().map(|s| s.len()).sum::<usize>();
        p.firsts.iter().copied().max_by_key(size).unwrap_or(0)
    };
    let (r, c) = (longest(ys), longest(xs));
    let how = How {
        kernels: o.kernels_for(target),
        rows: o.rows,
        apart: &BTreeSet::new(),
        team: make::team(ys, xs, o),
    };
    let chain = make::tile_chain(graph, stage, "", [(ys, r), (xs, c)], how);
    let inputs = input_bytes(&data);
    let whole: u64 = stage
        .inputs
        .iter()
        .map(|t| 4 * graph.shape(*t).len() as u64)
        .sum();
    Piece {
        arena: 4 * chain.arena_floats as u64,
        weights: 4 * packing::stage_floats(graph, stage, &[&chain]) as u64,
        compute_s: spread_s(&data, o),
        halo: inputs.saturating_sub(whole),
        inputs,
        stage: data,
    }
}

/// Seconds of all tiles on all cores that take them in order, nothing else counted.
fn spread_s(stage: &Stage, o: &PlanOptions) -> f64 {
    let cluster = Cluster::of(o);
    let mut free = vec![0.0f64; cluster.cores()];
    for t in &stage.tiles {
        let first = free
            .iter()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(i, _)| i);
        free[first] += cluster.task_s(t.macs, stage.tiles.len() == 1);
    }
    free.into_iter().fold(0.0, f64::max)
}
