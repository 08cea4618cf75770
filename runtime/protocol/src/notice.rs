//! What the machines report to the operator of the cluster.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
};

use crate::{FrameNumber, Micros, NodeId, TaskId, info::PlanPrefix, refusal::Refusal};

/// An event of interest to an operator. The machines work the same when nobody reads notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A node takes part from now on.
    Joined {
        /// The node's id.
        node: NodeId,
        /// The node's UDP address.
        addr: SocketAddr,
    },
    /// A node no longer takes part.
    Lost {
        /// The node's id.
        node: NodeId,
        /// The node's last UDP address.
        addr: SocketAddr,
        /// How the node was lost.
        why: Loss,
        /// Number of the node's frames in flight, all of which are dropped.
        frames: usize,
    },
    /// The gateway turned a node away. Repeated at long intervals while the node keeps asking.
    Refused {
        /// The id that the node claims.
        node: NodeId,
        /// The node's UDP address.
        addr: SocketAddr,
        /// Why the node may not take part.
        why: Refusal,
        /// The first bytes of the node's plan hash.
        plan: PlanPrefix,
    },
    /// From an edge: the gateway refuses this node. The node asks again at long intervals.
    TurnedAway {
        /// Why this node may not take part.
        why: Refusal,
        /// The first bytes of this node's plan hash.
        own_plan: PlanPrefix,
        /// The first bytes of the gateway's plan hash.
        gateway_plan: PlanPrefix,
    },
    /// From an edge: another living node asks to take part under this node's id.
    IdContested {
        /// The id that both nodes claim.
        node: NodeId,
    },
    /// From a source: a board's outputs of a task were not what two other computations made. Frames that it had a part in
    /// begin anew without it.
    ResultsDiffer {
        /// The board.
        node: NodeId,
        /// The frame.
        number: FrameNumber,
        /// The task.
        task: TaskId,
        /// True when the board gets no more tasks of this source.
        left_out: bool,
    },
    /// From a source: two other boards made the same of a task, and this one something else. The frame is dropped.
    OwnResultsDiffer {
        /// The frame.
        number: FrameNumber,
        /// The task.
        task: TaskId,
    },
    /// From a source: a board did not hand over its outputs several times in a row when they were to be compared. It gets no
    /// tasks for a while.
    ShowsNothing {
        /// The board.
        node: NodeId,
    },
    /// From the gateway: a source computes a frame anew, because a board that had a part in it was wrong.
    BegunAnew {
        /// The source.
        node: NodeId,
        /// The frame.
        number: FrameNumber,
    },
    /// From an edge: another process of the gateway answers. This node registers with that process.
    GatewayRestarted,
    /// Datagrams above some size from a node get lost, while smaller ones arrive: the path has a small MTU
    /// and drops the ICMP messages that report it. This node requests small chunks from now on.
    NarrowPath {
        /// The node that sends the chunks.
        from: NodeId,
        /// The sending node's UDP address.
        addr: SocketAddr,
        /// Largest payload that this node requests now, in bytes.
        chunk_bytes: usize,
    },
}

/// How a node was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The node announced that it leaves.
    Left,
    /// The gateway heard nothing from the node for too long.
    Silent,
    /// Another process has registered under the node's id: the node was restarted.
    Replaced,
    /// The node may not take part any more.
    Removed,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "it left",
            Self::Silent => "nothing was heard of it",
            Self::Replaced => "it was started anew",
            Self::Removed => "it may not take part any more",
        })
    }
}

/// Notices that wait for the shell.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<Notice>,
    /// Refused nodes, with the reason and the time of the last notice.
    refused: BTreeMap<(NodeId, SocketAddr), (Refusal, Micros)>,
}

impl Notices {
    /// Most waiting notices; further notices are discarded.
    const WAITING_MAX: usize = 256;
    /// Most refused nodes remembered; the machine reports no further ones.
    const REFUSED_MAX: usize = 64;
    /// Pause between two notices about one node that keeps asking, in microseconds.
    const AGAIN_US: u64 = 600_000_000;

    pub(crate) fn add(&mut self, notice: Notice) {
        if self.waiting.len() < Self::WAITING_MAX {
            self.waiting.push_back(notice);
        }
    }

    /// Adds a notice that a node was turned away, unless a recent notice said the same.
    pub(crate) fn refused(
        &mut self,
        now_us: Micros,
        node: NodeId,
        addr: SocketAddr,
        why: Refusal,
        plan: PlanPrefix,
    ) {
        self.refused
            .retain(|_, (_, at)| now_us.saturating_sub(*at) < Self::AGAIN_US);
        let known = self.refused.get(&(node, addr)).map(|(why, _)| *why);
        if known == Some(why) || known.is_none() && self.refused.len() >= Self::REFUSED_MAX {
            return;
        }
        self.refused.insert((node, addr), (why, now_us));
        self.add(Notice::Refused {
            node,
            addr,
            why,
            plan,
        });
    }

    pub(crate) fn next(&mut self) -> Option<Notice> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_node_that_keeps_asking_is_spoken_of_seldom() {
        let mut notices = Notices::default();
        let mut said = |now_us, why| {
            notices.refused(now_us, NodeId(1), addr(1), why, PlanPrefix(7));
            notices.next().is_some()
        };
        assert!(said(0, Refusal::Plan));
        assert!(!said(1_000_000, Refusal::Plan));
        assert!(said(2_000_000, Refusal::Model), "another reason is news");
        assert!(!said(3_000_000, Refusal::Model));
        assert!(said(602_000_000, Refusal::Model));
    }

    #[test]
    fn a_flood_of_strangers_fills_nothing() {
        let mut notices = Notices::default();
        for port in 0..10_000 {
            notices.refused(0, NodeId(1), addr(port), Refusal::Plan, PlanPrefix(7));
            notices.add(Notice::Joined {
                node: NodeId(2),
                addr: addr(port),
            });
        }
        assert_eq!(notices.waiting.len(), Notices::WAITING_MAX);
        assert_eq!(notices.refused.len(), Notices::REFUSED_MAX);
    }
}
