//! The faults of each kind of scenario.

use super::{
    edge_spec::{EdgeSpec, Stranger},
    fault::Fault,
    hostile::HostileConfig,
    link::{Attachment, LinkConditions, NetConfig},
    random::RandomSource,
    scenario::{Scenario, ScenarioKind},
};
use tessera_protocol::{Refusal, TaskId, TransferConfig, Verify};

/// Virtual time within which faults happen.
const FAULTS_US: u64 = 4_000_000;

impl Scenario {
    /// Adds the faults and settings of one scenario kind.
    pub(super) fn apply(&mut self, kind: ScenarioKind, random: &mut RandomSource) {
        match kind {
            ScenarioKind::Perfect => {}
            ScenarioKind::Loss1 => self.loss(10_000),
            ScenarioKind::Loss5 => self.loss(50_000),
            ScenarioKind::Loss20 => self.loss(200_000),
            ScenarioKind::DuplicateAndReorder => self.disorder(random),
            ScenarioKind::NarrowPath => {
                self.world.net.datagram_bytes_max = random.index(548, 1_240);
                self.loss(random.pick(&[0, 0, 20_000]));
            }
            ScenarioKind::Narrow => self.narrow(random),
            ScenarioKind::ThiefCrash => self.crashes(random, false),
            ScenarioKind::SourceCrash => {
                self.records_of_dead = true;
                self.crashes(random, true);
            }
            ScenarioKind::GatewayRestart => self.gateway_restarts(random),
            ScenarioKind::Partition => self.partitions(random),
            ScenarioKind::PairCut => self.pair_cut(random),
            ScenarioKind::SlowWorker => self.slow_workers(random),
            ScenarioKind::WorkerCrash => self.edges(|e| e.lose_ppm = 150_000),
            ScenarioKind::BrokenTask => self.broken_task(random),
            ScenarioKind::TailFails => {
                self.world.gateway.fail_ppm = 300_000;
                self.may_drop = (0..=self.world.edges.len()).collect();
            }
            ScenarioKind::Pause => self.pauses(random),
            ScenarioKind::TinyBudget => self.tiny_budget(random),
            ScenarioKind::ManySources => self.many_sources(random),
            ScenarioKind::TinyStore => self.tiny_store(random),
            ScenarioKind::Replay | ScenarioKind::Mutation => self.hostile(kind, random),
            ScenarioKind::Strangers => self.strangers(random),
            ScenarioKind::Restarts => self.restarts(random),
            ScenarioKind::FrozenWorkers => self.frozen_workers(random),
            ScenarioKind::Twins => self.twins(random),
            ScenarioKind::Wide => self.wide(random),
            ScenarioKind::Long => self.long(random),
            ScenarioKind::Rough => self.rough(random),
            ScenarioKind::Chaos => self.chaos(random),
            ScenarioKind::WrongBoards => self.wrong_boards(random),
        }
        self.world.faults.sort_by_key(|f| f.0);
    }

    /// Boards that are no sources compute wrong, now and then or always.
    fn wrong_boards(&mut self, random: &mut RandomSource) {
        let seed = random.word();
        let ppm = Verify::ALL_PPM;
        self.edges(|e| {
            if e.frames > 0 {
                e.config.verify = Verify { ppm, seed };
            } else if random.chance(600_000) {
                e.wrong_ppm = random.pick(&[50_000, 300_000, 1_000_000]);
            }
        });
        if random.chance(300_000) {
            self.loss(30_000);
        }
    }

    pub(super) fn edges(&mut self, mut f: impl FnMut(&mut EdgeSpec)) {
        self.world.edges.iter_mut().for_each(&mut f);
    }

    fn fault(&mut self, at_us: u64, fault: Fault) {
        self.faults_end_us = self.faults_end_us.max(at_us);
        self.world.faults.push((at_us, fault));
    }

    /// Indices of all source nodes, or of all other nodes.
    fn nodes(&self, sources: bool) -> Vec<usize> {
        let edges = self.world.edges.iter().enumerate();
        edges
            .filter(|(_, e)| (e.frames > 0) == sources)
            .map(|(k, _)| k + 1)
            .collect()
    }

    /// A random time, mostly while the cluster has work.
    fn time_us(random: &mut RandomSource) -> u64 {
        let most = if random.chance(700_000) {
            FAULTS_US / 8
        } else {
            FAULTS_US
        };
        random.between(1_000, most)
    }

    fn conditions(&mut self) -> &mut LinkConditions {
        &mut self.world.net.conditions
    }

    /// Adds packet loss that lasts as long as the world.
    fn loss(&mut self, ppm: u32) {
        self.conditions().loss_ppm = ppm;
    }

    fn disorder(&mut self, random: &mut RandomSource) {
        *self.conditions() = LinkConditions {
            loss_ppm: 0,
            duplicate_ppm: random.between(10_000, 300_000) as u32,
            reorder_ppm: random.between(10_000, 300_000) as u32,
            reorder_us: random.between(500, 60_000),
            jitter_us: random.below(2_000),
        };
    }

    fn narrow(&mut self, random: &mut RandomSource) {
        self.world.net.overhead_bytes = NetConfig::ETHERNET_OVERHEAD;
        if random.chance(400_000) {
            self.world.net.shared_bits_per_s = random.pick(&[10_000_000, 38_400_000, 100_000_000]);
        }
        let mut attach = |a: &mut Attachment| {
            a.bits_per_s = random.pick(&[5_000_000, 20_000_000, 100_000_000, 1_000_000_000]);
            a.delay_us = random.between(50, 20_000);
            a.queue_bytes = random.between(16 * 1024, 128 * 1024);
        };
        attach(&mut self.world.gateway.attachment);
        self.edges(|e| attach(&mut e.attachment));
    }

    fn crashes(&mut self, random: &mut RandomSource, of_sources: bool) {
        let nodes = self.nodes(of_sources);
        if of_sources {
            self.may_drop.clone_from(&nodes);
        }
        for node in nodes {
            for _ in 0..random.index(0, 2) {
                let at_us = Self::time_us(random);
                self.fault(at_us, Fault::Crash { node });
                if random.chance(700_000) {
                    let at_us = at_us + random.between(1, 3_000_000);
                    let moved = random.chance(500_000);
                    self.fault(at_us, Fault::Start { node, moved });
                }
            }
        }
    }

    fn gateway_restarts(&mut self, random: &mut RandomSource) {
        for _ in 0..random.index(1, 3) {
            let at_us = Self::time_us(random);
            let node = 0;
            self.fault(at_us, Fault::Crash { node });
            let moved = false;
            let back = at_us + random.between(1, 3_000_000);
            self.fault(back, Fault::Start { node, moved });
        }
    }

    fn partitions(&mut self, random: &mut RandomSource) {
        let n = self.world.edges.len();
        // Together shorter than what makes a node count as dead.
        let short = random.chance(400_000);
        for _ in 0..random.index(1, 4) {
            let at_us = Self::time_us(random);
            let until_us = at_us + random.between(1_000, if short { 250_000 } else { 4_000_000 });
            let (from, to) = (random.index(0, n), random.index(0, n));
            if random.chance(400_000) {
                self.fault(at_us, Fault::Isolate { node: from });
                self.fault(until_us, Fault::HealAll);
                self.may_drop.extend(0..=n);
            } else if from != to {
                self.fault(at_us, Fault::Cut { from, to });
                self.fault(until_us, Fault::Heal { from, to });
                if random.chance(500_000) {
                    self.fault(at_us, Fault::Cut { from: to, to: from });
                    self.fault(until_us, Fault::Heal { from: to, to: from });
                }
                if from * to == 0 {
                    self.may_drop.push(from + to);
                }
            }
        }
        if short {
            self.may_drop.clear();
        }
    }

    fn pair_cut(&mut self, random: &mut RandomSource) {
        let n = self.world.edges.len();
        let (from, to) = (random.index(1, n), random.index(1, n));
        let at_us = Self::time_us(random);
        if from != to {
            self.fault(at_us, Fault::Cut { from, to });
            if random.chance(500_000) {
                self.fault(at_us, Fault::Cut { from: to, to: from });
            }
        }
    }

    fn slow_workers(&mut self, random: &mut RandomSource) {
        let (lease, backup) = (
            random.between(100_000, 1_000_000),
            random.between(50_000, 1_000_000),
        );
        let cap = random.between(300_000, 3_000_000);
        self.edges(|e| {
            e.config.lease_us = lease;
            e.config.lease_us_max = cap;
            e.config.backup_after_us = backup;
            if random.chance(400_000) {
                e.macs_per_us = random.between(1, 4);
            }
            e.straggle_ppm = 100_000;
            e.straggle_factor = random.between(2, 30);
        });
    }

    fn broken_task(&mut self, random: &mut RandomSource) {
        let tasks = self.world.info.tasks.len();
        if tasks > 0 {
            self.world.broken_task = Some(TaskId(random.below(tasks as u64) as u32));
            self.may_drop = (0..=self.world.edges.len()).collect();
        }
    }

    fn pauses(&mut self, random: &mut RandomSource) {
        let n = self.world.edges.len();
        for _ in 0..random.index(1, 4) {
            let node = random.index(0, n);
            let long = random.chance(500_000);
            let us = if long {
                random.between(1_000_000, 6_000_000)
            } else {
                random.between(1_000, 900_000)
            };
            if long {
                self.may_drop.push(node);
            }
            let at_us = Self::time_us(random);
            self.fault(at_us, Fault::Pause { node, us });
            self.faults_end_us = self.faults_end_us.max(at_us + us);
        }
    }

    fn tiny_budget(&mut self, random: &mut RandomSource) {
        let mut tiny = |t: &mut TransferConfig| {
            t.chunk_bytes = random.pick(&[64, 256, 1200, TransferConfig::CHUNK_BYTES_MAX]);
            t.receive_budget_bytes = t.chunk_bytes * random.index(1, 4);
            t.first_window_chunks = random.between(1, 32) as u32;
        };
        tiny(&mut self.world.gateway.config.transfer);
        self.edges(|e| tiny(&mut e.config.transfer));
    }

    fn many_sources(&mut self, random: &mut RandomSource) {
        self.world.gateway.config.frames_max = random.index(1, 8);
        self.edges(|e| {
            e.frames = random.between(1, 6) as u32;
            e.config.frames_max = random.index(1, 4);
        });
    }

    fn tiny_store(&mut self, random: &mut RandomSource) {
        self.world.gateway.config.frames_max = random.index(1, 2);
        self.world.gateway.config.pulls_max = random.index(1, 4);
        self.edges(|e| {
            e.steal_frames = 0;
            e.config.foreign_bytes_max = random.pick(&[0, 400, 8_000, usize::MAX]);
            e.config.frames_max = e.config.frames_max.min(1);
        });
    }

    fn hostile(&mut self, kind: ScenarioKind, random: &mut RandomSource) {
        self.faults_end_us = self.faults_end_us.max(FAULTS_US);
        self.world.hostile = HostileConfig {
            interval_us: random.between(50, 3_000),
            noise: 1,
            mutated: if kind == ScenarioKind::Mutation { 4 } else { 0 },
            resized: 2,
            replayed: if kind == ScenarioKind::Replay { 6 } else { 0 },
        };
    }

    fn strangers(&mut self, random: &mut RandomSource) {
        let n = self.world.edges.len();
        for k in n + 1..=n + random.index(1, 2) {
            let mut e = EdgeSpec::new().source(3);
            let (stranger, refusal) = match random.below(3) {
                0 => (Stranger::Plan, Refusal::Plan),
                1 => (Stranger::Model, Refusal::Model),
                _ => (Stranger::Twin { of: 1 }, Refusal::IdInUse),
            };
            e.stranger = Some(stranger);
            if let Stranger::Twin { .. } = stranger {
                // It begins later.
                e.start_us = random.between(100_000, 800_000);
                self.faults_end_us = self.faults_end_us.max(e.start_us + 1_000);
                self.late_twins.push((1, k));
            } else {
                self.refused.push((k, refusal));
            }
            self.world.edges.push(e);
        }
        self.refused.sort_by_key(|r| r.0);
    }

    fn restarts(&mut self, random: &mut RandomSource) {
        let n = self.world.edges.len();
        self.may_drop = (0..=n).collect();
        *self.conditions() = LinkConditions {
            loss_ppm: random.pick(&[0, 10_000]),
            duplicate_ppm: random.pick(&[0, 100_000]),
            reorder_ppm: 50_000,
            // Longer than a node may be silent: datagrams of ended processes arrive among those of later ones.
            reorder_us: random.between(10_000, 4_000_000),
            jitter_us: random.below(2_000),
        };
        self.fault(2 * FAULTS_US, Fault::Conditions(LinkConditions::default()));
        for node in 0..=n {
            for _ in 0..random.index(1, 4) {
                let at_us = Self::time_us(random);
                let leaves = node > 0 && random.chance(300_000);
                let end = if leaves {
                    Fault::Leave { node }
                } else {
                    Fault::Crash { node }
                };
                self.fault(at_us, end);
                let pause_us = random.pick(&[2_000, 200_000, 3_000_000]);
                let moved = random.chance(500_000);
                let back_us = at_us + random.between(1, pause_us);
                self.fault(back_us, Fault::Start { node, moved });
            }
            // Whoever was killed once more in the meantime is there in the end.
            let moved = false;
            self.fault(FAULTS_US + 3_000_000, Fault::Start { node, moved });
        }
        if random.chance(700_000) {
            self.hostile(ScenarioKind::Replay, random);
            self.faults_end_us = self.faults_end_us.max(2 * FAULTS_US);
        }
    }

    fn frozen_workers(&mut self, random: &mut RandomSource) {
        let n = self.world.edges.len();
        let sound = random.index(1, n);
        self.world.gateway.config.frames_max = random.index(1, n);
        self.sound.push(sound);
        self.world.edges[sound - 1].start_us = random.between(300_000, 2_000_000);
        let thaw_us = 100_000_000;
        for node in (1..=n).filter(|&k| k != sound) {
            let at_us = random.between(3_001, 200_000);
            self.fault(at_us, Fault::Freeze { node });
            self.fault(thaw_us, Fault::Thaw { node });
        }
        self.faults_end_us = self.faults_end_us.max(thaw_us - 1);
        self.loss(random.pick(&[0, 0, 10_000]));
    }

    fn twins(&mut self, random: &mut RandomSource) {
        let of = random.index(1, self.world.edges.len());
        let mut twin = self.world.edges[of - 1];
        twin.stranger = Some(Stranger::Twin { of });
        twin.start_us = random.between(1, 1_000_000);
        self.world.edges.push(twin);
        let other = self.world.edges.len();
        self.twins.push((of, other));
        self.may_drop = (0..=other).collect();
        self.loss(random.pick(&[0, 10_000, 50_000]));
        for node in [of, other] {
            for _ in 0..random.index(0, 3) {
                let at_us = Self::time_us(random);
                let until_us = at_us + random.between(1_000, 5_000_000);
                match random.below(4) {
                    0 => self.fault(at_us, Fault::Leave { node }),
                    1 => self.fault(at_us, Fault::Crash { node }),
                    2 => {
                        let us = until_us - at_us;
                        self.fault(at_us, Fault::Pause { node, us });
                        self.faults_end_us = self.faults_end_us.max(until_us);
                    }
                    _ => {
                        self.fault(at_us, Fault::Isolate { node });
                        self.fault(until_us, Fault::HealAll);
                    }
                }
                if random.chance(500_000) {
                    let moved = random.chance(500_000);
                    self.fault(until_us, Fault::Start { node, moved });
                }
            }
        }
        if random.chance(300_000) {
            self.hostile(ScenarioKind::Replay, random);
        }
    }

    fn wide(&mut self, random: &mut RandomSource) {
        let (frames, flying) = (random.between(1, 6), random.index(1, 32));
        self.world.gateway.config.frames_max = random.index(1, 16);
        self.edges(|e| {
            if e.frames > 0 {
                e.frames = frames as u32;
                e.config.frames_max = flying;
            }
        });
        self.loss(random.pick(&[0, 0, 10_000]));
    }

    fn long(&mut self, random: &mut RandomSource) {
        let frames = random.between(100, 300);
        self.edges(|e| {
            if e.frames > 0 {
                e.frames = frames as u32;
                e.frame_interval_us = e.frame_interval_us.min(20_000);
            }
            e.macs_per_us *= 20;
        });
        self.world.gateway.tail_us /= 20;
        self.loss(random.pick(&[0, 10_000, 50_000]));
    }

    fn rough(&mut self, random: &mut RandomSource) {
        self.disorder(random);
        self.loss(random.pick(&[0, 20_000, 80_000]));
        self.slow_workers(random);
        self.edges(|e| e.lose_ppm = 30_000);
        if random.chance(400_000) {
            self.tiny_budget(random);
        }
        if random.chance(400_000) {
            self.tiny_store(random);
        }
        self.crashes(random, false);
        self.pair_cut(random);
        if random.chance(600_000) {
            self.gateway_restarts(random);
        }
        for node in self.nodes(false) {
            if random.chance(300_000) {
                let (at_us, us) = (Self::time_us(random), random.between(1_000, 4_000_000));
                self.fault(at_us, Fault::Pause { node, us });
                self.faults_end_us = self.faults_end_us.max(at_us + us);
            }
        }
        if random.chance(300_000) {
            self.hostile(ScenarioKind::Replay, random);
        }
    }

    fn chaos(&mut self, random: &mut RandomSource) {
        if random.chance(500_000) {
            self.disorder(random);
        }
        self.conditions().loss_ppm = random.pick(&[0, 10_000, 100_000]);
        let end_hostile_traffic = Fault::Conditions(LinkConditions::default());
        self.fault(2 * FAULTS_US, end_hostile_traffic);
        if random.chance(300_000) {
            self.narrow(random);
        }
        if random.chance(300_000) {
            self.tiny_store(random);
        }
        if random.chance(300_000) {
            self.tiny_budget(random);
        }
        if random.chance(300_000) {
            self.slow_workers(random);
        }
        if random.chance(300_000) {
            self.edges(|e| e.lose_ppm = 50_000);
        }
        if random.chance(500_000) {
            self.hostile(ScenarioKind::Replay, random);
        }
        let of_sources = random.chance(500_000);
        self.crashes(random, of_sources);
        if random.chance(500_000) {
            self.gateway_restarts(random);
        }
        if random.chance(500_000) {
            self.partitions(random);
        }
        if random.chance(500_000) {
            self.pauses(random);
        }
        self.may_drop = (0..=self.world.edges.len()).collect();
    }
}
