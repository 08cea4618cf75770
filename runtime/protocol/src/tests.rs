//! The two machines together, over a small network in memory: no workers, no sockets, no clock.
//! What only shows under crashes, pauses and partitions is the simulator's ([`crate::sim`]).

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use super::{
    testkit::{self, Heap, Link, Net},
    wire::{Envelope, Message, MessageKind, Reject, plan_prefix},
    *,
};
use crate::store::{SlotId, Store};
use tessera_plan::region::Region;

const GATEWAY_AT: u16 = 1000;

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A position's value in a tensor of a frame: what whoever computes it must find.
fn value(frame: FrameId, tensor: u16, y: usize, x: usize, c: usize) -> f32 {
    let t = u32::from(frame.source.0) * 7 + frame.number * 3 + u32::from(tensor);
    (t as usize * 100_000 + y * 1_000 + x * 10 + c) as f32
}

fn values(frame: FrameId, tensor: u16, r: Region) -> Vec<u8> {
    let mut bytes = Vec::new();
    for y in r.y.lo..r.y.hi {
        for x in r.x.lo..r.x.hi {
            for c in r.c.lo..r.c.hi {
                bytes.extend(value(frame, tensor, y, x, c).to_le_bytes());
            }
        }
    }
    bytes
}

struct Node {
    machine: Edge,
    store: Heap,
    frames: u32,
    brought: u32,
    ended: Vec<(u32, FrameOutcome)>,
    running: BTreeMap<Micros, Vec<Job>>,
    refused: Option<Refusal>,
    stopped: bool,
}

struct Rig {
    info: Arc<ProgramInfo>,
    net: Net<(u16, u16)>,
    now_us: Micros,
    gateway: Gateway,
    store: Heap,
    tails: BTreeMap<FrameId, FrameMeta>,
    drops: Vec<(FrameId, DropReason)>,
    nodes: Vec<Node>,
}

impl Rig {
    /// Edges 1.. that bring so many frames each.
    fn new(seed: u64, link: Link, frames: &[u32]) -> Self {
        let info = Arc::new(testkit::two_stages(3));
        let edge = |(k, &frames): (usize, &u32)| {
            let id = NodeId(k as u16 + 1);
            let mut config = EdgeConfig::new(id, Incarnation(5), addr(GATEWAY_AT), 1);
            config.frames_max = if frames > 0 { 2 } else { 0 };
            Node {
                machine: Edge::new(config, Arc::clone(&info)),
                store: Heap::default(),
                frames,
                brought: 0,
                ended: Vec::new(),
                running: BTreeMap::new(),
                refused: None,
                stopped: false,
            }
        };
        Self {
            net: Net::new(seed, link),
            now_us: 1,
            gateway: Gateway::new(GatewayConfig::new(Incarnation(9)), Arc::clone(&info)),
            store: Heap::default(),
            tails: BTreeMap::new(),
            drops: Vec::new(),
            nodes: frames.iter().enumerate().map(edge).collect(),
            info,
        }
    }

    /// Computes a job: checks every value it reads, writes what belongs in its outputs.
    fn compute(info: &ProgramInfo, store: &mut Heap, job: &Job) {
        let task = &info.tasks[job.task as usize];
        for (port, pieces) in task.inputs.iter().zip(&job.inputs) {
            let mut covered = 0;
            for &(slot, region) in pieces {
                assert_eq!(store.bytes(slot), values(job.frame, port.tensor, region));
                covered += region.meet(port.region).len();
            }
            assert!(covered >= port.region.len(), "inputs are covered");
        }
        for (port, &slot) in task.outputs.iter().zip(&job.outputs) {
            let bytes = values(job.frame, port.tensor, port.region);
            store.bytes_mut(slot).copy_from_slice(&bytes);
        }
    }

    fn run_node(&mut self, k: usize) -> Micros {
        let (now_us, port) = (self.now_us, k as u16 + 1);
        let node = &mut self.nodes[k];
        let due: Vec<Micros> = node.running.range(..=now_us).map(|(&t, _)| t).collect();
        for job in due
            .into_iter()
            .flat_map(|t| node.running.remove(&t))
            .flatten()
        {
            Self::compute(&self.info, &mut node.store, &job);
            let done = EdgeInput::Done { job: job.id };
            node.machine.handle(now_us, done, &mut node.store);
        }
        loop {
            while node.brought < node.frames && node.machine.wants_frame() {
                let frame = FrameId {
                    source: NodeId(port),
                    incarnation: Incarnation(5),
                    number: node.brought,
                };
                let whole = self.info.tensors[0].region;
                let slot = node.store.alloc(4 * whole.len()).expect("a slot");
                let bytes = values(frame, 0, whole);
                node.store.bytes_mut(slot).copy_from_slice(&bytes);
                let meta = FrameMeta {
                    tag: u64::from(node.brought),
                    ..FrameMeta::default()
                };
                node.brought += 1;
                let input = EdgeInput::Frame { slot, meta };
                node.machine.handle(now_us, input, &mut node.store);
                if node.brought == node.frames {
                    let last = EdgeInput::NoMoreFrames;
                    node.machine.handle(now_us, last, &mut node.store);
                }
            }
            match node.machine.poll(now_us, &mut node.store) {
                EdgeOutput::Send { to, bytes } => {
                    assert!(bytes.len() <= TransferConfig::DATAGRAM_BYTES_MAX);
                    self.net.send(now_us, (to.port(), port), bytes);
                }
                EdgeOutput::Run(job) => {
                    let at = now_us + 300 + self.net.draw(700);
                    node.running.entry(at).or_default().push(job);
                }
                EdgeOutput::FrameEnded {
                    number, outcome, ..
                } => {
                    node.ended.push((number, outcome));
                }
                EdgeOutput::Refused(why) => node.refused = Some(why),
                EdgeOutput::Stopped => node.stopped = true,
                EdgeOutput::WaitUntil(at) => {
                    let job = node.running.keys().next().copied();
                    return at.min(job.unwrap_or(at));
                }
            }
        }
    }

    fn run_gateway(&mut self) -> Micros {
        let now_us = self.now_us;
        loop {
            let tail = match self.gateway.poll(now_us, &mut self.store) {
                GatewayOutput::Send { to, bytes } => {
                    self.net.send(now_us, (to.port(), GATEWAY_AT), bytes);
                    continue;
                }
                GatewayOutput::Drop { frame, reason, .. } => {
                    self.drops.push((frame, reason));
                    continue;
                }
                GatewayOutput::RunTail {
                    frame,
                    meta,
                    inputs,
                } => (frame, meta, inputs),
                GatewayOutput::WaitUntil(at) => return at,
            };
            let (frame, meta, inputs) = tail;
            for (&tensor, &slot) in self.info.tail_inputs.iter().zip(&inputs) {
                let whole = self.info.tensors[usize::from(tensor)].region;
                assert_eq!(self.store.bytes(slot), values(frame, tensor, whole));
            }
            assert_eq!(self.tails.insert(frame, meta), None, "one record per frame");
            let done = GatewayInput::TailDone { frame };
            self.gateway.handle(now_us, done, &mut self.store);
        }
    }

    /// Runs until `enough` holds.
    fn run(&mut self, enough: impl Fn(&Self) -> bool) {
        for _ in 0..400_000 {
            while let Some(((to, from), bytes)) = self.net.take(self.now_us) {
                self.deliver(to, from, &bytes);
            }
            let mut next = self.run_gateway();
            for k in 0..self.nodes.len() {
                next = next.min(self.run_node(k));
            }
            if enough(self) {
                return;
            }
            let arrival = self.net.next().unwrap_or(next);
            self.now_us = next.min(arrival).max(self.now_us + 1);
        }
        panic!("it does not end");
    }

    fn deliver(&mut self, to: u16, from: u16, bytes: &[u8]) {
        let from = addr(from);
        if to == GATEWAY_AT {
            let input = GatewayInput::Datagram { from, bytes };
            self.gateway.handle(self.now_us, input, &mut self.store);
        } else if let Some(node) = self.nodes.get_mut(usize::from(to) - 1) {
            let input = EdgeInput::Datagram { from, bytes };
            node.machine.handle(self.now_us, input, &mut node.store);
        }
    }

    fn all_ended(&self) -> bool {
        (self.nodes.iter()).all(|n| n.ended.len() as u32 == n.frames)
    }

    /// All frames have detections, nothing is kept, counters agree.
    fn check(&mut self) {
        self.run(Self::all_ended);
        let until_us = self.now_us + 3_000_000;
        self.run(|r| r.now_us > until_us);
        let frames: u32 = self.nodes.iter().map(|n| n.frames).sum();
        assert_eq!((self.tails.len(), self.drops.len()), (frames as usize, 0));
        for (frame, meta) in &self.tails {
            assert_eq!(meta.tag, u64::from(frame.number));
        }
        assert_eq!(self.store.used(), 0);
        let tasks = self.info.tasks.len() as u64;
        for n in &self.nodes {
            let s = n.machine.stats();
            assert_eq!((n.store.used(), s.slots), (0, 0));
            assert_eq!(s.frames_detected, u64::from(n.frames));
            let by_node: u64 = s.tasks_by_node.values().sum();
            assert_eq!(by_node, tasks * u64::from(n.frames));
        }
        let d = self.gateway.drained();
        assert_eq!((d.alive, d.frames), (self.nodes.len(), 0));
        let sources = self.nodes.iter().filter(|n| n.frames > 0).count();
        assert_eq!((d.sources, d.finished), (sources, sources));
    }

    fn sum(&self, f: impl Fn(&EdgeStats) -> u64) -> u64 {
        self.nodes.iter().map(|n| f(n.machine.stats())).sum()
    }
}

const QUIET: Link = Link {
    loss: 0,
    duplicate: 0,
    delay: 100,
    jitter: 0,
};

#[test]
fn a_source_alone_finishes_its_frames() {
    let mut rig = Rig::new(1, QUIET, &[3]);
    rig.check();
    assert_eq!(rig.sum(|s| s.steals_taken), 0);
    // Nobody has work: a node without any does not keep asking.
    assert!(rig.sum(|s| s.hints_asked) < 10);
}

#[test]
fn thieves_share_the_work_of_two_stages() {
    let mut rig = Rig::new(2, QUIET, &[5, 0, 0]);
    rig.check();
    let s = rig.nodes[0].machine.stats();
    assert!(s.tasks_by_node.len() == 3, "{:?}", s.tasks_by_node);
    assert!(rig.sum(|s| s.steals_taken) > 10);
    assert_eq!(s.leases_issued, rig.sum(|s| s.steals_taken));
    // Nothing was lost, so nothing was said or done twice.
    assert_eq!(rig.sum(|s| s.transfer.chunks_rerequested), 0);
    assert_eq!(
        rig.sum(|s| s.leases_expired + s.tasks_reissued + s.tasks_unmade),
        0
    );
    assert_eq!(s.traffic.rejected.total(), 0);
}

#[test]
fn sources_steal_from_each_other() {
    let mut rig = Rig::new(3, QUIET, &[6, 1]);
    rig.check();
    assert!(rig.nodes[1].machine.stats().tasks_stolen > 0);
}

#[test]
fn loss_duplication_and_reordering_change_no_bit() {
    let rough = Link {
        loss: 100,
        duplicate: 50,
        delay: 100,
        jitter: 4_000,
    };
    let (mut stolen, mut rerequested) = (0, 0);
    for seed in 0..12 {
        let mut rig = Rig::new(seed, rough, &[3, 0, 2]);
        rig.check();
        stolen += rig.sum(|s| s.tasks_stolen);
        rerequested += rig.sum(|s| s.transfer.chunks_rerequested);
        rerequested += rig.gateway.stats().transfer.chunks_rerequested;
    }
    assert!(stolen > 0 && rerequested > 0);
}

#[test]
fn stop_ends_every_node() {
    let mut rig = Rig::new(4, QUIET, &[1, 0]);
    rig.check();
    let (now_us, store) = (rig.now_us, &mut rig.store);
    rig.gateway.handle(now_us, GatewayInput::Stop, store);
    rig.run(|r| r.gateway.drained().alive == 0);
    assert!(rig.nodes.iter().all(|n| n.stopped));
}

#[test]
fn a_node_that_leaves_is_not_waited_for() {
    let mut rig = Rig::new(8, QUIET, &[1, 0]);
    rig.check();
    let now_us = rig.now_us;
    let node = &mut rig.nodes[1];
    assert!(node.machine.joined());
    node.machine
        .handle(now_us, EdgeInput::Leave, &mut node.store);
    // Much sooner than silence would tell.
    rig.run(|r| r.gateway.drained().alive == 1 || r.now_us > now_us + 100_000);
    assert_eq!(rig.gateway.drained().alive, 1);
    let joined: Vec<_> = rig.nodes.iter().map(|n| n.machine.joined()).collect();
    assert_eq!(joined, [true, false]);
}

/// A datagram as a stranger would make it.
fn forged(info: &ProgramInfo, to: Incarnation, message: Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let envelope = Envelope {
        from: NodeId(77),
        incarnation: Incarnation(1),
        to_incarnation: Some(to),
        plan: plan_prefix(info),
    };
    message.encode(envelope, &mut out);
    out
}

#[test]
fn malformed_and_unasked_datagrams_are_counted() {
    let mut rig = Rig::new(5, QUIET, &[2, 0]);
    rig.run(|r| r.gateway.drained().alive == 2);
    let info = Arc::clone(&rig.info);
    let mut wrong_sum = forged(&info, Incarnation(9), Message::StealGateway { seq: 1 });
    wrong_sum[33] ^= 1;
    rig.deliver(GATEWAY_AT, 77, b"hello");
    rig.deliver(GATEWAY_AT, 77, &wrong_sum);
    rig.deliver(
        GATEWAY_AT,
        77,
        &forged(&info, Incarnation(9), Message::StealGateway { seq: 1 }),
    );
    rig.deliver(
        GATEWAY_AT,
        77,
        &forged(&info, Incarnation(8), Message::StealGateway { seq: 1 }),
    );
    rig.deliver(
        1,
        77,
        &forged(&info, Incarnation(5), Message::NoWork { request: 999 }),
    );
    rig.deliver(
        1,
        77,
        &forged(&info, Incarnation(4), Message::StealClient { request: 1 }),
    );
    rig.deliver(1, 77, &[]);
    rig.check();
    let count = |t: &Traffic, why| t.rejected.get(why);
    let g = &rig.gateway.stats().traffic;
    assert_eq!(count(g, Reject::Length), 1);
    assert_eq!(count(g, Reject::Sum), 1);
    assert_eq!(count(g, Reject::Stranger), 1);
    assert_eq!(count(g, Reject::OtherIncarnation), 1);
    let e = &rig.nodes[0].machine.stats().traffic;
    assert_eq!(count(e, Reject::Length), 1);
    assert_eq!(count(e, Reject::Unexpected), 1);
    assert_eq!(count(e, Reject::OtherIncarnation), 1);
    assert!(
        e.sent.get(MessageKind::Heartbeat).datagrams > 0
            && e.received.get(MessageKind::State).bytes > 0
    );
    let json = serde_json::to_value(rig.nodes[0].machine.stats()).expect("plain data");
    assert_eq!(json["traffic"]["rejected"]["length"], 1);
    assert!(json["tasks_by_node"]["1"].as_u64() > Some(0));
}

#[test]
fn nodes_that_do_not_belong_are_told_why() {
    let mut rig = Rig::new(6, QUIET, &[0, 0, 0, 0]);
    let other = |plan, model| {
        let mut info = (*rig.info).clone();
        info.plan_hash[31] ^= plan;
        info.model_digest[0] ^= model;
        Arc::new(info)
    };
    let (plan, model) = (other(1, 0), other(0, 1));
    let config = |id, incarnation| {
        EdgeConfig::new(NodeId(id), Incarnation(incarnation), addr(GATEWAY_AT), 1)
    };
    rig.nodes[0].machine = Edge::new(config(1, 5), plan);
    rig.nodes[1].machine = Edge::new(config(2, 5), model);
    rig.nodes[2].machine = Edge::new(config(4, 4), Arc::clone(&rig.info));
    rig.run(|r| r.gateway.drained().alive == 1 && r.now_us > 200_000);
    let until_us = rig.now_us + 5_000_000;
    rig.run(|r| r.now_us > until_us);
    let told: Vec<_> = rig.nodes.iter().map(|n| n.refused).collect();
    let expected = [Refusal::Plan, Refusal::Model, Refusal::Superseded].map(Some);
    assert_eq!(told[..3], expected);
    assert_eq!(told[3], None);
    // They ask again, but seldom.
    let heartbeats = rig.nodes[0]
        .machine
        .stats()
        .traffic
        .sent
        .get(MessageKind::Heartbeat);
    assert!((2..12).contains(&heartbeats.datagrams));
    assert_eq!(rig.gateway.stats().traffic.rejected.total(), 0);
}

#[test]
fn gateway_takes_no_more_frames_than_it_has_room_for() {
    let mut rig = Rig::new(7, QUIET, &[4, 4, 4]);
    let config = GatewayConfig {
        frames_max: 1,
        pulls_max: 1,
        ..GatewayConfig::new(Incarnation(9))
    };
    rig.gateway = Gateway::new(config, Arc::clone(&rig.info));
    rig.store.most = 2;
    rig.check();
    assert_eq!(rig.gateway.stats().slots_peak, 2);
}

#[test]
fn slots_are_for_own_frames_first() {
    let mut rig = Rig::new(8, QUIET, &[3, 3]);
    let config = EdgeConfig::new(NodeId(1), Incarnation(5), addr(GATEWAY_AT), 1);
    let enough: usize = config.slots(&rig.info, 0).iter().map(|s| s.count).sum();
    for n in &mut rig.nodes {
        n.store.most = enough;
    }
    rig.check();
    let used = |s: SlotId| s.0 as usize <= enough;
    assert!(used(SlotId(rig.nodes[0].machine.stats().slots_peak as u32)));
}
