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
    memory::{VALUE_BYTES, part_floats},
    options::PlanOptions,
    packing,
    stages::{self, AxisParts, ReuseStage, Shares, StageCut},
};
use tessera_plan::{
    dataflow::Progress,
    graph::{Graph, NodeIx, TensorIx},
    plan::{Border, Chain, Split, Stage},
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
    /// Its tasks, if its tiles have two colours.
    pub reuse: Option<ReuseStage>,
    pub graph: Arc<StageGraph>,
    axes: [Arc<AxisParts>; 2],
    /// See [`Stages::memory`].
    memory: OnceLock<StageMemory>,
    /// See [`Stages::progress`].
    progress: OnceLock<Vec<Arc<Progress>>>,
}

impl TiledStage {
    /// The convolution of which the stage makes partial sums, and how many parts.
    pub fn partial(&self) -> Option<Partial> {
        Some((self.graph.sums?, self.graph.ranges.len()))
    }
}

/// A convolution of which partial sums travel, and the number of parts.
pub(super) type Partial = (NodeIx, usize);

/// Memory that a stage takes on an edge.
#[derive(Clone, Debug)]
pub(super) struct StageMemory {
    /// Bytes of the largest tile's arena: a lower bound of the stage's arena.
    pub arena: u64,
    /// Bytes of the stage's packed weights, if all tiles read all of them.
    pub weights: u64,
    /// Of a stage that is cut by channels: bytes of the weights that each tile reads.
    pub parts: Vec<u64>,
    /// Number of tiles.
    pub tiles: usize,
}

/// What tells stages apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StageKey {
    pub first: usize,
    pub end: usize,
    pub grid: [usize; 2],
    pub shares: Option<Shares>,
    pub border: Border,
    /// Whether the grid's columns are ranges of channels.
    pub channels: bool,
    /// What the stage reads in partial sums.
    pub sums: Vec<Partial>,
}

/// No nodes.
static NONE: BTreeSet<NodeIx> = BTreeSet::new();

/// A stage and its cut axes.
type Cut = (Arc<StageGraph>, [Arc<AxisParts>; 2]);

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
    /// Seconds of layers on each kind of board.
    layers: Vec<LayerTimes<'a>>,
    wanted: Vec<TensorIx>,
    graphs: Known<(usize, usize), Result<Arc<StageGraph>, PlanError>>,
    axes: Known<AxisKey, Option<Arc<AxisParts>>>,
    known: Known<StageKey, Result<Arc<TiledStage>, PlanError>>,
}

impl<'a> Stages<'a> {
    pub fn new(graph: &'a Graph, o: &'a PlanOptions) -> Self {
        let kinds = Kinds::new(&o.boards);
        let layers = kinds.boards.iter().map(|b| LayerTimes::new(graph, o, b));
        Self {
            graph,
            o,
            layers: layers.collect(),
            kinds,
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

    /// Number of stages of tiles so far that are impossible, and why one of them is: the one that ends last.
    pub fn refused(&self) -> (usize, Option<PlanError>) {
        let known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused: BTreeMap<(usize, &StageKey), &PlanError> = known
            .iter()
            .filter(|(key, _)| !key.channels)
            .filter_map(|(key, made)| Some(((key.end, key), made.as_ref().err()?)))
            .collect();
        let why = refused.values().next_back().map(|e| (*e).clone());
        (refused.len(), why)
    }

    /// Memory of a stage: its largest chain is built for it, so it is known only when asked for.
    pub fn memory<'b>(&self, stage: &'b TiledStage) -> &'b StageMemory {
        stage.memory.get_or_init(|| {
            let (graph, layers) = (self.graph, &*stage.graph);
            let [ys, xs] = [&*stage.axes[0], &*stage.axes[1]];
            let chains = self.chains(stage, [longest(ys), longest(xs)], |graph, at, how| {
                stages::tile_chain(graph, layers, "", at, how)
            });
            let arena = chains.iter().map(|c| c.arena_floats).max().unwrap_or(0);
            let (mut weights, mut parts) = (0, Vec::new());
            if layers.ranges.is_empty() {
                let chains: Vec<&Chain> = chains.iter().collect();
                weights = VALUE_BYTES * packing::stage_floats(graph, layers, &chains) as u64;
            } else {
                parts.extend(chains.iter().map(|c| VALUE_BYTES * part_floats(c)));
            }
            StageMemory {
                arena: VALUE_BYTES * arena as u64,
                weights,
                parts,
                tiles: stage.data.tiles.len(),
            }
        })
    }

    /// How far the stage's tiles get with some of their rows, by tile. Tiles of one row of the grid differ in their
    /// columns alone; they get as far as the first one.
    pub fn progress<'b>(&self, stage: &'b TiledStage) -> &'b [Arc<Progress>] {
        stage.progress.get_or_init(|| {
            if let Some(reuse) = &stage.reuse {
                return self.reuse_progress(stage, reuse);
            }
            let [ys, xs] = [&*stage.axes[0], &*stage.axes[1]];
            let first = xs.firsts.first().copied().unwrap_or(0);
            let rows = ys.firsts.iter().map(|row| {
                let orders = self.chains(stage, [*row, first], |graph, at, how| {
                    stages::tile_order(graph, &stage.graph, at, how)
                });
                let progress = orders.iter().map(|c| Arc::new(Progress::of(c)));
                progress.collect::<Vec<_>>()
            });
            let rows: Vec<_> = rows.collect();
            let columns = xs
                .classes
                .iter()
                .flat_map(|_| 0..rows.first().map_or(0, Vec::len));
            let tiles = ys.classes.iter();
            tiles
                .flat_map(|y| columns.clone().map(|part| Arc::clone(&rows[*y][part])))
                .collect()
        })
    }

    fn reuse_progress(&self, stage: &TiledStage, reuse: &ReuseStage) -> Vec<Arc<Progress>> {
        let how = self.how(stage);
        let of_class = reuse.firsts.iter().map(|k| {
            let order = stages::reuse_order(self.graph, &stage.graph, &reuse.tasks[*k], how);
            Arc::new(Progress::of(&order))
        });
        let classes: Vec<Arc<Progress>> = of_class.collect();
        let tasks = reuse.tasks.iter();
        tasks.map(|t| Arc::clone(&classes[t.class])).collect()
    }

    /// How the chains of a stage that is not cut by channels are computed.
    fn how<'b>(&'b self, stage: &'b TiledStage) -> How<'b> {
        let axes = [&*stage.axes[0], &*stage.axes[1]];
        How {
            network: stage.graph.network(self.graph),
            filters: None,
            sums: None,
            kernels: self.o.kernels_for(self.o.target()),
            rows: self.o.rows,
            apart: &NONE,
            team: stages::team(&stage.graph, axes, self.o.team()),
            streams: stages::streams(&stage.graph, axes),
            elements: self.o.stored(self.graph),
        }
    }

    /// The chains of the tiles at one place of a stage's grid, as `make` makes them: one, or one for every range of
    /// channels.
    fn chains(
        &self,
        stage: &TiledStage,
        [row, column]: [usize; 2],
        make: impl Fn(&Graph, [(&AxisParts, usize); 2], How<'_>) -> Chain,
    ) -> Vec<Chain> {
        let (graph, layers) = (self.graph, &*stage.graph);
        let [ys, xs] = [&*stage.axes[0], &*stage.axes[1]];
        let sums = layers.sums.map(|n| (n, stages::longest(graph, layers)));
        let how = How {
            sums: sums.as_ref().map(|(n, g)| (*n, g)),
            ..self.how(stage)
        };
        let at = [(ys, row), (xs, column)];
        let parts = stages::narrowed(graph, layers).into_iter().map(|part| {
            let filters = part.filters;
            make(&part.graph, at, How { filters, ..how })
        });
        parts.collect()
    }

    /// Those of `partial` that layers `first..end` read.
    pub fn reads(&self, first: usize, end: usize, partial: &[Partial]) -> Vec<Partial> {
        let Ok(stage) = self.stage_graph(first, end) else {
            return Vec::new();
        };
        let read = |p: &&Partial| stage.inputs.contains(&TensorIx::node(p.0));
        partial.iter().filter(read).copied().collect()
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

    /// A stage and its axes, which other grids share.
    fn of_axes(&self, key: &StageKey, split: Split) -> Result<Cut, PlanError> {
        let stage = self.stage_graph(key.first, key.end)?;
        stages::check_grid(self.graph, &stage, key.grid, split)?;
        let axis = |axis| self.axis(&stage, key, axis);
        let (Some(ys), Some(xs)) = (axis(Axis::Y), axis(Axis::X)) else {
            return Err(PlanError::Tiles {
                grid: key.grid,
                largest: [1, 1],
            });
        };
        Ok((stage, [ys, xs]))
    }

    /// A stage that is cut by channels, or reads partial sums, and its axes.
    fn of_its_own(&self, key: &StageKey) -> Result<Cut, PlanError> {
        let mut stage = (*self.stage_graph(key.first, key.end)?).clone();
        for (made, parts) in &key.sums {
            stages::read_sums(self.graph, &mut stage, *made, *parts);
        }
        let how = StageCut {
            grid: key.grid,
            shares: key.shares.as_ref(),
            border: key.border,
            channels: key.channels,
        };
        let axes = stages::cut_stage(self.graph, &mut stage, how, self.o)?;
        Ok((Arc::new(stage), axes.map(Arc::new)))
    }

    fn tiled(&self, key: &StageKey) -> Result<TiledStage, PlanError> {
        let (graph, o, grid) = (self.graph, self.o, key.grid);
        let split = match (&key.shares, key.border) {
            _ if key.channels => Split::Channels,
            (Some(_), Border::Recompute | Border::Reuse) => Split::Speed,
            _ => o.split,
        };
        let (stage, [ys, xs]) = if key.channels || !key.sums.is_empty() {
            self.of_its_own(key)?
        } else {
            self.of_axes(key, split)?
        };
        let reuses = key.border == Border::Reuse;
        let reuse = reuses.then(|| ReuseStage::new(stage.network(graph), &stage, [&ys, &xs]));
        let reuse = reuse.transpose()?;
        let data = match &reuse {
            Some(reuse) => stages::reuse_data(graph, &stage, reuse, (grid, split), 0),
            None => stages::stage_data(graph, &stage, grid, (split, key.border), [&ys, &xs]),
        };
        let kinds = self.kinds.boards.iter().zip(&self.layers);
        let times: Vec<Vec<TaskTime>> = kinds
            .map(|(board, layers)| match &reuse {
                Some(reuse) => cost::reuse_times(layers, &stage, reuse, board),
                None => cost::stage_times(layers, &stage, [&ys, &xs], board),
            })
            .collect();
        // Tasks that stand in for others are not expected to run.
        let expected = |list: &Vec<TaskTime>| -> Vec<TaskTime> {
            let tiles = list.iter().zip(&data.tiles);
            tiles
                .filter(|(_, t)| t.instead_of.is_none())
                .map(|(time, _)| *time)
                .collect()
        };
        let run: Vec<Vec<TaskTime>> = times.iter().map(expected).collect();
        let elements = o.stored(graph);
        let bytes = |(t, r): (&TensorIx, Region)| (r.len() * elements.read(*t).bytes()) as u64;
        let tiles = data.tiles.iter().filter(|t| t.instead_of.is_none());
        let read = tiles.flat_map(|tile| stage.inputs.iter().zip(tile.inputs.iter().copied()));
        let inputs: u64 = read.map(bytes).sum();
        let whole = stage.inputs.iter();
        let whole: u64 = whole
            .map(|t| bytes((t, Region::whole(graph.shape(*t)))))
            .sum();
        Ok(TiledStage {
            compute_s: spread_s(o, &self.kinds, &run),
            least_s: least_s(o, &self.kinds, &run),
            halo: inputs.saturating_sub(whole),
            inputs,
            times,
            data,
            reuse,
            graph: stage,
            axes: [ys, xs],
            memory: OnceLock::new(),
            progress: OnceLock::new(),
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
