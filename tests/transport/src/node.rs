//! One of our nodes: the machine that carries objects and the sessions below it, without socket and clock.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use tessera_plan::region::Region;
use tessera_protocol::{
    Incarnation, NodeId, To, TransferConfig, exchange::Exchange, store::SlotId, store::Store, wire,
};
use tessera_secure::{
    ClusterSecret, HEAD_BYTES, Invited, Links, PrivateKey, Sessions, TAG_BYTES, Way,
};

use crate::{found::NodeFound, load::Load, store::Slots};

/// What takes datagrams away.
pub trait Wire {
    /// Sends a datagram of `len` bytes that `write` writes; `write` says where to, or that there is nothing to send.
    fn send(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> Option<SocketAddr>);
}

/// A node.
pub struct Node {
    index: usize,
    load: Load,
    exchange: Exchange,
    links: Links,
    slots: Slots,
    addresses: Vec<SocketAddr>,
    /// Fetches that have not begun.
    waiting: VecDeque<u32>,
    /// Slots that no fetch writes to.
    lanes: Vec<SlotId>,
    /// When each fetch began, and its slot.
    under_way: BTreeMap<u32, (u64, SlotId)>,
    /// The last fetch that ended in each slot.
    ended: BTreeMap<SlotId, u32>,
    /// Number of fetches that ended whole, and the time of the last one.
    pub took_us: Vec<u64>,
    /// Time at which the last fetch ended.
    pub last_us: u64,
    failed: usize,
    peers: usize,
}

fn private(node: usize) -> PrivateKey {
    let mut bytes = [5; 32];
    bytes[8..16].copy_from_slice(&(node as u64 + 1).to_le_bytes());
    PrivateKey::from_random(bytes)
}

const fn incarnation(node: usize) -> Incarnation {
    Incarnation(1000 + node as u64)
}

/// A byte of an object's packed box: differs from place to place.
fn content(object: usize, bytes: usize) -> Vec<u8> {
    let byte = |k: usize| (k.wrapping_mul(0x9e37_79b1) >> 11) as u8 ^ object as u8;
    (0..bytes).map(byte).collect()
}

/// Number that content depends on.
const fn seed_of(holder: usize) -> usize {
    31 * holder + 7
}

impl Node {
    /// The node `index` of a load; the others are at `addresses`.
    pub fn new(
        load: &Load,
        index: usize,
        config: TransferConfig,
        addresses: &[SocketAddr],
    ) -> Self {
        let id = NodeId(index as u16);
        let mut exchange = Exchange::new(id, incarnation(index), load.info.clone(), config);
        let mut slots = Slots::default();
        // Every frame's object of one kind has the same bytes: a node's memory is not what is measured.
        let mut kinds: BTreeMap<_, SlotId> = BTreeMap::new();
        for (object, region) in load.objects_of(index) {
            let element = load.info.element(object.key).map_or(1, |e| e.bytes());
            let slot = *kinds
                .entry(object.key)
                .or_insert_with(|| slots.put(content(seed_of(index), region.len() * element)));
            exchange.hold(object, slot, region);
        }
        let waiting: VecDeque<u32> = load.fetches_of(index).into();
        let largest = load.fetches.iter().map(|f| f.bytes).max().unwrap_or(0);
        let lanes = if waiting.is_empty() { 0 } else { load.parallel };
        let lanes = (0..lanes).map(|_| slots.put(vec![0; largest])).collect();
        let sessions = Sessions::new(
            private(index),
            ClusterSecret::from_random([6; 32]),
            [index as u8 + 1; 32],
            Links::config(),
        );
        let mut links = Links::new(sessions, Some(wire::sender));
        let others = (0..load.nodes).filter(|k| *k != index).map(|k| Invited {
            number: k as u16,
            name: format!("node-{k}"),
            public: private(k).public(),
        });
        links.invite(&others.collect::<Vec<_>>());
        let fetchers = (0..load.nodes).filter(|k| load.holders_of(*k).contains(&index));
        Self {
            index,
            exchange,
            links,
            slots,
            addresses: addresses.to_vec(),
            waiting,
            lanes,
            under_way: BTreeMap::new(),
            ended: BTreeMap::new(),
            took_us: Vec::new(),
            last_us: 0,
            failed: 0,
            peers: load.holders_of(index).len() + fetchers.count(),
            load: load.clone(),
        }
    }

    /// Begins sessions with all holders.
    pub fn greet(&mut self, now: u64, wire: &mut impl Wire) {
        for holder in self.load.holders_of(self.index) {
            let mut datagram = [0; HEAD_BYTES + 32 + TAG_BYTES];
            let way = way(self.to(holder));
            // The first try finds no session: that begins the handshake.
            if let Ok(at) = self.links.seal(now, way, &mut datagram) {
                wire.send(datagram.len(), |slot| {
                    slot.copy_from_slice(&datagram);
                    Some(at)
                });
            }
        }
        self.pump(now, wire);
    }

    /// True when there is a session with every node that matters.
    pub fn is_ready(&self) -> bool {
        self.links.counts().sessions_established >= self.peers as u64
    }

    /// True when all fetches have ended.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    fn to(&self, node: usize) -> To {
        To {
            node: NodeId(node as u16),
            incarnation: Some(incarnation(node)),
            addr: self.addresses[node],
        }
    }

    /// Begins as many fetches as may run at a time.
    pub fn fetch(&mut self, now: u64) {
        while let Some(slot) = self.lanes.pop() {
            let Some(tag) = self.waiting.pop_front() else {
                self.lanes.push(slot);
                return;
            };
            let f = self.load.fetches[tag as usize];
            self.under_way.insert(tag, (now, slot));
            self.ended.remove(&slot);
            let to = self.to(f.holder);
            self.exchange.fetch(tag, to, f.object, f.region, slot);
        }
    }

    /// Handles a datagram.
    pub fn receive(&mut self, now: u64, from: SocketAddr, bytes: &mut [u8], wire: &mut impl Wire) {
        if let Some((_, payload)) = self.links.open(now, from, bytes) {
            // A rejected datagram is lost, as in a node.
            let _ = (self.exchange).receive(now, from, &bytes[payload], &mut self.slots);
            self.drain(now, wire);
        }
    }

    /// Sends what there is to send, and begins fetches whose turn has come.
    pub fn drain(&mut self, now: u64, wire: &mut impl Wire) {
        loop {
            while let Some((tag, is_whole)) = self.exchange.take_ended() {
                let Some((began, slot)) = self.under_way.remove(&tag) else {
                    continue;
                };
                if is_whole {
                    self.took_us.push(now - began);
                    self.last_us = now;
                    self.ended.insert(slot, tag);
                } else {
                    self.failed += 1;
                }
                self.lanes.push(slot);
                self.fetch(now);
            }
            let links = &mut self.links;
            let Some((to, bytes)) = self.exchange.poll(now, &self.slots) else {
                return;
            };
            wire.send(HEAD_BYTES + bytes.len() + TAG_BYTES, |slot| {
                slot[HEAD_BYTES..][..bytes.len()].copy_from_slice(bytes);
                links.seal(now, way(to), slot).ok()
            });
        }
    }

    /// Sends what the sessions have to say.
    pub fn pump(&mut self, now: u64, wire: &mut impl Wire) {
        while let Some((to, bytes)) = self.links.poll(now) {
            wire.send(bytes.len(), |slot| {
                slot.copy_from_slice(bytes);
                Some(to)
            });
        }
    }

    /// When to call [`Node::drain`] and [`Node::pump`] again, if nothing arrives earlier.
    pub fn next(&self) -> u64 {
        let exchange = self.exchange.next().unwrap_or(u64::MAX);
        exchange.min(self.links.next_deadline())
    }

    /// What the node did, as far as the node knows. Compares the boxes that still lie in slots with what their holders have.
    ///
    /// # Errors
    /// When a box has wrong bytes.
    pub fn found(&self) -> anyhow::Result<NodeFound> {
        for (slot, tag) in &self.ended {
            let f = self.load.fetches[*tag as usize];
            let whole = self.load.info.region(f.object.key).unwrap_or(f.region);
            let element = f.bytes / f.region.len().max(1);
            let object = content(seed_of(f.holder), whole.len() * element);
            let expected = cut(&object, whole, f.region, element);
            anyhow::ensure!(
                self.slots.bytes(*slot)[..f.bytes] == expected,
                "box {tag} has wrong bytes"
            );
        }
        anyhow::ensure!(self.failed == 0, "{} boxes were given up", self.failed);
        Ok(NodeFound {
            took_us: self.took_us.clone(),
            transfer: Some(*self.exchange.stats()),
            ..NodeFound::default()
        })
    }
}

fn way(to: To) -> Way {
    Way {
        number: to.node.0,
        process: to.incarnation.map(|i| i.0),
        address: to.addr,
    }
}

/// The packed bytes of `inner`, out of those of `outer`.
fn cut(bytes: &[u8], outer: Region, inner: Region, element: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for y in inner.y.lo..inner.y.hi {
        for x in inner.x.lo..inner.x.hi {
            let at = ((y - outer.y.lo) * outer.w() + x - outer.x.lo) * outer.ch();
            let from = element * (at + inner.c.lo - outer.c.lo);
            out.extend_from_slice(&bytes[from..from + element * inner.ch()]);
        }
    }
    out
}
