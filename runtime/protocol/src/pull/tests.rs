//! A receiver and holders over a link that loses, doubles and reorders.

use std::net::SocketAddr;

use super::*;
use crate::{
    FrameId, Incarnation, Micros, NodeId, ObjectId, ProgramInfo, TransferConfig,
    chunk_server::ChunkServer,
    peer::{Peer, Sender},
    stats::TransferStats,
    store::{SlotId, Store},
    testkit::{self, Heap, Link, Net},
    wire::{Message, Reject, parse, plan_prefix},
};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::plan::ElementType;
use tessera_plan::region::Region;

const RECEIVER: u16 = 9;

fn peer(id: u16) -> Peer {
    Peer {
        id: NodeId(id),
        incarnation: Incarnation(100 + u64::from(id)),
        addr: SocketAddr::from(([127, 0, 0, 1], id)),
    }
}

fn speaker(id: u16, info: &ProgramInfo) -> Sender {
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
            number: 0,
        },
        key,
    }
}

/// The bytes of a box: every position has its own.
fn content(region: Region) -> Vec<u8> {
    let mut bytes = Vec::new();
    for y in region.y.lo..region.y.hi {
        for x in region.x.lo..region.x.hi {
            for c in region.c.lo..region.c.hi {
                bytes.extend(((y << 16 | x << 4 | c) as u32).to_le_bytes());
            }
        }
    }
    bytes
}

/// Holders 1.. with everything, and a receiver.
struct Rig {
    info: ProgramInfo,
    config: TransferConfig,
    net: Net<u16>,
    now_us: Micros,
    holders: Vec<(ChunkServer, TransferStats, Heap, SlotId)>,
    receiver: Receiver<usize>,
    stats: TransferStats,
    heap: Heap,
    ended: Vec<(usize, Result<(), PullError>)>,
    /// A holder that does not answer, if any.
    mute: Option<u16>,
    /// Most chunks asked for and not yet sent or lost.
    most_under_way: u64,
}

impl Rig {
    fn new(seed: u64, link: Link, holders: u16) -> Self {
        let config = TransferConfig {
            chunk_bytes: 200,
            receive_budget_bytes: 40 * 200,
            ..TransferConfig::default()
        };
        let info = testkit::two_stages(6);
        let frame = info.region(ObjectKey::Frame).expect("a frame");
        let holders = (0..holders).map(|_| {
            let mut heap = Heap::default();
            let slot = heap.alloc(4 * frame.len()).expect("a slot");
            heap.bytes_mut(slot).copy_from_slice(&content(frame));
            (ChunkServer::default(), TransferStats::default(), heap, slot)
        });
        Self {
            config,
            net: Net::new(seed, link),
            now_us: 0,
            holders: holders.collect(),
            receiver: Receiver::new(config),
            stats: TransferStats::default(),
            heap: Heap::default(),
            ended: Vec::new(),
            mute: None,
            most_under_way: 0,
            info,
        }
    }

    fn pull(&mut self, tag: usize, holder: u16, region: Region, destination: Destination) -> u32 {
        let o = object(ObjectKey::Frame);
        (self.receiver).start(tag, peer(holder), o, region, destination, &mut self.stats)
    }

    fn deliver(&mut self, to: u16, bytes: &[u8]) {
        let (envelope, message) = parse(bytes, &self.info).expect("a sound datagram");
        if to == RECEIVER {
            let Message::Data(data) = message else {
                unreachable!("holders send data only")
            };
            let (heap, stats) = (&mut self.heap, &mut self.stats);
            (self.receiver)
                .on_data(self.now_us, &envelope, &data, heap, stats)
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
        let (serve, stats, _, _) = &mut self.holders[usize::from(to) - 1];
        serve.request(peer(RECEIVER), &r, stats);
    }

    /// Runs until `pulls` pulls have ended.
    fn run(&mut self, pulls: usize) {
        let mut out = Vec::new();
        for _ in 0..200_000 {
            while let Some((to, bytes)) = self.net.take(self.now_us) {
                self.deliver(to, &bytes);
            }
            let me = speaker(RECEIVER, &self.info);
            while let Some((to, _)) =
                (self.receiver).poll(self.now_us, me, &mut self.stats, &mut out)
            {
                self.net.send(self.now_us, to.id.0, &out);
            }
            for id in 1..=self.holders.len() {
                let (serve, stats, heap, slot) = &mut self.holders[id - 1];
                let whole = self.info.region(ObjectKey::Frame).expect("a frame");
                let lookup = |o: &ObjectId| (o.key == ObjectKey::Frame).then_some((*slot, whole));
                let me = speaker(id as u16, &self.info);
                while let Some(to) = serve.poll(me, lookup, heap, stats, &mut out) {
                    self.net.send(self.now_us, to.id.0, &out);
                }
            }
            self.ended
                .extend(std::iter::from_fn(|| self.receiver.take_ended()));
            self.most_under_way = self.most_under_way.max(self.receiver.under_way() as u64);
            if self.ended.len() >= pulls {
                return;
            }
            let next = self
                .net
                .next()
                .into_iter()
                .chain(self.receiver.next())
                .min();
            self.now_us = next.expect("something is under way").max(self.now_us);
        }
        panic!("the pulls do not end");
    }
}

/// Pulls three boxes from two holders: one packed, two into a whole map.
fn check(seed: u64, link: Link) -> Rig {
    let mut rig = Rig::new(seed, link, 2);
    let whole = rig.info.region(ObjectKey::Frame).expect("a frame");
    let map = rig.heap.alloc(4 * whole.len()).expect("a slot");
    let inner = testkit::region([3, 40], [5, 47], 2);
    let packed = rig.heap.alloc(4 * inner.len()).expect("a slot");
    let left = testkit::region([0, 48], [0, 20], 2);
    let right = testkit::region([0, 48], [20, 48], 2);
    let into_map = Destination {
        slot: map,
        region: whole,
        element: ElementType::F32,
    };
    let own = Destination {
        slot: packed,
        region: inner,
        element: ElementType::F32,
    };
    rig.pull(0, 1, left, into_map);
    rig.pull(1, 2, right, into_map);
    rig.pull(2, 1, inner, own);
    rig.run(3);
    assert!(rig.ended.iter().all(|(_, how)| how.is_ok()));
    assert_eq!(rig.heap.bytes(map), content(whole));
    assert_eq!(rig.heap.bytes(packed), content(inner));
    assert_eq!(rig.receiver.len(), 0);
    let budget = rig.config.receive_budget_bytes / rig.config.chunk_bytes;
    assert!(rig.most_under_way <= budget as u64);
    rig
}

#[test]
fn a_perfect_link_carries_every_chunk_once() {
    let rig = check(
        1,
        Link {
            delay: 1_000,
            ..Link::default()
        },
    );
    let s = rig.stats;
    assert_eq!((s.pulls, s.pulled), (3, 3));
    assert_eq!(
        (s.chunks_rerequested, s.chunks_duplicate, s.chunks_late),
        (0, 0, 0)
    );
    let sent: u64 = rig.holders.iter().map(|(_, s, _, _)| s.chunks_sent).sum();
    assert_eq!(sent, s.chunks_received);
}

#[test]
fn lost_doubled_and_reordered_chunks_arrive_exactly() {
    let mut rerequested = 0;
    for seed in 0..40 {
        let rig = check(
            seed,
            Link {
                loss: 100,
                duplicate: 50,
                delay: 500,
                jitter: 3_000,
            },
        );
        rerequested += rig.stats.chunks_rerequested;
        // What was lost is asked for, not everything.
        assert!(rig.stats.chunks_rerequested < rig.stats.chunks_received);
    }
    assert!(rerequested > 0);
}

#[test]
fn much_loss_is_not_the_end() {
    for seed in 0..10 {
        check(
            seed,
            Link {
                loss: 300,
                delay: 200,
                ..Link::default()
            },
        );
    }
}

#[test]
fn a_silent_holder_ends_its_pulls_only() {
    let mut rig = Rig::new(3, Link::default(), 2);
    rig.mute = Some(2);
    let whole = rig.info.region(ObjectKey::Frame).expect("a frame");
    let slots = [(); 3].map(|()| Destination {
        slot: rig.heap.alloc(4 * whole.len()).expect("a slot"),
        region: whole,
        element: ElementType::F32,
    });
    rig.pull(0, 2, whole, slots[0]);
    rig.pull(1, 1, whole, slots[1]);
    rig.pull(2, 2, whole, slots[2]);
    rig.run(3);
    rig.ended.sort_by_key(|e| e.0);
    let silent = Err(PullError::Unreachable);
    assert_eq!(rig.ended, [(0, silent), (1, Ok(())), (2, silent)]);
    assert_eq!(rig.heap.bytes(slots[1].slot), content(whole));
    assert!(rig.stats.timeouts > 12);
}

#[test]
fn chunks_that_were_not_asked_for_change_nothing() {
    let mut rig = Rig::new(4, Link::default(), 2);
    let region = testkit::region([0, 8], [0, 8], 2);
    let slot = rig.heap.alloc(4 * region.len()).expect("a slot");
    let element = ElementType::F32;
    let id = rig.pull(
        0,
        1,
        region,
        Destination {
            slot,
            region,
            element,
        },
    );
    let before = rig.heap.bytes(slot).to_vec();
    let mut give = |from: u16, pull: u32, offset: u32, len: usize| {
        let data = crate::wire::Data {
            pull,
            offset,
            bytes: &vec![1; len],
        };
        let envelope = speaker(from, &rig.info).to(None);
        let (heap, stats) = (&mut rig.heap, &mut rig.stats);
        rig.receiver.on_data(0, &envelope, &data, heap, stats)
    };
    assert_eq!(give(2, id, 0, 200), Err(Reject::Unexpected));
    assert_eq!(give(1, id, 100, 200), Err(Reject::Range));
    assert_eq!(give(1, id, 0, 196), Err(Reject::Range));
    assert_eq!(give(1, id, 600, 4), Err(Reject::Range));
    assert_eq!(give(1, id + 1, 0, 200), Ok(()));
    assert_eq!(rig.heap.bytes(slot), before);
    assert_eq!(rig.stats.chunks_late, 1);
    // A life of the holder that was not asked.
    let envelope = Sender {
        incarnation: Incarnation(5),
        ..speaker(1, &rig.info)
    }
    .to(None);
    assert_eq!(
        rig.receiver
            .on_absent(&speaker(2, &rig.info).to(None), id, &mut rig.stats),
        Err(Reject::Unexpected)
    );
    let data = crate::wire::Data {
        pull: id,
        offset: 0,
        bytes: &[1; 200],
    };
    let refused = (rig.receiver).on_data(0, &envelope, &data, &mut rig.heap, &mut rig.stats);
    assert_eq!(refused, Err(Reject::Unexpected));
    let heard = rig
        .receiver
        .on_absent(&speaker(1, &rig.info).to(None), id, &mut rig.stats);
    assert_eq!(heard, Ok(()));
    assert_eq!(rig.receiver.take_ended(), Some((0, Err(PullError::Absent))));
}
