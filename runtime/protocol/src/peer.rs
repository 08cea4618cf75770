//! Incarnations of nodes, and what this node states about itself in every datagram.

use std::net::SocketAddr;

use super::{
    Incarnation, NodeId, NodeIncarnation, To,
    wire::{Envelope, PeerAddress},
};

/// One incarnation of a node and its last known address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node's id.
    pub id: NodeId,
    /// The incarnation of the node's process.
    pub incarnation: Incarnation,
    /// The node's UDP address, taken from the latest datagram.
    pub addr: SocketAddr,
}

/// This node, as the sender of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The node's id.
    pub id: NodeId,
    /// The incarnation of the node's process.
    pub incarnation: Incarnation,
    /// First bytes of the plan's hash.
    pub plan: u32,
}

impl Peer {
    /// A value that sorts before every real process.
    pub const NOBODY: NodeIncarnation = NodeIncarnation {
        id: NodeId(0),
        incarnation: Incarnation(0),
    };

    /// The process, without its address.
    pub const fn who(self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.id,
            incarnation: self.incarnation,
        }
    }

    /// The peer as a receiver.
    pub const fn to(self) -> To {
        To {
            node: self.id,
            incarnation: Some(self.incarnation),
            addr: self.addr,
        }
    }

    /// The peer in wire format.
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
    /// The process that sends.
    pub const fn who(self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.id,
            incarnation: self.incarnation,
        }
    }

    /// The header of a datagram to one incarnation of the receiver, or to any incarnation when `None`.
    pub const fn to(self, to_incarnation: Option<Incarnation>) -> Envelope {
        Envelope {
            from: self.id,
            incarnation: self.incarnation,
            to_incarnation,
            plan: self.plan,
        }
    }
}
