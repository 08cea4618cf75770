//! Random worlds from a seed, by kind.

use std::sync::Arc;

use super::{
    edge_spec::EdgeSpec,
    fault::ScheduledFault,
    gateway_node::GatewaySpec,
    program::{self, ProgramConfig},
    random::RandomSource,
    world::WorldConfig,
};
use tessera_protocol::{Placement, ProgramInfo, Refusal, Verify};

/// The faults and settings that a scenario tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ScenarioKind {
    Perfect,
    Loss1,
    Loss5,
    Loss20,
    DuplicateAndReorder,
    /// The network silently drops long datagrams.
    NarrowPath,
    /// Links are slow, some of them shared, with short queues.
    Narrow,
    /// Nodes that are no sources are killed; some of them start again.
    ThiefCrash,
    /// Sources are killed over links without faults; some of them start again.
    SourceCrash,
    GatewayRestart,
    /// Nodes and pairs are cut off for a while.
    Partition,
    /// Two edges never hear each other.
    PairCut,
    /// Slow workers let leases expire, so that backup copies run.
    SlowWorker,
    /// Workers die in the middle of jobs.
    WorkerCrash,
    /// One task kills every worker that runs the task.
    BrokenTask,
    /// Some tails fail.
    TailFails,
    /// Nodes stand still for a while.
    Pause,
    /// Only a few chunks may be in flight.
    TinyBudget,
    ManySources,
    /// Stores have few slots for other nodes' tasks.
    TinyStore,
    /// The network delivers old datagrams again, noise, and truncated datagrams.
    Replay,
    /// The network changes datagrams on their way.
    Mutation,
    /// Some nodes have another plan or model, or the id of another node.
    Strangers,
    /// Every node restarts again and again, the gateway too, with old datagrams under way.
    Restarts,
    /// More sources have frozen workers than the gateway has room for frames; one source is sound.
    FrozenWorkers,
    /// Two edges with one id come, go, and are cut off.
    Twins,
    /// Many nodes, large grids, many frames in flight.
    Wide,
    /// Hundreds of frames.
    Long,
    /// Many faults at once, but none that may lose a frame.
    Rough,
    /// Every kind of fault at once.
    Chaos,
    /// Some boards compute wrong bits, and sources have all that others compute computed again.
    WrongBoards,
}

impl ScenarioKind {
    /// Every kind of scenario.
    pub const ALL: [Self; 31] = [
        Self::Perfect,
        Self::Loss1,
        Self::Loss5,
        Self::Loss20,
        Self::DuplicateAndReorder,
        Self::NarrowPath,
        Self::Narrow,
        Self::ThiefCrash,
        Self::SourceCrash,
        Self::GatewayRestart,
        Self::Partition,
        Self::PairCut,
        Self::SlowWorker,
        Self::WorkerCrash,
        Self::BrokenTask,
        Self::TailFails,
        Self::Pause,
        Self::TinyBudget,
        Self::ManySources,
        Self::TinyStore,
        Self::Replay,
        Self::Mutation,
        Self::Strangers,
        Self::Restarts,
        Self::FrozenWorkers,
        Self::Twins,
        Self::Wide,
        Self::Long,
        Self::Rough,
        Self::Chaos,
        Self::WrongBoards,
    ];
}

/// A world and the outcomes that the rules allow in that world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Configuration of the world.
    pub world: WorldConfig,
    /// Virtual time of the last fault or repair, in microseconds.
    pub faults_end_us: u64,
    /// Nodes whose frames the gateway may drop; no other node's frames may be dropped.
    pub may_drop: Vec<usize>,
    /// Edges that the gateway must refuse, with the reason; ordered by index.
    pub refused: Vec<(usize, Refusal)>,
    /// Pairs of edges with one id: while both live, the gateway refuses one of them.
    pub twins: Vec<(usize, usize)>,
    /// The same, of which the second begins later.
    pub late_twins: Vec<(usize, usize)>,
    /// Edges whose frames must have ended by [`Self::faults_end_us`].
    pub sound: Vec<usize>,
    /// Whether every frame of a killed source must have a record, because the links are good enough for
    /// the gateway to know of the frame.
    pub records_of_dead: bool,
}

impl Scenario {
    /// Makes the scenario of a kind and a seed. Even seeds steal; in odd ones, tasks have home boards.
    pub fn new(kind: ScenarioKind, seed: u64) -> Self {
        let placement = if seed.is_multiple_of(2) {
            Placement::Steal
        } else {
            Placement::Home
        };
        Self::placed(kind, seed, placement)
    }

    /// Lets all sources check a share of what others compute, in parts per million.
    #[must_use]
    pub fn verifying(mut self, ppm: u32) -> Self {
        let seed = self.world.seed;
        self.edges(|e| e.config.verify = Verify { ppm, seed });
        self
    }

    /// Makes the scenario of a kind and a seed, with this placement.
    pub fn placed(kind: ScenarioKind, seed: u64, placement: Placement) -> Self {
        Self::of(kind, seed, placement, false)
    }

    /// The same, with tasks that hand strips to each other, as where borders are reused.
    pub fn reusing(kind: ScenarioKind, seed: u64, placement: Placement) -> Self {
        Self::of(kind, seed, placement, true)
    }

    fn of(kind: ScenarioKind, seed: u64, placement: Placement, strips: bool) -> Self {
        let mut random = RandomSource::new(seed ^ ((kind as u64) << 56));
        let mut info = program::random(programs(kind), &mut random);
        if strips {
            let mut own = RandomSource::new(seed.rotate_left(32) ^ 7);
            program::give_strips(&mut info, programs(kind), &mut own);
        }
        let n = match kind {
            ScenarioKind::Wide => random.index(8, 40),
            _ => random.index(1, 6),
        };
        if placement.has_homes() {
            // The rest of the scenario is the same with all placements. Some boards may be missing.
            let mut homes = RandomSource::new(!seed);
            program::give_homes(&mut info, placement, n + 1, &mut homes);
        }
        let sources = match kind {
            ScenarioKind::ManySources | ScenarioKind::FrozenWorkers => n,
            _ => random.index(1, n.min(3)),
        };
        let mut edges: Vec<EdgeSpec> = (0..n)
            .map(|k| edge(&info, k < sources, &mut random))
            .collect();
        // Sources need not be the first nodes.
        edges.rotate_right(random.index(0, n - 1));
        let gateway = GatewaySpec {
            tail_us: random.between(0, 20_000),
            clock_ppm: random.below(200) as i32 - 100,
            ..GatewaySpec::default()
        };
        let mut s = Self {
            world: WorldConfig {
                seed: random.word(),
                gateway,
                edges,
                ..WorldConfig::new(Arc::new(info))
            },
            faults_end_us: 0,
            may_drop: Vec::new(),
            refused: Vec::new(),
            twins: Vec::new(),
            late_twins: Vec::new(),
            sound: Vec::new(),
            records_of_dead: false,
        };
        s.apply(kind, &mut random);
        s
    }
}

fn programs(kind: ScenarioKind) -> ProgramConfig {
    let usual = ProgramConfig::default();
    match kind {
        ScenarioKind::Wide => ProgramConfig { grid: 12, ..usual },
        ScenarioKind::Long => ProgramConfig {
            stages: 2,
            grid: 2,
            values_max: 64,
            ..usual
        },
        _ => usual,
    }
}

fn edge(info: &ProgramInfo, source: bool, random: &mut RandomSource) -> EdgeSpec {
    let mut e = EdgeSpec::new();
    e.config.workers = random.index(1, 3);
    e.config.jobs_max = e.config.workers + random.index(0, 2);
    e.macs_per_us = random.between(1, 20);
    e.task_us = random.between(10, 500);
    e.steal_frames = random.index(0, 2);
    e.spill = random.chance(500_000);
    e.clock_ppm = random.below(200) as i32 - 100;
    e.frame_interval_us = if random.chance(300_000) {
        random.below(200_000)
    } else {
        0
    };
    if source {
        // Large programs get fewer frames: a scenario is to take milliseconds.
        let values: usize = info.tensors.iter().map(|t| t.region.len()).sum();
        let most = (40_000 / (values + 2_000)).max(2);
        e = e.source(random.index(1, most.min(8)) as u32);
        e.config.frames_max = random.index(1, 3);
    }
    e
}

impl WorldConfig {
    /// The scheduled faults, ordered by time.
    pub fn faults(&self) -> &[ScheduledFault] {
        &self.faults
    }
}
