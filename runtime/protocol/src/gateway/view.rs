//! What a gateway knows at one time, for people who look on. Nothing depends on it.

use std::net::SocketAddr;

use super::{
    Gateway,
    frames::{FlightState, FrameInFlight},
    known_nodes::KnownNode,
};
use crate::{Condition, FrameId, FrameMeta, Micros, NodeId, TaskId, wire::NO_TASK};

/// A registered node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The node's id.
    pub id: NodeId,
    /// Its last known address.
    pub addr: SocketAddr,
    /// True while the node counts as alive.
    pub alive: bool,
    /// Time since the node was heard, in microseconds.
    pub silent_us: Micros,
    /// Frames of the node without a record.
    pub frames: usize,
    /// Frames that this incarnation of the node has brought.
    pub brought: u32,
    /// True while the node has tasks that others may steal.
    pub has_work: bool,
    /// How its board was when it last said so.
    pub condition: Option<ConditionView>,
}

/// What a node said of its board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConditionView {
    /// What it said.
    pub said: Condition,
    /// Time since that was heard, in microseconds.
    pub age_us: Micros,
}

/// The stage of a frame at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for slots.
    Waiting,
    /// Its tasks are computed and merged.
    Open,
    /// The tail computes.
    Tail,
}

/// A frame without a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameView {
    /// The frame.
    pub id: FrameId,
    /// What its source said of it.
    pub meta: FrameMeta,
    /// Time since its capture, in microseconds.
    pub age_us: Micros,
    /// Where it is.
    pub stage: Stage,
    /// Finished tasks whose outputs the tail reads.
    pub finished: u16,
    /// Of an open frame: tasks whose outputs the tail reads, and the nodes that have or make them, as far as they are known.
    pub makers: Vec<(TaskId, NodeId)>,
}

fn condition(n: &KnownNode, now_us: Micros) -> Option<ConditionView> {
    n.condition.map(|known| ConditionView {
        said: known.said,
        age_us: now_us.saturating_sub(known.at_us),
    })
}

impl Gateway {
    /// All registered nodes, by id.
    pub fn nodes_at(&self, now_us: Micros) -> Vec<NodeView> {
        let view = |n: &KnownNode| {
            let of_it = |(id, _): &(FrameId, &FrameInFlight)| id.source == n.peer.id;
            NodeView {
                id: n.peer.id,
                addr: n.peer.addr,
                alive: n.alive,
                silent_us: now_us.saturating_sub(n.seen_us),
                frames: self.frames.iter().filter(of_it).count(),
                brought: n.next.0,
                has_work: self.ring.has(n.peer.id),
                condition: condition(n, now_us),
            }
        };
        self.nodes.iter().map(view).collect()
    }

    /// What registered nodes said of their boards.
    pub fn conditions_at(
        &self,
        now_us: Micros,
    ) -> impl Iterator<Item = (NodeId, ConditionView)> + '_ {
        (self.nodes.iter()).filter_map(move |n| Some((n.peer.id, condition(n, now_us)?)))
    }

    /// Of the last frame that became whole: tasks whose outputs were merged here, and the nodes that had them.
    pub fn last_makers(&self) -> &[(TaskId, NodeId)] {
        &self.last_makers
    }

    /// All frames without a record, those that came first in front.
    pub fn frames_at(&self, now_us: Micros) -> Vec<FrameView> {
        let mut frames: Vec<_> = self.frames.iter().collect();
        frames.sort_by_key(|(_, f)| f.turn);
        let view = |(id, f): (FrameId, &FrameInFlight)| FrameView {
            id,
            meta: f.announced.meta,
            age_us: f.announced.age(now_us),
            stage: match f.state {
                FlightState::Waiting => Stage::Waiting,
                FlightState::Open(_) => Stage::Open,
                FlightState::Tail(_) => Stage::Tail,
            },
            finished: f.finished,
            makers: match &f.state {
                FlightState::Open(merge) => {
                    let tasks = merge.holders.iter().filter(|(task, _)| **task != NO_TASK);
                    tasks.map(|(task, held)| (*task, held.peer.id)).collect()
                }
                _ => Vec::new(),
            },
        };
        frames.into_iter().map(view).collect()
    }
}
