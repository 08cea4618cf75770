//! Single stages, each evaluated once when a plan first has it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    boards::Kinds,
    chain::How,
    cost::{self, LayerTimes, TaskTime},
    error::PlanError,
    ftp::{Axis, StageGraph},
    memory::VALUE_BYTES,
    options::PlanOptions,
    packing,
    stages::{self, AxisParts, Shares},
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Border, Split, Stage},
    region::Region,
};

/// A stage with one grid.
#[derive(Debug)]
pub(super) struct TiledStage {
    pub data: Stage,
    /// Times of the stage's tiles, per kind of edge.
    pub times: Vec<Vec<TaskTime>>,
    /// Rough seconds of the computation on all cores.
    pub compute_s: f64,
    /// Least seconds of the computation on all cores, if tiles could be divided.
    pub least_s: f64,
    /// Rough bytes that the tiles read beyond their own shares of the input.
    pub halo: u64,
    /// Bytes that all tiles read.
    pub inputs: u64,
    graph: Arc<StageGraph>,
    axes: [Arc<AxisParts>; 2],
    /// See [`Stages::memory`].
    memory: OnceLock<StageMemory>,
}

/// Memory that a stage takes on an edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct StageMemory {
    /// Bytes of the largest tile's arena: a lower bound of the stage's arena.
    pub arena: u64,
    /// Bytes of the stage's packed weights.
    pub weights: u64,
}

/// What tells stages apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StageKey {
    pub first: usize,
    pub end: usize,
    pub grid: [usize; 2],
    pub shares: Option<Shares>,
    pub border: Border,
}

/// An axis of a stage that is cut in parts of these shares, or in so many parts, for such a border.
type AxisKey = (usize, usize, bool, usize, Vec<u64>, Border);

/// Values that are made at first use. Two threads may make one at the same time; they make the same.
struct Known<K, V>(Mutex<HashMap<K, V>>);

impl<K: Eq + Hash + Clone, V: Clone> Known<K, V> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn get(&self, key: &K, make: impl FnOnce() -> V) -> V {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = lock().get(key) {
            return value.clone();
        }
        let value = make();
        lock().entry(key.clone()).or_insert(value).clone()
    }
}

/// All stages that plans have had so far.
pub(super) struct Stages<'a> {
    graph: &'a Graph,
    o: &'a PlanOptions,
    kinds: Kinds<'a>,
    wanted: Vec<TensorIx>,
    graphs: Known<(usize, usize), Result<Arc<StageGraph>, PlanError>>,
    axes: Known<AxisKey, Option<Arc<AxisParts>>>,
    known: Known<StageKey, Result<Arc<TiledStage>, PlanError>>,
}

impl<'a> Stages<'a> {
    pub fn new(graph: &'a Graph, o: &'a PlanOptions) -> Self {
        Self {
            graph,
            o,
            kinds: Kinds::new(&o.boards),
            wanted: stages::wanted(graph, o.dump),
            graphs: Known::new(),
            axes: Known::new(),
            known: Known::new(),
        }
    }

    /// The network.
    pub const fn graph(&self) -> &Graph {
        self.graph
    }

    /// Number of edges that stages are evaluated for.
    pub const fn boards(&self) -> usize {
        self.o.boards.len()
    }

    /// The stage of a key; `None` if it is impossible.
    pub fn get(&self, key: &StageKey) -> Option<Arc<TiledStage>> {
        let made = self.known.get(key, || self.tiled(key).map(Arc::new));
        made.ok()
    }

    /// Number of stages so far that are impossible, and why one of them is: the one that ends last.
    pub fn refused(&self) -> (usize, Option<PlanError>) {
        let known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused: BTreeMap<(usize, &StageKey), &PlanError> = known
            .iter()
            .filter_map(|(key, made)| Some(((key.end, key), made.as_ref().err()?)))
            .collect();
        let why = refused.values().next_back().map(|e| (*e).clone());
        (refused.len(), why)
    }

    /// Memory of a stage: its largest chain is built for it, so it is known only when asked for.
    pub fn memory(&self, stage: &TiledStage) -> StageMemory {
        *stage.memory.get_or_init(|| {
            let [ys, xs] = [&*stage.axes[0], &*stage.axes[1]];
            let how = How {
                network: self.graph,
                filters: None,
                sums: None,
                kernels: self.o.kernels_for(self.o.target()),
                rows: self.o.rows,
                apart: &BTreeSet::new(),
                team: stages::team(&stage.graph, [ys, xs], self.o.team()),
                elements: self.o.stored(self.graph),
            };
            let at = [(ys, longest(ys)), (xs, longest(xs))];
            let chain = stages::tile_chain(self.graph, &stage.graph, "", at, how);
            let floats = packing::stage_floats(self.graph, &stage.graph, &[&chain]);
            StageMemory {
                arena: VALUE_BYTES * chain.arena_floats as u64,
                weights: VALUE_BYTES * floats as u64,
            }
        })
    }

    fn stage_graph(&self, first: usize, end: usize) -> Result<Arc<StageGraph>, PlanError> {
        self.graphs.get(&(first, end), || {
            let stage = StageGraph::new(self.graph, first, end, &self.wanted);
            stage.check_busy()?;
            Ok(Arc::new(stage))
        })
    }

    /// One axis of a stage, cut; stages that differ in the other axis share it.
    fn axis(&self, stage: &StageGraph, key: &StageKey, axis: Axis) -> Option<Arc<AxisParts>> {
        let is_x = axis == Axis::X;
        let parts = key.grid[usize::from(is_x)];
        let shares = (key.shares.as_ref()).map_or_else(Vec::new, |s| s[usize::from(is_x)].clone());
        let axis_key = (key.first, key.end, is_x, parts, shares, key.border);
        self.axes.get(&axis_key, || {
            let shares = &axis_key.4;
            let cut = match (shares.is_empty(), key.border) {
                (true, _) => stages::parts(self.graph, stage, axis, parts, self.o.split),
                (_, Border::Exchange) => Ok(stages::parts_at(self.graph, stage, axis, shares)),
                _ => stages::parts_by(self.graph, stage, axis, shares),
            };
            cut.ok().map(Arc::new)
        })
    }

    fn tiled(&self, key: &StageKey) -> Result<TiledStage, PlanError> {
        let (graph, o, grid) = (self.graph, self.o, key.grid);
        let stage = self.stage_graph(key.first, key.end)?;
        let split = match (&key.shares, key.border) {
            (Some(_), Border::Recompute) => Split::Speed,
            _ => o.split,
        };
        stages::check_grid(graph, &stage, grid, split)?;
        let axis = |axis| self.axis(&stage, key, axis);
        let (Some(ys), Some(xs)) = (axis(Axis::Y), axis(Axis::X)) else {
            return Err(PlanError::Tiles {
                grid,
                largest: [1, 1],
            });
        };
        let data = stages::stage_data(graph, &stage, grid, (split, key.border), [&ys, &xs]);
        let times: Vec<Vec<TaskTime>> = (self.kinds.boards.iter())
            .map(|board| {
                let layers = LayerTimes::new(graph, o, board);
                cost::stage_times(&layers, &stage, [&ys, &xs], board)
            })
            .collect();
        let elements = o.stored(graph);
        let bytes = |(t, r): (&TensorIx, Region)| (r.len() * elements.read(*t).bytes()) as u64;
        let tiles = data.tiles.iter();
        let read = tiles.flat_map(|tile| stage.inputs.iter().zip(tile.inputs.iter().copied()));
        let inputs: u64 = read.map(bytes).sum();
        let whole = stage.inputs.iter();
        let whole: u64 = whole
            .map(|t| bytes((t, Region::whole(graph.shape(*t)))))
            .sum();
        Ok(TiledStage {
            compute_s: spread_s(o, &self.kinds, &times),
            least_s: least_s(o, &self.kinds, &times),
            halo: inputs.saturating_sub(whole),
            inputs,
            times,
            data,
            graph: stage,
            axes: [ys, xs],
            memory: OnceLock::new(),
        })
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
        let end = |c: &(usize, f64)| c.1 + times[c.0][tile].seconds;
        let first = cores.iter_mut().min_by(|a, b| end(a).total_cmp(&end(b)));
        if let Some((kind, free)) = first {
            *free += times[*kind][tile].seconds;
        }
    });
    cores.into_iter().map(|c| c.1).fold(0.0, f64::max)
}

/// Seconds in which all cores compute all tiles if tiles can be divided and transfers are free.
#[expect(clippy::cast_precision_loss, reason = "few cores")]
fn least_s(o: &PlanOptions, kinds: &Kinds<'_>, times: &[Vec<TaskTime>]) -> f64 {
    let seconds = |kind: usize| times[kind].iter().map(|t| t.seconds).sum::<f64>();
    let rates = (o.boards.iter().zip(&kinds.of))
        .map(|(b, kind)| b.cores.max(1) as f64 / seconds(*kind).max(1e-12));
    1.0 / rates.sum::<f64>().max(1e-12)
}
