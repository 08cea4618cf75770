//! Identifiers of nodes, frames and objects, which travel in datagrams, and of jobs, which stay on the node.

use serde::Serialize;
use tessera_plan::dataflow::ObjectKey;

/// A node's configured number in the cluster. 0 is the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct NodeId(pub u16);

/// The id of the gateway.
pub const GATEWAY: NodeId = NodeId(0);

/// A random number that a process draws at start, never 0. The number tells the processes of a node
/// apart. The order of the numbers means nothing; see `docs/incarnations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Incarnation(pub u64);

/// One process of a node: the node's id and the process's incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIncarnation {
    /// The node's id.
    pub id: NodeId,
    /// The process's incarnation.
    pub incarnation: Incarnation,
}

/// The number of a frame among the frames that one incarnation of a source has accepted, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FrameNumber(pub u32);

impl FrameNumber {
    /// The number `by` frames later; `None` on overflow of `u32`.
    pub const fn later(self, by: u32) -> Option<Self> {
        match self.0.checked_add(by) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// How many frames this number lies behind `first`; `None` when this number lies before `first`.
    pub const fn since(self, first: Self) -> Option<u32> {
        self.0.checked_sub(first.0)
    }
}

/// A place in the gateway's sequence of registration changes; the gateway counts changes over all nodes.
/// A node that registers shows the ticket from the gateway's answer, so a datagram from before the last
/// change registers nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// The number of a thief's request for a task. A thief counts requests to all victims together. The answering
/// lease and all reports about that lease carry the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// The number that a receiver gives to a transfer. Every chunk of the transfer carries the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PullId(pub u32);

/// A frame's identifier: unique in the cluster and across restarts of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FrameId {
    /// The source: the node that brought the frame and owns the frame.
    pub source: NodeId,
    /// The incarnation of the source.
    pub incarnation: Incarnation,
    /// The number of the frame within the incarnation.
    pub number: FrameNumber,
}

/// An immutable box of a tensor. Every copy of an object, on any node, holds the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The frame that the object belongs to.
    pub frame: FrameId,
    /// The object's key within the frame.
    pub key: ObjectKey,
}

/// A job that a machine handed to the shell. Job ids mean nothing to other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u32);

impl JobId {
    /// The number of the run, as other nodes know it: never [`NO_RUN`](crate::wire::NO_RUN).
    pub(crate) const fn run(self) -> u32 {
        match self.0.wrapping_add(1) {
            0 => u32::MAX,
            run => run,
        }
    }
}
