//! Incarnations of nodes, and what this node says of itself in every datagram.

use std::net::SocketAddr;

use super::{
    Incarnation, NodeId, NodeIncarnation,
    wire::{Envelope, PeerAddress},
};

/// One incarnation of a node, and where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node.
    pub id: NodeId,
    /// Its process.
    pub incarnation: Incarnation,
    /// Its UDP address, as datagrams showed it last.
    pub addr: SocketAddr,
}

/// This node, as the sender of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The node.
    pub id: NodeId,
    /// Its process.
    pub incarnation: Incarnation,
    /// First bytes of the plan's hash.
    pub plan: u32,
}

impl Peer {
    /// Before every process there is.
    pub const NOBODY: NodeIncarnation = NodeIncarnation {
        id: NodeId(0),
        incarnation: Incarnation(0),
    };

    /// Which process it is, wherever it was seen.
    pub const fn who(self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.id,
            incarnation: self.incarnation,
        }
    }

    /// For the wire.
    pub fn address(self) -> PeerAddress {
        PeerAddress::new(self.id, self.incarnation, self.addr)
    }
}

impl From<&PeerAddress> for Peer {
    fn from(n: &PeerAddress) -> Self {
        Self {
            id: n.id(),
            incarnation: n.incarnation(),
            addr: n.addr(),
        }
    }
}

impl Sender {
    /// Which process it is.
    pub const fn who(self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.id,
            incarnation: self.incarnation,
        }
    }

    /// The head of a datagram to a certain incarnation of its receiver, or to whichever.
    pub const fn to(self, to_incarnation: Option<Incarnation>) -> Envelope {
        Envelope {
            from: self.id,
            incarnation: self.incarnation,
            to_incarnation,
            plan: self.plan,
        }
    }
}
