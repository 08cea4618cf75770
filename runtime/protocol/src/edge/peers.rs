//! Other edges, as far as they have spoken to this one.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::{
    Micros, NodeId, RequestId,
    peer::Peer,
    wire::{Envelope, Reject},
};

/// Another edge's latest incarnation.
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
}

/// All of them, within a bound.
#[derive(Debug, Default)]
pub struct Peers {
    known: BTreeMap<NodeId, KnownPeer>,
}

impl Peers {
    /// Most nodes; beyond it the one silent for longest is forgotten.
    pub const PEERS_MAX: usize = 1024;

    /// A datagram has come. Gives the earlier incarnation of its sender that has ended with it, if any.
    ///
    /// # Errors
    /// [`Reject::Stale`] when it comes from an earlier incarnation itself.
    pub fn seen(
        &mut self,
        now_us: Micros,
        envelope: &Envelope,
        addr: SocketAddr,
    ) -> Result<Option<Peer>, Reject> {
        let peer = Peer {
            id: envelope.from,
            incarnation: envelope.incarnation,
            addr,
        };
        let mut ended = None;
        if let Some(known) = self.known.get_mut(&peer.id) {
            if known.peer.incarnation > peer.incarnation {
                return Err(Reject::Stale);
            }
            if known.peer.incarnation == peer.incarnation {
                known.peer.addr = addr;
                known.seen_us = now_us;
                return Ok(None);
            }
            ended = Some(known.peer);
        } else if self.known.len() >= Self::PEERS_MAX {
            let oldest = self.known.iter().min_by_key(|(_, k)| k.seen_us);
            if let Some(id) = oldest.map(|(&id, _)| id) {
                self.known.remove(&id);
            }
        }
        let known = KnownPeer {
            peer,
            seen_us: now_us,
            request: (RequestId(0), false),
            renew: 0,
        };
        self.known.insert(peer.id, known);
        Ok(ended)
    }

    /// An edge by id.
    pub fn get(&self, id: NodeId) -> Option<&KnownPeer> {
        self.known.get(&id)
    }

    /// An edge by id.
    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut KnownPeer> {
        self.known.get_mut(&id)
    }
}
