//! A receiver and holders over the simulator's network, which loses, doubles and reorders.

use std::net::SocketAddr;

use tessera_plan::{dataflow::ObjectKey, element::ElementType, region::Region};
use tessera_sim::{Attachment, LinkConditions, NetConfig, Queue, RandomSource, link::Network};

use super::*;
use crate::{
    FrameId, FrameNumber, Incarnation, Micros, NodeId, ObjectId, ProgramInfo, PullId,
    TransferConfig,
    chunk_server::ChunkServer,
    peer::{Peer, Sender},
    stats::TransferStats,
    store::{SlotId, Store},
    testkit::{self, TestStore},
    wire::{Message, Reject, parse, plan_prefix},
};

/// The receiver's place on the network; holders are 1, 2, ...
const RECEIVER: u16 = 0;

fn peer(id: u16) -> Peer {
    Peer {
        id: NodeId(id),
        incarnation: Incarnation(100 + u64::from(id)),
        addr: SocketAddr::from(([127, 0, 0, 1], 1000 + id)),
    }
}

fn sender(id: u16, info: &ProgramInfo) -> Sender {
    Sender {
        id: NodeId(id),
        incarnation: peer(id).incarnation,
        plan: plan_prefix(info),
    }
}

fn object(key: ObjectKey) -> ObjectId {
    ObjectId {
        frame: FrameId {
            source: NodeId(1),
            incarnation: Incarnation(1),
            number: FrameNumber(0),
        },
        key,
    }
}

/// The bytes of a box: every position has its own value, as far as the element type can represent it.
fn content(region: Region, element: ElementType) -> Vec<u8> {
    let mut bytes = Vec::new();
    for y in region.y.lo..region.y.hi {
        for x in region.x.lo..region.x.hi {
            for c in region.c.lo..region.c.hi {
                let value = ((y << 16 | x << 4 | c) as u32).wrapping_mul(0x9e37_79b1);
                bytes.extend(&value.to_be_bytes()[..element.bytes()]);
            }
        }
    }
    bytes
}

/// A node that holds the whole frame.
struct Holder {
    server: ChunkServer,
    stats: TransferStats,
    store: TestStore,
    slot: SlotId,
}

/// Holders 1, 2, ... with the whole frame, and a receiver.
struct PullRig {
    info: ProgramInfo,
    element: ElementType,
    config: TransferConfig,
    net: Network,
    /// Datagrams under way, with their destinations.
    arrivals: Queue<(u16, Vec<u8>)>,
    holders: Vec<Holder>,
    receiver: Receiver<usize>,
    stats: TransferStats,
    store: TestStore,
    ended: Vec<(usize, Result<(), PullError>)>,
    /// A silent holder, if any.
    mute: Option<u16>,
    /// Most chunks requested and not yet sent or lost.
    most_under_way: u64,
}

impl PullRig {
    fn new(seed: u64, conditions: LinkConditions, element: ElementType, holders: u16) -> Self {
        let config = TransferConfig {
            chunk_bytes: 200,
            receive_budget_bytes: 40 * 200,
            ..TransferConfig::default()
        };
        let info = testkit::two_stages_of(6, element);
        let frame = info.region(ObjectKey::Frame).expect("a frame");
        let net = NetConfig {
            conditions,
            ..NetConfig::default()
        };
        let nodes = vec![Attachment::default(); usize::from(holders) + 1];
        let holders = (0..holders).map(|_| {
            let mut store = TestStore::default();
            let bytes = content(frame, element);
            let slot = store.alloc(bytes.len()).expect("a slot");
            store.bytes_mut(slot).copy_from_slice(&bytes);
            Holder {
                server: ChunkServer::default(),
                stats: TransferStats::default(),
                store,
                slot,
            }
        });
        Self {
            config,
            element,
            net: Network::new(net, &nodes, RandomSource::new(seed)),
            arrivals: Queue::default(),
            holders: holders.collect(),
            receiver: Receiver::new(config),
            stats: TransferStats::default(),
            store: TestStore::default(),
            ended: Vec::new(),
            mute: None,
            most_under_way: 0,
            info,
        }
    }

    fn now_us(&self) -> Micros {
        self.arrivals.now_us()
    }

    fn slot(&mut self, region: Region) -> Destination {
        let bytes = region.len() * self.element.bytes();
        Destination {
            slot: self.store.alloc(bytes).expect("a slot"),
            region,
            element: self.element,
        }
    }

    fn pull(&mut self, tag: usize, holder: u16, region: Region, to: Destination) -> PullId {
        let o = object(ObjectKey::Frame);
        (self.receiver).start(tag, peer(holder), o, region, to, &mut self.stats)
    }

    fn send(&mut self, from: u16, to: NodeId, bytes: &[u8]) {
        let (from, node) = (usize::from(from), usize::from(to.0));
        let arrivals = self.net.send(self.now_us(), from, node, bytes.len());
        for at_us in arrivals.into_iter().flatten() {
            self.arrivals.push(at_us, (to.0, bytes.to_vec()));
        }
    }

    fn deliver(&mut self, to: u16, bytes: &[u8]) {
        let now_us = self.now_us();
        let (envelope, message) = parse(bytes, &self.info).expect("a sound datagram");
        if to == RECEIVER {
            let Message::Data(data) = message else {
                unreachable!("holders send data only")
            };
            let (store, stats) = (&mut self.store, &mut self.stats);
            (self.receiver)
                .on_data(now_us, &envelope, &data, store, stats)
                .expect("a chunk of this pull");
            return;
        }
        if self.mute == Some(to) {
            return;
        }
        let (Message::Pull(r) | Message::Grant(r) | Message::Nack(r)) = message else {
            unreachable!("receivers send requests only")
        };
        assert_eq!(envelope.to_incarnation, Some(peer(to).incarnation));
        let holder = &mut self.holders[usize::from(to) - 1];
        holder.server.request(peer(RECEIVER), &r, &mut holder.stats);
    }

    /// Takes all datagrams that the machines have to send.
    fn drain(&mut self) {
        let mut out = Vec::new();
        let (now_us, me) = (self.now_us(), sender(RECEIVER, &self.info));
        while let Some((to, _)) = (self.receiver).poll(now_us, me, &mut self.stats, &mut out) {
            self.send(RECEIVER, to.id, &out);
        }
        let whole = self.info.region(ObjectKey::Frame).expect("a frame");
        for id in 1..=self.holders.len() {
            let me = sender(id as u16, &self.info);
            loop {
                let h = &mut self.holders[id - 1];
                let slot = h.slot;
                let lookup = |o: &ObjectId| (o.key == ObjectKey::Frame).then_some((slot, whole));
                let sent = h.server.poll(me, lookup, &h.store, &mut h.stats, &mut out);
                let Some(to) = sent else { break };
                self.send(id as u16, to.id, &out);
            }
        }
    }

    /// Runs until `pulls` pulls have ended.
    fn run(&mut self, pulls: usize) {
        for _ in 0..200_000 {
            self.drain();
            self.ended
                .extend(std::iter::from_fn(|| self.receiver.take_ended()));
            self.most_under_way = self.most_under_way.max(self.receiver.under_way() as u64);
            if self.ended.len() >= pulls {
                return;
            }
            let due = [self.arrivals.next_us(), self.receiver.next()];
            let next_us = due.into_iter().flatten().min();
            let next_us = next_us.expect("something is under way");
            while let Some((to, bytes)) = self.arrivals.pop(next_us) {
                self.deliver(to, &bytes);
            }
        }
        panic!("the pulls do not end");
    }
}

/// Pulls three boxes from two holders: one packed, two into a whole map. The packed one has an odd
/// number of values, so that its last chunk is shorter and no multiple of 4 bytes unless values are.
fn check(seed: u64, conditions: LinkConditions, element: ElementType) -> PullRig {
    let mut rig = PullRig::new(seed, conditions, element, 2);
    let whole = rig.info.region(ObjectKey::Frame).expect("a frame");
    let inner = Region::new([3, 40], [5, 46], [1, 2]);
    assert_eq!(inner.len() % 2, 1);
    let (map, packed) = (rig.slot(whole), rig.slot(inner));
    rig.pull(0, 1, testkit::region([0, 48], [0, 20], 2), map);
    rig.pull(1, 2, testkit::region([0, 48], [20, 48], 2), map);
    rig.pull(2, 1, inner, packed);
    rig.run(3);
    assert!(rig.ended.iter().all(|(_, how)| how.is_ok()));
    assert_eq!(rig.store.bytes(map.slot), content(whole, element));
    assert_eq!(rig.store.bytes(packed.slot), content(inner, element));
    assert_eq!(rig.receiver.len(), 0);
    let budget = rig.config.receive_budget_bytes / rig.config.chunk_bytes;
    assert!(rig.most_under_way <= budget as u64);
    rig
}

const ELEMENTS: [ElementType; 3] = [ElementType::F32, ElementType::F16, ElementType::U8];

#[test]
fn a_perfect_link_carries_every_chunk_once() {
    for element in ELEMENTS {
        let rig = check(1, LinkConditions::default(), element);
        let s = rig.stats;
        assert_eq!((s.pulls, s.pulled), (3, 3));
        assert_eq!(
            (s.chunks_rerequested, s.chunks_duplicate, s.chunks_late),
            (0, 0, 0)
        );
        let sent: u64 = rig.holders.iter().map(|h| h.stats.chunks_sent).sum();
        assert_eq!(sent, s.chunks_received);
        let values = 48 * 48 * 2 + 37 * 41;
        assert_eq!(s.bytes_received, values * element.bytes() as u64);
    }
}

#[test]
fn lost_doubled_and_reordered_chunks_arrive_exactly() {
    for element in ELEMENTS {
        let (mut rerequested, mut received) = (0, 0);
        for seed in 0..40 {
            let conditions = LinkConditions {
                loss_ppm: 100_000,
                duplicate_ppm: 50_000,
                jitter_us: 3_000,
                ..LinkConditions::default()
            };
            let rig = check(seed, conditions, element);
            rerequested += rig.stats.chunks_rerequested;
            received += rig.stats.chunks_received;
        }
        assert!(rerequested > 0);
        // The receiver requests the lost chunks again, not all chunks.
        assert!(rerequested * 2 < received, "{rerequested} of {received}");
    }
}

#[test]
fn much_loss_is_not_the_end() {
    for seed in 0..10 {
        let conditions = LinkConditions {
            loss_ppm: 300_000,
            ..LinkConditions::default()
        };
        check(seed, conditions, ELEMENTS[seed as usize % 3]);
    }
}

#[test]
fn a_silent_holder_ends_its_pulls_only() {
    let mut rig = PullRig::new(3, LinkConditions::default(), ElementType::F32, 2);
    rig.mute = Some(2);
    let whole = rig.info.region(ObjectKey::Frame).expect("a frame");
    let slots = [(); 3].map(|()| rig.slot(whole));
    rig.pull(0, 2, whole, slots[0]);
    rig.pull(1, 1, whole, slots[1]);
    rig.pull(2, 2, whole, slots[2]);
    rig.run(3);
    rig.ended.sort_by_key(|e| e.0);
    let silent = Err(PullError::Unreachable);
    assert_eq!(rig.ended, [(0, silent), (1, Ok(())), (2, silent)]);
    assert_eq!(
        rig.store.bytes(slots[1].slot),
        content(whole, ElementType::F32)
    );
    assert!(rig.stats.timeouts > 12);
}

#[test]
fn chunks_that_were_not_asked_for_change_nothing() {
    let mut rig = PullRig::new(4, LinkConditions::default(), ElementType::F32, 2);
    let region = testkit::region([0, 8], [0, 8], 2);
    let to = rig.slot(region);
    let id = rig.pull(0, 1, region, to);
    let before = rig.store.bytes(to.slot).to_vec();
    let mut give = |from: u16, pull: PullId, offset: u32, len: usize| {
        let data = crate::wire::Data {
            pull,
            offset,
            bytes: &vec![1; len],
        };
        let envelope = sender(from, &rig.info).to(None);
        let (store, stats) = (&mut rig.store, &mut rig.stats);
        rig.receiver.on_data(0, &envelope, &data, store, stats)
    };
    assert_eq!(give(2, id, 0, 200), Err(Reject::Unexpected));
    assert_eq!(give(1, id, 100, 200), Err(Reject::Range));
    assert_eq!(give(1, id, 0, 196), Err(Reject::Range));
    assert_eq!(give(1, id, 600, 4), Err(Reject::Range));
    assert_eq!(give(1, PullId(id.0 + 1), 0, 200), Ok(None));
    assert_eq!(rig.store.bytes(to.slot), before);
    assert_eq!(rig.stats.chunks_late, 1);
    // An incarnation of the holder that was not asked.
    let envelope = Sender {
        incarnation: Incarnation(5),
        ..sender(1, &rig.info)
    }
    .to(None);
    assert_eq!(
        rig.receiver
            .on_absent(&sender(2, &rig.info).to(None), 0, id, &mut rig.stats),
        Err(Reject::Unexpected)
    );
    let data = crate::wire::Data {
        pull: id,
        offset: 0,
        bytes: &[1; 200],
    };
    let refused = (rig.receiver).on_data(0, &envelope, &data, &mut rig.store, &mut rig.stats);
    assert_eq!(refused, Err(Reject::Unexpected));
    let heard = rig
        .receiver
        .on_absent(&sender(1, &rig.info).to(None), 0, id, &mut rig.stats);
    assert_eq!(heard, Ok(()));
    assert_eq!(rig.receiver.take_ended(), Some((0, Err(PullError::Absent))));
}
