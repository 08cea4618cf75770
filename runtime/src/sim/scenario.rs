//! Random worlds from a seed, by what they are about.

use std::sync::Arc;

use super::{
    draw::Draw,
    edge_node::EdgeSpec,
    fault::{Fault, Scheduled},
    gateway_node::GatewaySpec,
    link::{Attachment, NetConfig, Weather},
    program::{self, ProgramConfig},
    storm::StormConfig,
    world::WorldConfig,
};
use crate::proto::{ProgramInfo, TransferConfig};

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
    /// All of it.
    Chaos,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 22] = [
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
    /// Whether every frame of a killed source must have a record: the links are good enough for
    /// the gateway to know of it.
    pub records_of_dead: bool,
}

/// Virtual time within which faults happen.
const FAULTS: u64 = 4_000_000;

impl Scenario {
    /// The scenario of a kind and a seed.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut d = Draw::new(seed ^ ((kind as u64) << 56));
        let info = program::random(ProgramConfig::default(), &mut d);
        let n = d.index(1, 6);
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
            records_of_dead: false,
        };
        s.apply(kind, &mut d);
        s
    }

    fn apply(&mut self, kind: Kind, d: &mut Draw) {
        match kind {
            Kind::Perfect => {}
            Kind::Loss1 => self.loss(10_000),
            Kind::Loss5 => self.loss(50_000),
            Kind::Loss20 => self.loss(200_000),
            Kind::DuplicateAndReorder => self.disorder(d),
            Kind::Narrow => self.narrow(d),
            Kind::ThiefCrash => self.crashes(d, false),
            Kind::SourceCrash => {
                self.records_of_dead = true;
                self.crashes(d, true);
            }
            Kind::GatewayRestart => self.gateway_restarts(d),
            Kind::Partition => self.partitions(d),
            Kind::PairCut => self.pair_cut(d),
            Kind::SlowWorker => self.slow_workers(d),
            Kind::WorkerCrash => self.edges(|e| e.lose_ppm = 150_000),
            Kind::BrokenTask => self.broken_task(d),
            Kind::TailFails => {
                self.world.gateway.fail_ppm = 300_000;
                self.may_drop = (0..=self.world.edges.len()).collect();
            }
            Kind::Pause => self.pauses(d),
            Kind::TinyBudget => self.tiny_budget(d),
            Kind::ManySources => self.many_sources(d),
            Kind::TinyStore => self.tiny_store(d),
            Kind::Replay | Kind::Mutation => self.storm(kind, d),
            Kind::Chaos => self.chaos(d),
        }
        self.world.faults.sort_by_key(|f| f.0);
    }

    fn edges(&mut self, mut f: impl FnMut(&mut EdgeSpec)) {
        self.world.edges.iter_mut().for_each(&mut f);
    }

    fn fault(&mut self, at: u64, fault: Fault) {
        self.faults_end = self.faults_end.max(at);
        self.world.faults.push((at, fault));
    }

    /// Nodes that are sources, or that are not.
    fn nodes(&self, sources: bool) -> Vec<usize> {
        let edges = self.world.edges.iter().enumerate();
        edges
            .filter(|(_, e)| (e.frames > 0) == sources)
            .map(|(k, _)| k + 1)
            .collect()
    }

    /// A time while work is going on, mostly.
    fn time(d: &mut Draw) -> u64 {
        let most = if d.chance(700_000) {
            FAULTS / 8
        } else {
            FAULTS
        };
        d.between(1_000, most)
    }

    fn weather(&mut self) -> &mut Weather {
        &mut self.world.net.weather
    }

    /// Lasts as long as the world.
    fn loss(&mut self, ppm: u32) {
        self.weather().loss_ppm = ppm;
    }

    fn disorder(&mut self, d: &mut Draw) {
        *self.weather() = Weather {
            loss_ppm: 0,
            duplicate_ppm: d.between(10_000, 300_000) as u32,
            reorder_ppm: d.between(10_000, 300_000) as u32,
            reorder: d.between(500, 60_000),
            jitter: d.below(2_000),
        };
    }

    fn narrow(&mut self, d: &mut Draw) {
        self.world.net.overhead_bytes = NetConfig::ETHERNET_OVERHEAD;
        if d.chance(400_000) {
            self.world.net.shared_bits_per_s = d.pick(&[10_000_000, 38_400_000, 100_000_000]);
        }
        let mut attach = |a: &mut Attachment| {
            a.bits_per_s = d.pick(&[5_000_000, 20_000_000, 100_000_000, 1_000_000_000]);
            a.delay = d.between(50, 20_000);
            a.queue_bytes = d.between(16 * 1024, 128 * 1024);
        };
        attach(&mut self.world.gateway.attachment);
        self.edges(|e| attach(&mut e.attachment));
    }

    fn crashes(&mut self, d: &mut Draw, of_sources: bool) {
        let nodes = self.nodes(of_sources);
        if of_sources {
            self.may_drop.clone_from(&nodes);
        }
        for node in nodes {
            for _ in 0..d.index(0, 2) {
                let at = Self::time(d);
                self.fault(at, Fault::Crash { node });
                if d.chance(700_000) {
                    let at = at + d.between(1, 3_000_000);
                    let moved = d.chance(500_000);
                    self.fault(at, Fault::Start { node, moved });
                }
            }
        }
    }

    fn gateway_restarts(&mut self, d: &mut Draw) {
        for _ in 0..d.index(1, 3) {
            let at = Self::time(d);
            let node = 0;
            self.fault(at, Fault::Crash { node });
            let moved = false;
            let back = at + d.between(1, 3_000_000);
            self.fault(back, Fault::Start { node, moved });
        }
    }

    fn partitions(&mut self, d: &mut Draw) {
        let n = self.world.edges.len();
        for _ in 0..d.index(1, 4) {
            let at = Self::time(d);
            let until = at + d.between(1_000, 4_000_000);
            let (from, to) = (d.index(0, n), d.index(0, n));
            if d.chance(400_000) {
                self.fault(at, Fault::Isolate { node: from });
                self.fault(until, Fault::HealAll);
                self.may_drop.extend(0..=n);
            } else if from != to {
                self.fault(at, Fault::Cut { from, to });
                self.fault(until, Fault::Heal { from, to });
                if d.chance(500_000) {
                    self.fault(at, Fault::Cut { from: to, to: from });
                    self.fault(until, Fault::Heal { from: to, to: from });
                }
                if from * to == 0 {
                    self.may_drop.push(from + to);
                }
            }
        }
    }

    fn pair_cut(&mut self, d: &mut Draw) {
        let n = self.world.edges.len();
        let (from, to) = (d.index(1, n), d.index(1, n));
        let at = Self::time(d);
        if from != to {
            self.fault(at, Fault::Cut { from, to });
            if d.chance(500_000) {
                self.fault(at, Fault::Cut { from: to, to: from });
            }
        }
    }

    fn slow_workers(&mut self, d: &mut Draw) {
        let (lease, backup) = (d.between(100_000, 1_000_000), d.between(50_000, 1_000_000));
        let cap = d.between(300_000, 3_000_000);
        self.edges(|e| {
            e.config.lease = lease;
            e.config.lease_cap = cap;
            e.config.backup_after = backup;
            if d.chance(400_000) {
                e.macs_per_us = d.between(1, 4);
            }
            e.straggle_ppm = 100_000;
            e.straggle = d.between(2, 30);
        });
    }

    fn broken_task(&mut self, d: &mut Draw) {
        let tasks = self.world.info.tasks.len();
        if tasks > 0 {
            self.world.broken_task = Some(d.below(tasks as u64) as u32);
            self.may_drop = (0..=self.world.edges.len()).collect();
        }
    }

    fn pauses(&mut self, d: &mut Draw) {
        let n = self.world.edges.len();
        for _ in 0..d.index(1, 4) {
            let node = d.index(0, n);
            let long = d.chance(500_000);
            let us = if long {
                d.between(1_000_000, 6_000_000)
            } else {
                d.between(1_000, 900_000)
            };
            if long {
                self.may_drop.push(node);
                if node == 0 {
                    self.may_drop.extend(1..=n);
                }
            }
            let at = Self::time(d);
            self.fault(at, Fault::Pause { node, us });
            self.faults_end = self.faults_end.max(at + us);
        }
    }

    fn tiny_budget(&mut self, d: &mut Draw) {
        let mut tiny = |t: &mut TransferConfig| {
            t.chunk_bytes = d.pick(&[64, 256, 1200, TransferConfig::MAX_CHUNK]);
            t.receive_budget = t.chunk_bytes * d.index(1, 4);
            t.first_window = d.between(1, 32) as u32;
        };
        tiny(&mut self.world.gateway.config.transfer);
        self.edges(|e| tiny(&mut e.config.transfer));
    }

    fn many_sources(&mut self, d: &mut Draw) {
        self.world.gateway.config.max_frames = d.index(1, 8);
        self.edges(|e| {
            e.frames = d.between(1, 6) as u32;
            e.config.max_frames = d.index(1, 4);
        });
    }

    fn tiny_store(&mut self, d: &mut Draw) {
        self.world.gateway.config.max_frames = d.index(1, 2);
        self.world.gateway.config.max_pulls = d.index(1, 4);
        self.edges(|e| {
            e.steal_frames = 0;
            e.config.steal_floats = d.pick(&[0, 100, 2_000, usize::MAX]);
            e.config.max_frames = e.config.max_frames.min(1);
        });
    }

    fn storm(&mut self, kind: Kind, d: &mut Draw) {
        self.faults_end = FAULTS;
        self.world.storm = StormConfig {
            every: d.between(50, 3_000),
            noise: 1,
            mutated: if kind == Kind::Mutation { 4 } else { 0 },
            resized: 2,
            replayed: if kind == Kind::Replay { 6 } else { 0 },
        };
    }

    fn chaos(&mut self, d: &mut Draw) {
        if d.chance(500_000) {
            self.disorder(d);
        }
        self.weather().loss_ppm = d.pick(&[0, 10_000, 100_000]);
        let calm = Fault::Weather(Weather::default());
        self.fault(2 * FAULTS, calm);
        if d.chance(300_000) {
            self.narrow(d);
        }
        if d.chance(300_000) {
            self.tiny_store(d);
        }
        if d.chance(300_000) {
            self.tiny_budget(d);
        }
        if d.chance(300_000) {
            self.slow_workers(d);
        }
        if d.chance(300_000) {
            self.edges(|e| e.lose_ppm = 50_000);
        }
        if d.chance(500_000) {
            self.storm(Kind::Replay, d);
        }
        let of_sources = d.chance(500_000);
        self.crashes(d, of_sources);
        if d.chance(500_000) {
            self.gateway_restarts(d);
        }
        if d.chance(500_000) {
            self.partitions(d);
        }
        if d.chance(500_000) {
            self.pauses(d);
        }
        self.may_drop = (0..=self.world.edges.len()).collect();
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
        let floats: usize = info.tensors.iter().map(|t| t.len()).sum();
        let most = (40_000 / (floats + 2_000)).max(2);
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
