//! Random worlds from a seed, by what they are about.

use std::sync::Arc;

use super::{
    draw::Draw,
    edge_node::EdgeSpec,
    fault::Scheduled,
    gateway_node::GatewaySpec,
    link::NetConfig,
    program::{self, ProgramConfig},
    storm::StormConfig,
    world::WorldConfig,
};
use tessera_protocol::{ProgramInfo, Refusal};

/// What a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Perfect,
    Loss1,
    Loss5,
    Loss20,
    DuplicateAndReorder,
    /// Slow links, some shared, with short queues.
    Narrow,
    /// Nodes that are no sources are killed; some come back.
    ThiefCrash,
    /// Sources are killed over links without faults; some come back.
    SourceCrash,
    GatewayRestart,
    /// Nodes and pairs are cut off, and heal.
    Partition,
    /// Two edges never hear each other, for good.
    PairCut,
    /// Leases expire and backups run.
    SlowWorker,
    /// Workers die in their jobs.
    WorkerCrash,
    /// A task that nobody survives.
    BrokenTask,
    /// Tails fail.
    TailFails,
    /// Nodes stand still for a while.
    Pause,
    /// A few chunks may be under way.
    TinyBudget,
    ManySources,
    /// Few slots for other nodes' tasks.
    TinyStore,
    /// Old datagrams come again, noise, truncated ones.
    Replay,
    /// Datagrams are changed on the way.
    Mutation,
    /// Nodes of another plan or model, and two with one id.
    Strangers,
    /// Many nodes, large grids, many frames in flight.
    Wide,
    /// Hundreds of frames.
    Long,
    /// Much at once, but nothing that may lose a frame.
    Rough,
    /// All of it.
    Chaos,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Perfect,
        Self::Loss1,
        Self::Loss5,
        Self::Loss20,
        Self::DuplicateAndReorder,
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
        Self::Wide,
        Self::Long,
        Self::Rough,
        Self::Chaos,
    ];
}

/// A world and what may be expected of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The world.
    pub world: WorldConfig,
    /// Virtual time from which nothing breaks any more.
    pub faults_end: u64,
    /// Nodes whose frames may be dropped; no other node's may.
    pub may_drop: Vec<usize>,
    /// Edges that are to be refused, and why; by index, ascending.
    pub refused: Vec<(usize, Refusal)>,
    /// Whether every frame of a killed source must have a record: the links are good enough for
    /// the gateway to know of it.
    pub records_of_dead: bool,
}

impl Scenario {
    /// The scenario of a kind and a seed.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut d = Draw::new(seed ^ ((kind as u64) << 56));
        let info = program::random(programs(kind), &mut d);
        let n = match kind {
            Kind::Wide => d.index(8, 40),
            _ => d.index(1, 6),
        };
        let sources = match kind {
            Kind::ManySources => n,
            _ => d.index(1, n.min(3)),
        };
        let mut edges: Vec<EdgeSpec> = (0..n).map(|k| edge(&info, k < sources, &mut d)).collect();
        // Sources need not be the first nodes.
        edges.rotate_right(d.index(0, n - 1));
        let gateway = GatewaySpec {
            tail_us: d.between(0, 20_000),
            clock_ppm: d.below(200) as i32 - 100,
            ..GatewaySpec::default()
        };
        let mut s = Self {
            world: WorldConfig {
                seed: d.word(),
                info: Arc::new(info),
                gateway,
                edges,
                net: NetConfig::default(),
                storm: StormConfig::CALM,
                broken_task: None,
                faults: Vec::new(),
                trace: false,
            },
            faults_end: 0,
            may_drop: Vec::new(),
            refused: Vec::new(),
            records_of_dead: false,
        };
        s.apply(kind, &mut d);
        s
    }
}

fn programs(kind: Kind) -> ProgramConfig {
    let usual = ProgramConfig::default();
    match kind {
        Kind::Wide => ProgramConfig { grid: 12, ..usual },
        Kind::Long => ProgramConfig {
            stages: 2,
            grid: 2,
            floats: 64,
            ..usual
        },
        _ => usual,
    }
}

fn edge(info: &ProgramInfo, source: bool, d: &mut Draw) -> EdgeSpec {
    let mut e = EdgeSpec::new();
    e.config.workers = d.index(1, 3);
    e.config.max_jobs = e.config.workers + d.index(0, 2);
    e.macs_per_us = d.between(1, 20);
    e.task_us = d.between(10, 500);
    e.steal_frames = d.index(0, 2);
    e.spill = d.chance(500_000);
    e.clock_ppm = d.below(200) as i32 - 100;
    e.frame_every = if d.chance(300_000) {
        d.below(200_000)
    } else {
        0
    };
    if source {
        // Large programs get fewer frames: a scenario is to take milliseconds.
        let values: usize = info.tensors.iter().map(|t| t.region.len()).sum();
        let most = (40_000 / (values + 2_000)).max(2);
        e = e.source(d.index(1, most.min(8)) as u32);
        e.config.max_frames = d.index(1, 3);
    }
    e
}

impl WorldConfig {
    /// Faults by time.
    pub fn faults(&self) -> &[Scheduled] {
        &self.faults
    }
}
