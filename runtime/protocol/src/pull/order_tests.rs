//! Which chunks a receiver asks for, and in which order.

use std::net::SocketAddr;

use tessera_plan::{dataflow::ObjectKey, element::ElementType};

use super::*;
use crate::{
    FrameId, FrameNumber, Incarnation, Micros, NodeId, ObjectId, ProgramInfo, PullId,
    TransferConfig,
    peer::{Peer, Sender},
    stats::TransferStats,
    store::Store,
    testkit::{self, TestStore},
    wire::{Data, Message, parse, plan_prefix},
};

/// A request: of which pull, and which chunks.
type Asked = (PullId, Vec<u32>);

/// A receiver without a network.
struct Asks {
    info: ProgramInfo,
    receiver: Receiver<()>,
    stats: TransferStats,
    store: TestStore,
    now_us: Micros,
}

fn peer(id: u16) -> Peer {
    Peer {
        id: NodeId(id),
        incarnation: Incarnation(100 + u64::from(id)),
        addr: SocketAddr::from(([127, 0, 0, 1], 1000 + id)),
    }
}

impl Asks {
    fn new() -> Self {
        Self {
            info: testkit::two_stages(6),
            receiver: Receiver::new(TransferConfig {
                chunk_bytes: 200,
                receive_budget_bytes: 400 * 200,
                ..TransferConfig::default()
            }),
            stats: TransferStats::default(),
            store: TestStore::default(),
            now_us: 0,
        }
    }

    fn sender(&self, id: u16) -> Sender {
        Sender {
            id: NodeId(id),
            incarnation: peer(id).incarnation,
            plan: plan_prefix(&self.info),
        }
    }

    /// Begins to fetch the whole frame: 93 chunks.
    fn pull(&mut self, holder: u16) -> PullId {
        let key = ObjectKey::Frame;
        let region = self.info.region(key).expect("a frame");
        let to = Destination {
            slot: self.store.alloc(4 * region.len()).expect("a slot"),
            region,
            element: ElementType::F32,
        };
        let frame = FrameId {
            source: NodeId(1),
            incarnation: Incarnation(1),
            number: FrameNumber(0),
        };
        let object = ObjectId { frame, key };
        (self.receiver).start((), peer(holder), object, region, to, &mut self.stats)
    }

    /// What is asked for now.
    fn asked(&mut self) -> Vec<Asked> {
        let (me, mut out, mut all) = (self.sender(0), Vec::new(), Vec::new());
        while self
            .receiver
            .poll(self.now_us, me, &mut self.stats, &mut out)
            .is_some()
        {
            let (_, message) = parse(&out, &self.info).expect("a sound request");
            let (Message::Pull(r) | Message::Grant(r) | Message::Nack(r)) = message else {
                unreachable!("receivers send requests only")
            };
            let range = |k: &crate::wire::ChunkRange| {
                let first = k.start.get();
                first..first + k.count.get()
            };
            all.push((r.pull, r.ranges.iter().flat_map(range).collect()));
        }
        all
    }

    /// A chunk arrives.
    fn arrives(&mut self, holder: u16, pull: PullId, chunk: u32) {
        let whole = self.info.region(ObjectKey::Frame).expect("a frame");
        // The last one is shorter.
        let left = 4 * whole.len() - 200 * chunk as usize;
        let (me, bytes) = (self.sender(0), vec![7; left.min(200)]);
        let envelope = self.sender(holder).to(Some(me.incarnation));
        let data = Data::new(&envelope, pull, 200 * chunk, &bytes);
        let (store, stats) = (&mut self.store, &mut self.stats);
        (self.receiver)
            .on_data(self.now_us, me, NodeId(holder), &data, store, stats)
            .expect("a chunk that was asked for");
    }
}

#[test]
fn a_new_path_is_measured_with_few_chunks() {
    let mut a = Asks::new();
    let p = a.pull(1);
    assert_eq!(a.asked(), [(p, vec![0, 1])]);
    a.now_us = 1_000;
    assert_eq!(a.asked(), []);
    a.arrives(1, p, 0);
    let rest: Vec<u32> = (2..17).collect();
    assert_eq!(a.asked(), [(p, rest)], "the answer has shown the way");
    // Without an answer, the rest is asked for all the same.
    let q = a.pull(2);
    assert_eq!(a.asked(), [(q, vec![0, 1])]);
    a.now_us += 4_000;
    assert_eq!(a.asked(), [(q, (2..16).collect())]);
}

#[test]
fn what_a_core_waits_for_is_asked_for_first() {
    let mut a = Asks::new();
    let ahead = [a.pull(1), a.pull(2)];
    for (pull, holder) in ahead.into_iter().zip(1..) {
        a.receiver.set_ahead(pull, true);
        a.asked();
        a.now_us += 1_000;
        a.arrives(holder, pull, 0);
        a.asked();
    }
    // Of one holder, and of another.
    let urgent = [a.pull(1), a.pull(3)];
    a.now_us += 1_000;
    assert_eq!(a.asked(), [(urgent[1], vec![0, 1])]);
    for chunk in 1..9 {
        a.arrives(1, ahead[0], chunk);
        a.arrives(2, ahead[1], chunk);
    }
    let pulls: Vec<PullId> = a.asked().into_iter().map(|(pull, _)| pull).collect();
    assert_eq!(pulls.first(), Some(&urgent[0]));
    assert!(!pulls.contains(&ahead[0]), "{pulls:?}");
    // Where nobody waits, what is fetched ahead goes on.
    assert!(pulls.contains(&ahead[1]), "{pulls:?}");
    // A core has become idle.
    a.receiver.set_ahead(ahead[0], false);
    a.receiver.set_ahead(urgent[0], true);
    a.now_us += 1_000;
    for chunk in 9..18 {
        a.arrives(1, ahead[0], chunk);
    }
    let pulls: Vec<PullId> = a.asked().into_iter().map(|(pull, _)| pull).collect();
    assert_eq!(pulls.first(), Some(&ahead[0]));
}

#[test]
fn where_much_gets_lost_it_is_asked_for_twice() {
    let mut a = Asks::new();
    let p = a.pull(1);
    a.asked();
    a.now_us = 2_000;
    a.arrives(1, p, 0);
    a.arrives(1, p, 1);
    let (mut once, mut twice) = (0, 0);
    // Every fourth chunk gets lost.
    for _ in 0..40 {
        let mut outstanding = Vec::new();
        for (_, chunks) in a.asked() {
            outstanding.push(chunks);
        }
        let again: Vec<&u32> = outstanding.iter().flatten().collect();
        let mut counted = again.clone();
        counted.sort();
        counted.dedup();
        twice += again.len() - counted.len();
        once += counted.len();
        for chunks in &outstanding {
            let repeats = chunks.iter().filter(|c| **c == chunks[0]).count();
            assert_eq!(repeats, 1, "never twice in one request");
        }
        a.now_us += 2_000;
        for chunk in outstanding.into_iter().flatten().filter(|c| c % 4 != 3) {
            a.arrives(1, p, chunk);
        }
        a.now_us += 4_000;
    }
    assert!(twice > 0 && twice < once, "{twice} of {once}");
}
