//! Names of things that travel: nodes, frames, objects; and of jobs, which do not.

use serde::Serialize;
use tessera_plan::dataflow::ObjectKey;

/// A node of the cluster, by configuration. 0 is the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct NodeId(pub u16);

/// The gateway's id.
pub const GATEWAY: NodeId = NodeId(0);

/// One process of a node: a random number that the process draws when it starts, never 0. Numbers tell
/// processes apart. Their order means nothing; see `docs/incarnations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Incarnation(pub u64);

/// One process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIncarnation {
    /// The node.
    pub id: NodeId,
    /// Which of its processes.
    pub incarnation: Incarnation,
}

/// Counts the frames that one incarnation of a source has accepted, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FrameNumber(pub u32);

impl FrameNumber {
    /// The number `by` frames later; `None` beyond the last one.
    pub const fn later(self, by: u32) -> Option<Self> {
        match self.0.checked_add(by) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// How many frames it lies behind `first`; `None` when it lies before.
    pub const fn since(self, first: Self) -> Option<u32> {
        self.0.checked_sub(first.0)
    }
}

/// Which of the changes at a gateway a node's registration follows: the gateway counts them, over all
/// nodes. Whoever registers shows the ticket that the gateway gave in answer to it, so a datagram from
/// before the last change registers nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// A thief's request for a task, by its number: a thief counts its requests to all victims. The lease that
/// answers it, and all reports of that lease, name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// A transfer, by its receiver's number. Comes back with every chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PullId(pub u32);

/// A frame, cluster-wide and across restarts of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FrameId {
    /// The node that brought the frame and owns it.
    pub source: NodeId,
    /// Which incarnation of the source.
    pub incarnation: Incarnation,
    /// Which of the incarnation's frames.
    pub number: FrameNumber,
}

/// An immutable box of a tensor: same name, same bits, wherever it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The frame it belongs to.
    pub frame: FrameId,
    /// Which of its objects.
    pub key: ObjectKey,
}

/// A job that a machine handed to its shell. Meaningless to other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u32);
