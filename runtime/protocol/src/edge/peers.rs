//! Other edges' processes, as far as they have spoken to this one.
//!
//! Two processes of one node are two entries: which of them is the node, the gateway knows and says
//! ([`super::gateway_link`]). Each has its own numbers of requests, so what one said is never taken
//! for the other's.

use std::collections::BTreeMap;

use crate::{Incarnation, Micros, NodeId, NodeIncarnation, RequestId, peer::Peer};

/// Another edge's process.
#[derive(Clone, Copy, Debug)]
pub struct KnownPeer {
    /// Which, and where it was seen last.
    pub peer: Peer,
    /// When its latest datagram came.
    pub seen_us: Micros,
    /// Number of its latest request for a task, and whether it got none.
    pub request: (RequestId, bool),
    /// Number of its latest renewal.
    pub renew: u32,
    /// The latest heartbeat that this node had sent when it came to know it.
    since: u32,
}

/// All of them, within a bound.
#[derive(Debug, Default)]
pub struct Peers {
    known: BTreeMap<NodeIncarnation, KnownPeer>,
}

impl Peers {
    /// Most processes; beyond it the one silent for longest is forgotten.
    pub const PEERS_MAX: usize = 1024;

    /// A datagram of `peer` has come. `heartbeat` is the latest that this node has sent.
    pub fn seen(&mut self, now_us: Micros, heartbeat: u32, peer: Peer) {
        if let Some(known) = self.known.get_mut(&peer.who()) {
            known.peer.addr = peer.addr;
            known.seen_us = now_us;
            return;
        }
        if self.known.len() >= Self::PEERS_MAX {
            let oldest = self.known.iter().min_by_key(|(_, k)| k.seen_us);
            if let Some(who) = oldest.map(|(&who, _)| who) {
                self.known.remove(&who);
            }
        }
        let known = KnownPeer {
            peer,
            seen_us: now_us,
            request: (RequestId(0), false),
            renew: 0,
            since: heartbeat,
        };
        self.known.insert(peer.who(), known);
    }

    /// A process.
    pub fn get(&self, who: NodeIncarnation) -> Option<&KnownPeer> {
        self.known.get(&who)
    }

    /// A process.
    pub fn get_mut(&mut self, who: NodeIncarnation) -> Option<&mut KnownPeer> {
        self.known.get_mut(&who)
    }

    /// The processes of a node that this node did not know when it sent heartbeat `seq`.
    pub fn known_since(&self, id: NodeId, seq: u32) -> impl Iterator<Item = NodeIncarnation> {
        let of = |incarnation| NodeIncarnation { id, incarnation };
        let all = (self.known).range(of(Incarnation(0))..=of(Incarnation(u64::MAX)));
        all.filter(move |(_, k)| k.since >= seq)
            .map(|(&who, _)| who)
    }
}
