//! What machines say of their cluster, for whoever looks after it.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
};

use crate::{Micros, NodeId, info::PlanPrefix, refusal::Refusal};

/// Something that an operator would want to know. Nothing depends on its being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A node takes part from now on.
    Joined {
        /// Its number.
        node: NodeId,
        /// Where it is.
        addr: SocketAddr,
    },
    /// A node takes part no longer.
    Lost {
        /// Its number.
        node: NodeId,
        /// Where it was.
        addr: SocketAddr,
        /// How it went.
        why: Loss,
        /// Its frames in flight, which are dropped.
        frames: usize,
    },
    /// A node was turned away; said seldom of one that keeps asking.
    Refused {
        /// The number that it gave.
        node: NodeId,
        /// Where it is.
        addr: SocketAddr,
        /// Why it may not take part.
        why: Refusal,
        /// What its plan's hash begins with.
        plan: PlanPrefix,
    },
    /// An edge: the gateway will not have this node. It asks again, seldom.
    TurnedAway {
        /// Why it may not take part.
        why: Refusal,
        /// What this node's plan's hash begins with.
        own_plan: PlanPrefix,
        /// What the gateway's begins with.
        gateway_plan: PlanPrefix,
    },
    /// An edge: another living node asks to take part under this node's number.
    IdContested {
        /// The number.
        node: NodeId,
    },
    /// An edge: another process of the gateway answers; this node registers with it.
    GatewayRestarted,
    /// Datagrams above some size do not come through from a node, smaller ones do: a path with a small
    /// MTU and without the messages that say so. This node asks for small ones from now on.
    NarrowPath {
        /// The node that sends.
        from: NodeId,
        /// Where it is.
        addr: SocketAddr,
        /// Largest payload that is asked for now, in bytes.
        chunk_bytes: usize,
    },
}

/// How a node went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It said so.
    Left,
    /// Nothing was heard of it for too long.
    Silent,
    /// Another process has registered under its number: it was restarted.
    Replaced,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "it left",
            Self::Silent => "nothing was heard of it",
            Self::Replaced => "it was started anew",
        })
    }
}

/// Notices that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<Notice>,
    /// Who was turned away, and when that was said.
    refused: BTreeMap<(NodeId, SocketAddr), (Refusal, Micros)>,
}

impl Notices {
    /// Most that wait; later ones are not said.
    const WAITING_MAX: usize = 256;
    /// Most refused nodes that are remembered; further ones are not spoken of.
    const REFUSED_MAX: usize = 64;
    /// Between two notices of one node that keeps asking.
    const AGAIN_US: u64 = 600_000_000;

    pub(crate) fn add(&mut self, notice: Notice) {
        if self.waiting.len() < Self::WAITING_MAX {
            self.waiting.push_back(notice);
        }
    }

    /// Says that a node was turned away, unless that was said lately.
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
