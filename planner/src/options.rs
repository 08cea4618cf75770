//! What flags ask of a plan.

use std::sync::Arc;

use tessera_plan::{
    graph::Graph,
    plan::{Border, Placement, Plan, Split},
};

use crate::{
    boards::Board,
    kernel::{Family, Storage, Wanted, winograd::TILES},
    ranges::Ranges,
    wire::{Elements, Wire},
};

pub use crate::{
    boards::{Costs, TEAM},
    target::Target,
};

/// What flags ask of a plan.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Rows and columns of tiles: one grid for all stages, or one grid per stage. Empty: the planner searches.
    pub grids: Vec<[usize; 2]>,
    /// For each of `grids`, whether its columns are ranges of a convolution's output channels. Such stages end at `cuts`.
    /// A list that is shorter than `grids` has `false` for the rest.
    pub channels: Vec<bool>,
    /// Number of leading layers on edges. `None` with empty `cuts`: the planner searches.
    pub offload: Option<usize>,
    /// Ends of stages, as layer numbers; the last one is the offload point. Excludes `offload`.
    pub cuts: Vec<usize>,
    /// The rule by which grids cut maps.
    pub split: Split,
    /// How tiles get their halo: one policy for all stages, or one per stage of `cuts`. Empty: the planner searches, or
    /// halos are computed again where nothing is searched.
    pub borders: Vec<Border>,
    /// What the search looks for.
    pub goal: Goal,
    /// Edges that bring frames at the same time, for goals that count frames per second; at least 1.
    pub cameras: usize,
    /// True for bit-exact kernels and float32 objects only.
    pub exact: bool,
    /// Element types of frames and objects: bytes and half precision unless flags ask for others. `exact` overrides
    /// them with float32: see [`PlanOptions::stored`].
    pub wire: Wire,
    /// Ranges of values on calibration pictures, which objects of bytes need.
    pub ranges: Option<Arc<Ranges>>,
    /// The policy by which nodes share tasks.
    pub placement: Placement,
    /// How rows move through chains.
    pub rows: Rows,
    /// Kernels to choose from. `exact` overrides them with direct kernels.
    pub kernels: Family,
    /// Approximate number of tiles that a call of a Winograd kernel computes. Fewer tiles take less memory and
    /// more time.
    pub tiles: usize,
    /// Storage format of convolutions' weights.
    pub weights: Storage,
    /// The edges; at least one. The first one brings frames. The last one may be the gateway's board.
    pub boards: Vec<Board>,
    /// The board that merges tiles and computes the tail.
    pub gateway: Board,
    /// True if the tail hands over boundary tensors and the convolutions before heads, for `--dump`.
    pub dump: bool,
    /// The command that makes this plan again.
    pub command: String,
    /// Where the boards' figures come from, in sentences: plans have them among their reasons.
    pub notes: Vec<String>,
}

/// Numbers of threads that share a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Team {
    /// Of a task that a board has to itself: a tail, or a stage of one tile.
    pub alone: usize,
    /// Of every task.
    pub each: usize,
}

/// What the search looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Goal {
    /// The shortest time from a frame to its detections.
    #[default]
    Latency,
    /// The most frames per second of all sources together.
    Throughput,
    /// The shortest time of plans that compute so many frames per second, of all sources together; a number above 0.
    FramesPerSecond(f64),
}

/// How rows move through chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Through ring buffers, in row blocks whose heights the planner chooses.
    #[default]
    Rolling,
    /// Layer by layer, with whole maps: the order of the DeepThings paper.
    Whole,
    /// Through ring buffers, in row blocks of this many rows, for all layers.
    Blocks(usize),
}

impl Default for PlanOptions {
    /// Options that leave everything to the search, for two edges that run portable code.
    fn default() -> Self {
        Self::of(2, &Board::new(Target::Portable))
    }
}

impl PlanOptions {
    /// Options that leave everything to the search, for `edges` equal boards and a gateway of their kind.
    pub fn of(edges: usize, board: &Board) -> Self {
        Self {
            grids: Vec::new(),
            channels: Vec::new(),
            offload: None,
            cuts: Vec::new(),
            split: Split::Balanced,
            borders: Vec::new(),
            goal: Goal::Latency,
            cameras: 1,
            exact: false,
            wire: Wire::default(),
            ranges: None,
            placement: Placement::default(),
            rows: Rows::Rolling,
            kernels: Family::Auto,
            tiles: TILES,
            weights: Storage::Auto,
            boards: board.times(edges),
            gateway: board.gateway(),
            dump: false,
            command: String::new(),
            notes: Vec::new(),
        }
    }

    /// The same options for boards of another target.
    #[must_use]
    pub fn on(mut self, target: Target) -> Self {
        for board in self.boards.iter_mut().chain([&mut self.gateway]) {
            board.target = target;
        }
        self
    }

    /// The boards' targets, each once, in the boards' order.
    pub fn targets(&self) -> Vec<Target> {
        let mut list: Vec<Target> = Vec::new();
        for board in self.boards.iter().chain([&self.gateway]) {
            if !list.contains(&board.target) {
                list.push(board.target);
            }
        }
        list
    }

    /// The first edge's target; the gateway's if there are no edges.
    pub fn target(&self) -> Target {
        self.first().target
    }

    /// The first edge, which brings frames; the gateway if there are no edges.
    pub fn first(&self) -> &Board {
        self.boards.first().unwrap_or(&self.gateway)
    }

    /// These options with a gateway whose board computes `workers` tasks at a time too; 0: the tail only.
    #[must_use]
    pub fn with_gateway_workers(mut self, workers: usize) -> Self {
        if workers > 0 {
            self.boards.push(self.gateway.as_edge(workers));
        }
        self
    }

    /// Tasks that the gateway's board computes at a time; 0: the tail only.
    pub fn gateway_workers(&self) -> usize {
        let gateways = self.boards.iter().filter(|b| b.is_gateway);
        gateways.map(|b| b.cores).sum()
    }

    /// These options for boards whose cores share every task; `None` where that is no other way to use them.
    #[must_use]
    pub fn with_teams(&self) -> Option<Self> {
        let teams: Vec<Option<Board>> = self.boards.iter().map(Board::with_team).collect();
        teams.iter().any(Option::is_some).then(|| {
            let boards = self.boards.iter().zip(teams);
            Self {
                boards: boards
                    .map(|(b, team)| team.unwrap_or_else(|| b.clone()))
                    .collect(),
                ..self.clone()
            }
        })
    }

    /// These options for boards that use their cores as `plan` says.
    #[must_use]
    pub fn as_planned(&self, plan: &Plan) -> Self {
        let used = |board: &Board| {
            let planned = plan
                .boards
                .iter()
                .find(|b| b.id > 0 && b.name == board.name);
            planned.map_or_else(
                || board.clone(),
                |b| Board {
                    cores: b.workers,
                    threads: b.threads,
                    ..board.clone()
                },
            )
        };
        Self {
            boards: self.boards.iter().map(used).collect(),
            ..self.clone()
        }
    }

    /// Number of tasks that all edges compute at a time.
    pub fn cores(&self) -> usize {
        self.boards.iter().map(|b| b.cores.max(1)).sum()
    }

    /// The largest numbers of threads that share a task on any board: of a task that its board has to itself, and of every
    /// task.
    pub fn team(&self) -> Team {
        let boards = || self.boards.iter().chain([&self.gateway]);
        Team {
            alone: boards().map(|b| b.team.max(b.threads)).max().unwrap_or(1),
            each: boards().map(|b| b.threads).max().unwrap_or(1),
        }
    }

    /// The least memory limit of an edge, in bytes.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.boards.iter().filter_map(|b| b.memory_bytes).min()
    }

    /// The kernels to choose from: direct ones with `exact`.
    pub const fn family(&self) -> Family {
        if self.exact {
            Family::Direct
        } else {
            self.kernels
        }
    }

    /// Element types of the tensors of `graph`: float32 with `exact`.
    pub fn stored<'a>(&'a self, graph: &'a Graph) -> Elements<'a> {
        if self.exact {
            Elements::floats(graph)
        } else {
            Elements::new(graph, &self.wire, &self.cuts)
        }
    }

    /// Rules for choosing the kernels of `target`. The first board of that target decides, since all boards of a
    /// target run the same program.
    pub fn kernels_for(&self, target: Target) -> Wanted<'_> {
        let mut boards = self.boards.iter().chain([&self.gateway]);
        let board = boards.find(|b| b.target == target);
        self.kernels_on(board.unwrap_or(&self.gateway))
    }

    /// Rules for choosing the kernels of a board's program, at the board's own costs.
    pub fn kernels_on<'a>(&self, board: &'a Board) -> Wanted<'a> {
        Wanted {
            isa: board.target.kernels(),
            family: self.family(),
            tiles: self.tiles,
            weights: self.weights,
            costs: board.table(),
        }
    }
}
