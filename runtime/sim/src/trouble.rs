//! What goes wrong in each kind of scenario.

use super::{
    draw::Draw,
    edge_node::{EdgeSpec, Stranger},
    fault::Fault,
    link::{Attachment, NetConfig, Weather},
    scenario::{Kind, Scenario},
    storm::StormConfig,
};
use tessera_protocol::{Refusal, TransferConfig};

/// Virtual time within which faults happen.
const FAULTS: u64 = 4_000_000;

impl Scenario {
    /// Makes the scenario one of its kind.
    pub(super) fn apply(&mut self, kind: Kind, d: &mut Draw) {
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
            Kind::Strangers => self.strangers(d),
            Kind::Wide => self.wide(d),
            Kind::Long => self.long(d),
            Kind::Rough => self.rough(d),
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
        // Together shorter than what makes a node count as dead.
        let short = d.chance(400_000);
        for _ in 0..d.index(1, 4) {
            let at = Self::time(d);
            let until = at + d.between(1_000, if short { 250_000 } else { 4_000_000 });
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
        if short {
            self.may_drop.clear();
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
            e.config.steal_bytes = d.pick(&[0, 400, 8_000, usize::MAX]);
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

    fn strangers(&mut self, d: &mut Draw) {
        let n = self.world.edges.len();
        for k in n + 1..=n + d.index(1, 2) {
            let mut e = EdgeSpec::new().source(3);
            let (stranger, refusal) = match d.below(3) {
                0 => (Stranger::Plan, Refusal::Plan),
                1 => (Stranger::Model, Refusal::Model),
                _ => (Stranger::Twin { of: 1 }, Refusal::Superseded),
            };
            e.stranger = Some(stranger);
            if let Stranger::Twin { of } = stranger {
                // One is enough; it begins later.
                if self.may_drop.contains(&of) {
                    continue;
                }
                e.start_at = d.between(10_000, 800_000);
                self.faults_end = self.faults_end.max(e.start_at + 1_000);
                self.may_drop.push(of);
                self.refused.push((of, refusal));
            } else {
                self.refused.push((k, refusal));
            }
            self.world.edges.push(e);
        }
        self.refused.sort_by_key(|r| r.0);
    }

    fn wide(&mut self, d: &mut Draw) {
        let (frames, flying) = (d.between(1, 6), d.index(1, 32));
        self.world.gateway.config.max_frames = d.index(1, 16);
        self.edges(|e| {
            if e.frames > 0 {
                e.frames = frames as u32;
                e.config.max_frames = flying;
            }
        });
        self.loss(d.pick(&[0, 0, 10_000]));
    }

    fn long(&mut self, d: &mut Draw) {
        let frames = d.between(100, 300);
        self.edges(|e| {
            if e.frames > 0 {
                e.frames = frames as u32;
                e.frame_every = e.frame_every.min(20_000);
            }
            e.macs_per_us *= 20;
        });
        self.world.gateway.tail_us /= 20;
        self.loss(d.pick(&[0, 10_000, 50_000]));
    }

    fn rough(&mut self, d: &mut Draw) {
        self.disorder(d);
        self.loss(d.pick(&[0, 20_000, 80_000]));
        self.slow_workers(d);
        self.edges(|e| e.lose_ppm = 30_000);
        if d.chance(400_000) {
            self.tiny_budget(d);
        }
        if d.chance(400_000) {
            self.tiny_store(d);
        }
        self.crashes(d, false);
        self.pair_cut(d);
        if d.chance(600_000) {
            self.gateway_restarts(d);
        }
        for node in self.nodes(false) {
            if d.chance(300_000) {
                let (at, us) = (Self::time(d), d.between(1_000, 4_000_000));
                self.fault(at, Fault::Pause { node, us });
                self.faults_end = self.faults_end.max(at + us);
            }
        }
        if d.chance(300_000) {
            self.storm(Kind::Replay, d);
        }
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
