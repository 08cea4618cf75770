//! Lives of nodes, and what this node says of itself in every datagram.

use std::net::SocketAddr;

use super::{
    Epoch, NodeId,
    wire::{Envelope, Node},
};

/// One life of a node, and where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which node.
    pub id: NodeId,
    /// Which life.
    pub epoch: Epoch,
    /// Where.
    pub addr: SocketAddr,
}

/// This node, as the sender of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Which node.
    pub id: NodeId,
    /// Which life.
    pub epoch: Epoch,
    /// First bytes of the plan's hash.
    pub plan: u32,
}

impl Peer {
    /// For the wire.
    pub fn node(self) -> Node {
        Node::new(self.id, self.epoch, self.addr)
    }
}

impl From<&Node> for Peer {
    fn from(n: &Node) -> Self {
        Self {
            id: n.id(),
            epoch: n.epoch(),
            addr: n.addr(),
        }
    }
}

impl Speaker {
    /// The head of a datagram to a certain life of its receiver, or to whichever.
    pub const fn to(self, to_epoch: Option<Epoch>) -> Envelope {
        Envelope {
            from: self.id,
            epoch: self.epoch,
            to_epoch,
            plan: self.plan,
        }
    }
}
