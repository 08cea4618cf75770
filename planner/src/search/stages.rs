//! Single stages, evaluated once for every pair of ends and every grid.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::{
    boards::Kinds,
    chain::How,
    cost::{self, LayerTimes, TaskTime},
    error::PlanError,
    ftp::{Axis, StageGraph},
    memory::VALUE_BYTES,
    options::PlanOptions,
    packing,
    stages::{self, AxisParts},
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::Stage,
    region::Region,
};

/// A stage with one grid.
#[derive(Clone, Debug)]
pub(super) struct TiledStage {
    pub data: Stage,
    /// Times of the stage's tiles, per kind of edge.
    pub times: Vec<Vec<TaskTime>>,
    /// Bytes of the largest tile's arena: a lower bound of the stage's arena.
    pub arena: u64,
    /// Bytes of the stage's packed weights.
    pub weights: u64,
    /// Rough seconds of the computation on all cores.
    pub compute_s: f64,
    /// Rough bytes that the tiles read beyond their own shares of the input.
    pub halo: u64,
    /// Bytes that all tiles read.
    pub inputs: u64,
}

/// A stage with every grid that fits.
type WithGrids = Vec<([usize; 2], TiledStage)>;
/// A stage with every grid that fits, and the errors of the other grids.
type Evaluated = (WithGrids, Vec<PlanError>);

/// Stages by first layer, end and grid.
pub(super) struct StageTable {
    map: BTreeMap<(usize, usize), WithGrids>,
    /// Number of impossible stages.
    pub refused: usize,
    pub why: Option<PlanError>,
}

impl StageTable {
    pub fn get(&self, first: usize, end: usize, grid: [usize; 2]) -> Option<&TiledStage> {
        let list = self.map.get(&(first, end))?;
        list.iter().find(|(g, _)| *g == grid).map(|(_, s)| s)
    }
}

/// Evaluates all `pairs` with all grids.
pub(super) fn evaluate(
    graph: &Graph,
    o: &PlanOptions,
    grids: &[[usize; 2]],
    pairs: &[(usize, usize)],
) -> StageTable {
    let wanted = stages::wanted(graph, o.dump);
    let done: Vec<Evaluated> = pairs
        .par_iter()
        .map(|&(first, end)| {
            let stage = StageGraph::new(graph, first, end, &wanted);
            match stage.check_tiled(graph) {
                Ok(()) => OneStage::new(graph, o, &stage).with_grids(grids),
                Err(e) => (Vec::new(), vec![e.into()]),
            }
        })
        .collect();
    let mut table = StageTable {
        map: BTreeMap::new(),
        refused: 0,
        why: None,
    };
    for (pair, (list, errors)) in pairs.iter().zip(done) {
        table.refused += errors.len();
        // The last stages are the ones that people think of first.
        table.why = errors.into_iter().next().or(table.why);
        table.map.insert(*pair, list);
    }
    table
}

/// Evaluates one stage with all grids.
struct OneStage<'a> {
    graph: &'a Graph,
    o: &'a PlanOptions,
    stage: &'a StageGraph,
    kinds: Kinds<'a>,
    /// Seconds of layers, per kind of edge.
    layers: Vec<LayerTimes<'a>>,
}

impl<'a> OneStage<'a> {
    fn new(graph: &'a Graph, o: &'a PlanOptions, stage: &'a StageGraph) -> Self {
        let kinds = Kinds::new(&o.boards);
        let boards = kinds.boards.iter();
        Self {
            layers: boards.map(|b| LayerTimes::new(graph, o, b)).collect(),
            graph,
            o,
            stage,
            kinds,
        }
    }

    fn with_grids(&self, grids: &[[usize; 2]]) -> Evaluated {
        let (graph, split, stage) = (self.graph, self.o.split, self.stage);
        // All grids with the same number of parts on an axis share one cut of that axis.
        let mut cut: BTreeMap<(bool, usize), Option<AxisParts>> = BTreeMap::new();
        let mut found = Vec::new();
        let mut errors = Vec::new();
        for &grid in grids {
            if let Err(e) = stages::check_grid(graph, stage, grid, split) {
                errors.push(e);
                continue;
            }
            for (axis, n) in [(Axis::Y, grid[0]), (Axis::X, grid[1])] {
                cut.entry((axis == Axis::X, n))
                    .or_insert_with(|| stages::parts(graph, stage, axis, n, split).ok());
            }
            let of = |x: bool, n: usize| cut.get(&(x, n)).and_then(Option::as_ref);
            if let (Some(ys), Some(xs)) = (of(false, grid[0]), of(true, grid[1])) {
                found.push((grid, self.tiled(grid, [ys, xs])));
            }
        }
        (found, errors)
    }

    fn tiled(&self, grid: [usize; 2], [ys, xs]: [&AxisParts; 2]) -> TiledStage {
        let Self {
            graph, o, stage, ..
        } = *self;
        let data = stages::stage_data(graph, stage, grid, o.split, [ys, xs]);
        let how = How {
            kernels: o.kernels_for(o.target()),
            rows: o.rows,
            apart: &BTreeSet::new(),
            team: stages::team(ys, xs, o.team()),
            wire: o.stored(),
        };
        let at = [(ys, longest(ys)), (xs, longest(xs))];
        let chain = stages::tile_chain(graph, stage, "", at, how);
        let boards = self.kinds.boards.iter().zip(&self.layers);
        let times: Vec<Vec<TaskTime>> = boards
            .map(|(board, layers)| cost::stage_times(layers, stage, [ys, xs], board))
            .collect();
        let bytes = |(t, r): (&TensorIx, Region)| (r.len() * o.stored().read(*t).bytes()) as u64;
        let tiles = data.tiles.iter();
        let read = tiles.flat_map(|tile| stage.inputs.iter().zip(tile.inputs.iter().copied()));
        let inputs: u64 = read.map(bytes).sum();
        let whole = stage.inputs.iter();
        let whole: u64 = whole
            .map(|t| bytes((t, Region::whole(graph.shape(*t)))))
            .sum();
        TiledStage {
            arena: VALUE_BYTES * chain.arena_floats as u64,
            weights: VALUE_BYTES * packing::stage_floats(graph, stage, &[&chain]) as u64,
            compute_s: spread_s(o, &self.kinds, &times),
            halo: inputs.saturating_sub(whole),
            inputs,
            times,
            data,
        }
    }
}

/// Index of a part in the class that holds the most rows or columns over all layers.
fn longest(parts: &AxisParts) -> usize {
    let size = |i: &usize| {
        let spans = parts.traces[*i].spans.values();
        spans.map(|s| s.len()).sum::<usize>()
    };
    let firsts = parts.firsts.iter().copied();
    firsts.max_by_key(size).unwrap_or(0)
}

/// Seconds of all tiles on all cores, which take tiles in order; transfers count as free.
fn spread_s(o: &PlanOptions, kinds: &Kinds<'_>, times: &[Vec<TaskTime>]) -> f64 {
    // Kind of board and time when it is free, of every core.
    let mut cores: Vec<(usize, f64)> = (o.boards.iter().zip(&kinds.of))
        .flat_map(|(b, kind)| std::iter::repeat_n((*kind, 0.0), b.cores.max(1)))
        .collect();
    let tiles = times.first().map_or(0, Vec::len);
    (0..tiles).for_each(|tile| {
        let first = cores.iter_mut().min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((kind, free)) = first {
            *free += times[*kind][tile].seconds;
        }
    });
    cores.into_iter().map(|c| c.1).fold(0.0, f64::max)
}
