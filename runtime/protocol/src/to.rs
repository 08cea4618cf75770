//! Where a datagram goes.

use std::net::SocketAddr;

use crate::ids::{Incarnation, NodeId};

/// Where a datagram goes: to a node. A shell with sessions takes the way to that node, and from the rest only what it does
/// not know better; a shell without sessions takes the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct To {
    /// The receiver's id.
    pub node: NodeId,
    /// The receiver's process; `None` while the sender does not know it.
    pub incarnation: Option<Incarnation>,
    /// Where that process was last heard of.
    pub addr: SocketAddr,
}
