//! Processes of other edges that have spoken to this edge.
//!
//! Two processes of one node are two entries. The gateway knows and tells which process speaks for the node
//! ([`super::gateway_link`]). Each process has its own request numbers, so this edge never confuses
//! messages of the two.

use std::collections::BTreeMap;

use crate::{Incarnation, Micros, NodeId, NodeIncarnation, RequestId, peer::Peer};

/// Another edge's process.
#[derive(Clone, Copy, Debug)]
pub struct KnownPeer {
    /// The process, and its last known address.
    pub peer: Peer,
    /// When the process's latest datagram arrived.
    pub seen_us: Micros,
    /// Number of the process's latest request for a task, and whether the answer was no work.
    pub request: (RequestId, bool),
    /// Number of the process's latest renewal.
    pub renew: u32,
    /// The process's standing request for tasks of this node, if the process waits for such.
    pub want: Option<StandingWant>,
    /// True when the process had no memory for a task, and has not asked since.
    pub full: bool,
    /// The latest heartbeat that this node had sent when the process first spoke.
    since: u32,
}

/// A board's standing request: the numbers of the leases that may answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingWant {
    /// Number of the request.
    pub request: RequestId,
    /// Number of the next lease.
    pub next: RequestId,
    /// First number that the board has not set aside, unless it has declined a task since.
    pub set_aside: RequestId,
    /// First number that no lease may have now: leases that may still be under way take room.
    pub end: RequestId,
    /// True when the board had no task at all.
    pub idle: bool,
}

impl StandingWant {
    /// Number of tasks that the board still has room for.
    pub const fn room(&self) -> u32 {
        self.end.0.saturating_sub(self.next.0)
    }
}

/// All known processes, within a bound.
#[derive(Debug, Default)]
pub struct Peers {
    known: BTreeMap<NodeIncarnation, KnownPeer>,
}

impl Peers {
    /// Most processes; a further process replaces the one silent for longest.
    pub const PEERS_MAX: usize = 1024;
    /// Most processes of one node; a further one replaces the one silent for longest.
    const PROCESSES_MAX: usize = 8;

    /// Notes a datagram from `peer`. `heartbeat` is the latest heartbeat that this node has sent.
    pub fn seen(&mut self, now_us: Micros, heartbeat: u32, peer: Peer) {
        if let Some(known) = self.known.get_mut(&peer.who()) {
            known.peer.addr = peer.addr;
            known.seen_us = now_us;
            return;
        }
        let of = |incarnation| NodeIncarnation {
            id: peer.id,
            incarnation,
        };
        let same = (self.known).range(of(Incarnation(0))..=of(Incarnation(u64::MAX)));
        if same.clone().count() >= Self::PROCESSES_MAX {
            let oldest = same.min_by_key(|(_, k)| k.seen_us).map(|(&who, _)| who);
            if let Some(who) = oldest {
                self.known.remove(&who);
            }
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
            want: None,
            full: false,
            since: heartbeat,
        };
        self.known.insert(peer.who(), known);
    }

    /// A known process; `None` when the process has not spoken or was forgotten.
    pub fn get(&self, who: NodeIncarnation) -> Option<&KnownPeer> {
        self.known.get(&who)
    }

    /// A known process; `None` when the process has not spoken or was forgotten.
    pub fn get_mut(&mut self, who: NodeIncarnation) -> Option<&mut KnownPeer> {
        self.known.get_mut(&who)
    }

    /// All known processes.
    pub fn iter(&self) -> impl Iterator<Item = &KnownPeer> {
        self.known.values()
    }

    /// Notes that processes have ended: they wait for nothing.
    pub fn ended(&mut self, dead: impl Fn(NodeIncarnation) -> bool) {
        for (who, known) in &mut self.known {
            if dead(*who) {
                known.want = None;
            }
        }
    }

    /// The processes of a node that this node did not know when it sent heartbeat `seq`.
    pub fn known_since(&self, id: NodeId, seq: u32) -> impl Iterator<Item = NodeIncarnation> {
        let of = |incarnation| NodeIncarnation { id, incarnation };
        let all = (self.known).range(of(Incarnation(0))..=of(Incarnation(u64::MAX)));
        all.filter(move |(_, k)| k.since >= seq)
            .map(|(&who, _)| who)
    }
}
