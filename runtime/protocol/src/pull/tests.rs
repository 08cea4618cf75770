//! A receiver and holders over the simulator's network, which loses, doubles and reorders.

use std::net::SocketAddr;

use tessera_plan::{dataflow::ObjectKey, element::ElementType, region::Region};
use tessera_sim::{Attachment, LinkConditions, NetConfig, Queue, RandomSource, link::Network};

use super::*;
use crate::{
    FrameId, FrameNumber, Incarnation, Micros, NodeId, ObjectId, ProgramInfo, PullId,
    TransferConfig,
    chunk_server::{Answer, ChunkServer, Held, Place},
    peer::{Peer, Sender},
    stats::TransferStats,
    store::{SlotId, Store},
    testkit::{self, TestStore},
    wire::{Data, Message, NO_RUN, Reject, parse, plan_prefix},
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

/// A node that holds the whole frame, or makes it.
struct Holder {
    server: ChunkServer,
    stats: TransferStats,
    store: TestStore,
    slot: SlotId,
    /// True while it makes the frame.
    makes: bool,
    /// The run that made the frame, or makes it.
    run: u32,
}

impl Holder {
    fn held(&self, whole: Region) -> Option<Held> {
        let place = Place {
            slot: self.slot,
            region: whole,
            run: self.run,
        };
        Some(if self.makes {
            Held::Making(place)
        } else {
            Held::Here(place)
        })
    }
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
                makes: false,
                run: NO_RUN,
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
        if to == u16::MAX {
            return; // only time has passed
        }
        let now_us = self.now_us();
        let (envelope, message) = parse(bytes, &self.info).expect("a sound datagram");
        if to == RECEIVER {
            let data = match message {
                Message::Data(data) => data,
                Message::Later(later) => {
                    // One that comes late, or twice, changes nothing.
                    let heard = self.receiver.on_later(now_us, &envelope, later);
                    assert!(matches!(heard, Ok(()) | Err(Reject::Unexpected)));
                    return;
                }
                Message::Absent { pull } => {
                    let stats = &mut self.stats;
                    let _ = self.receiver.on_absent(&envelope, now_us, pull, stats);
                    return;
                }
                _ => unreachable!("holders send no requests"),
            };
            let me = sender(RECEIVER, &self.info);
            let (store, stats) = (&mut self.store, &mut self.stats);
            (self.receiver)
                .on_data(now_us, me, envelope.from, &data, store, stats)
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
        let whole = self.info.region(ObjectKey::Frame).expect("a frame");
        let holder = &mut self.holders[usize::from(to) - 1];
        let (held, stats) = (holder.held(whole), &mut holder.stats);
        let answer = (holder.server).request(peer(RECEIVER), &r, held, &holder.store, stats);
        self.answer(to, answer);
    }

    /// Sends what a holder answers.
    fn answer(&mut self, holder: u16, answer: Option<Answer>) {
        let message = match answer {
            Some(Answer::Later(later)) => Message::Later(later),
            Some(Answer::Absent(pull)) => Message::Absent { pull },
            None => return,
        };
        let mut out = Vec::new();
        let me = sender(holder, &self.info);
        message.encode(me.to(Some(peer(RECEIVER).incarnation)), &mut out);
        self.send(holder, peer(RECEIVER).id, &out);
    }

    /// Lets the first holder make its frame row by row, one in `row_us` microseconds, until `pulls` pulls have ended.
    fn run_while_made(&mut self, row_us: Micros, pulls: usize) {
        let whole = self.info.region(ObjectKey::Frame).expect("a frame");
        let row_bytes = whole.w() * whole.ch() * self.element.bytes();
        let slot = self.holders[0].slot;
        let began_us = self.now_us();
        while self.ended.len() < pulls {
            let now_us = self.now_us();
            let rows = ((now_us - began_us) / row_us) as usize;
            let holder = &mut self.holders[0];
            if holder.makes {
                holder.store.make(slot, rows.min(whole.h()) * row_bytes);
            }
            if holder.makes && rows > whole.h() {
                holder.store.end(slot);
                holder.makes = false;
            }
            let held = holder.held(whole);
            let (answers, _) = holder.server.made(|_| held, &holder.store);
            for (_, answer) in answers {
                self.answer(1, Some(answer));
            }
            self.drain();
            self.ended
                .extend(std::iter::from_fn(|| self.receiver.take_ended()));
            self.arrivals.push(now_us + 1000, (u16::MAX, Vec::new()));
            while let Some((to, bytes)) = self.arrivals.pop(now_us + 1000) {
                self.deliver(to, &bytes);
                self.drain();
            }
            assert!(now_us < 600_000_000, "the pulls do not end");
        }
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
                let held = h.held(whole);
                let held = |o: &ObjectId, _: Region| held.filter(|_| o.key == ObjectKey::Frame);
                let sent = h.server.poll(me, held, &h.store, &mut h.stats, &mut out);
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
        let (me, bytes) = (sender(RECEIVER, &rig.info), vec![1; len]);
        let envelope = sender(from, &rig.info).to(Some(me.incarnation));
        let data = Data::new(&envelope, pull, offset, &bytes);
        let (store, stats) = (&mut rig.store, &mut rig.stats);
        rig.receiver
            .on_data(0, me, NodeId(from), &data, store, stats)
    };
    assert_eq!(give(2, id, 0, 200), Err(Reject::Unexpected));
    assert_eq!(give(1, id, 100, 200), Err(Reject::Range));
    assert_eq!(give(1, id, 0, 196), Err(Reject::Range));
    assert_eq!(give(1, id, 600, 4), Err(Reject::Range));
    assert_eq!(give(1, PullId(id.0 + 1), 0, 200), Ok(None));
    assert_eq!(rig.store.bytes(to.slot), before);
    assert_eq!(rig.stats.chunks_late, 1);
    assert_eq!(
        rig.receiver
            .on_absent(&sender(2, &rig.info).to(None), 0, id, &mut rig.stats),
        Err(Reject::Unexpected)
    );
    // Between other processes than those that asked and were asked, and one that was damaged.
    let me = sender(RECEIVER, &rig.info);
    let (holder, bytes) = (sender(1, &rig.info), [1; 200]);
    let other = Sender {
        incarnation: Incarnation(5),
        ..holder
    };
    let mut sums: Vec<Data<'_>> = [other.to(Some(me.incarnation)), holder.to(None)]
        .iter()
        .map(|e| Data::new(e, id, 0, &bytes))
        .collect();
    let sound = Data::new(&holder.to(Some(me.incarnation)), id, 0, &bytes);
    sums.push(Data {
        sum: sound.sum ^ 1,
        ..sound
    });
    for data in sums {
        let (store, stats) = (&mut rig.store, &mut rig.stats);
        let refused = (rig.receiver).on_data(0, me, NodeId(1), &data, store, stats);
        assert_eq!(refused, Err(Reject::Sum));
    }
    assert_eq!(rig.store.bytes(to.slot), before);
    let heard = rig
        .receiver
        .on_absent(&sender(1, &rig.info).to(None), 0, id, &mut rig.stats);
    assert_eq!(heard, Ok(()));
    assert_eq!(rig.receiver.take_ended(), Some((0, Err(PullError::Absent))));
}

/// A rig whose first holder makes its frame, and a pull of all of it.
fn making(seed: u64, loss_ppm: u32, element: ElementType) -> (PullRig, Destination) {
    let conditions = LinkConditions {
        loss_ppm,
        duplicate_ppm: loss_ppm / 2,
        ..LinkConditions::default()
    };
    let mut rig = PullRig::new(seed, conditions, element, 1);
    let holder = &mut rig.holders[0];
    (holder.makes, holder.run) = (true, 7);
    holder.store.begin(holder.slot);
    let whole = rig.info.region(ObjectKey::Frame).expect("a frame");
    let to = rig.slot(whole);
    let id = rig.pull(0, 1, whole, to);
    rig.receiver.expect_later(id);
    (rig, to)
}

#[test]
fn rows_travel_while_they_are_made() {
    for element in ELEMENTS {
        let (mut rig, to) = making(5, 0, element);
        rig.run_while_made(5_000, 1);
        assert_eq!(rig.ended, [(0, Ok(()))]);
        assert_eq!(rig.store.bytes(to.slot), content(to.region, element));
        // Nothing was taken for lost, and little was left at the end.
        let s = rig.stats;
        assert_eq!((s.chunks_rerequested, s.timeouts), (0, 0));
        let sent = rig.holders[0].stats;
        assert_eq!(sent.chunks_sent, s.chunks_received);
        let left = sent.chunks_sent - sent.chunks_sent_early;
        assert!(left <= u64::from(ChunkServer::STEP_CHUNKS) + 1, "{left}");
    }
}

#[test]
fn rows_that_are_made_and_lost_arrive_exactly() {
    let (mut early, mut all) = (0, 0);
    for seed in 0..20 {
        let element = ELEMENTS[seed as usize % 3];
        let (mut rig, to) = making(seed, 100_000, element);
        rig.run_while_made(3_000, 1);
        assert_eq!(rig.ended, [(0, Ok(()))], "seed {seed}");
        assert_eq!(rig.store.bytes(to.slot), content(to.region, element));
        early += rig.holders[0].stats.chunks_sent_early;
        all += rig.stats.chunks_received;
    }
    // Requests are lost too.
    assert!(early > all / 2, "{early} of {all}");
}

#[test]
fn rows_of_two_runs_do_not_meet() {
    let (mut rig, _) = making(6, 0, ElementType::F32);
    let whole = rig.info.region(ObjectKey::Frame).expect("a frame");
    let slot = rig.holders[0].slot;
    // Half of the frame is made and has left when another run takes its place.
    rig.drain();
    for step in 1..=200 {
        let bytes = content(whole, ElementType::F32).len() * step.min(100) / 200;
        rig.holders[0].store.make(slot, bytes);
        let held = rig.holders[0].held(whole);
        let holder = &mut rig.holders[0];
        let (answers, _) = holder.server.made(|_| held, &holder.store);
        for (_, answer) in answers {
            rig.answer(1, Some(answer));
        }
        let until_us = rig.now_us() + 1000;
        rig.arrivals.push(until_us, (u16::MAX, Vec::new()));
        while let Some((to, bytes)) = rig.arrivals.pop(until_us) {
            rig.deliver(to, &bytes);
            rig.drain();
        }
    }
    assert!(rig.holders[0].stats.chunks_sent_early > 0);
    let before = rig.stats.chunks_received;
    rig.holders[0].run = 8;
    rig.run_while_made(1_000, 1);
    assert_eq!(rig.ended, [(0, Err(PullError::Absent))]);
    assert_eq!(rig.stats.chunks_received, before);
}
