//! Registered nodes: which are alive, and how their frames ended.
//!
//! A node has one incarnation at a time: [`KnownNodes::get`]. The table remembers earlier incarnations for
//! a while, with the ends of their frames: a cut-off incarnation may still live and come back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
};

use crate::{
    Condition, FrameNumber, FrameOutcome, Incarnation, Micros, NodeId, NodeIncarnation, Ticket,
    peer::Peer,
    retry::Retry,
    wire::{Heartbeat, NodeStatus, PeerAddress, Reject},
};

/// An incarnation of a node, as the gateway knows it.
#[derive(Debug)]
pub struct KnownNode {
    /// The incarnation, and its last known address.
    pub peer: Peer,
    /// The registration's place among the gateway's changes: another process must show this ticket to take over the id.
    pub ticket: Ticket,
    /// True while the node counts as alive.
    pub alive: bool,
    /// True when the node announced that it leaves: a node that left does not come back.
    pub left: bool,
    /// Another process with the same id that asks to take part.
    pub contender: Option<Contender>,
    /// When the node last proved to be alive.
    pub seen_us: Micros,
    /// Sequence number of the node's latest heartbeat.
    pub seq: u32,
    /// Sequence number of the node's latest request for a victim.
    pub victim_seq: u32,
    /// True when the last answer named no victim: the gateway tells this node of the next work.
    pub wants_work: bool,
    /// True when the node will bring no more frames.
    pub no_more: bool,
    /// `floor` of the latest heartbeat.
    pub floor: FrameNumber,
    /// `next` of the latest heartbeat.
    pub next: FrameNumber,
    /// Bit `i` is set when the latest heartbeat lists frame `floor + i` as in flight.
    listed: u64,
    /// Frames that have ended at the gateway and that the node still lists.
    over: BTreeMap<FrameNumber, FrameOutcome>,
    /// Nodes that the latest heartbeat asked about.
    pub asked: Vec<NodeId>,
    /// When to repeat to the node what the node does not seem to know, and the pause after that.
    pub push: Option<Retry>,
    /// What the node said last of its board.
    pub condition: Option<KnownCondition>,
}

/// How a node's board was when the node last said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownCondition {
    /// What was said.
    pub said: Condition,
    /// When it was heard.
    pub at_us: Micros,
    /// Number of the message.
    seq: u32,
}

/// Processes that ask to take part under the id of a node that counts as alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// When the first contender asked.
    first_us: Micros,
    /// When a contender asked last.
    last_us: Micros,
}

/// All nodes ever seen, within a bound.
#[derive(Debug, Default)]
pub struct KnownNodes {
    nodes: BTreeMap<NodeId, KnownNode>,
    /// Replaced incarnations, in the order of replacement.
    earlier: VecDeque<KnownNode>,
    /// Number of changes: registrations, and nodes forgotten.
    changes: u32,
    /// Number of the latest change that forgot a node.
    forgot: Ticket,
    sources: BTreeSet<NodeId>,
}

impl KnownNode {
    fn new(peer: Peer, now_us: Micros) -> Self {
        Self {
            peer,
            ticket: Ticket::default(),
            alive: true,
            left: false,
            contender: None,
            seen_us: now_us,
            seq: 0,
            victim_seq: 0,
            wants_work: false,
            no_more: false,
            floor: FrameNumber(0),
            next: FrameNumber(0),
            listed: 0,
            over: BTreeMap::new(),
            asked: Vec::new(),
            push: None,
            condition: None,
        }
    }

    /// Notes that another process asks to take part under this node's id.
    pub fn contend(&mut self, now_us: Micros, dead_after_us: u64) {
        let since = self.contender.filter(|c| c.lasts(now_us, dead_after_us));
        self.contender = Some(Contender {
            first_us: since.map_or(now_us, |c| c.first_us),
            last_us: now_us,
        });
    }

    /// True when two processes with this id live: another process asks, and this process has spoken long after the
    /// other process began to ask.
    pub fn contested(&self, now_us: Micros, dead_after_us: u64) -> bool {
        self.contender.is_some_and(|c| {
            c.lasts(now_us, dead_after_us) && self.seen_us > c.first_us + dead_after_us / 2
        })
    }

    /// Updates the node and its frames from a heartbeat.
    pub fn on_heartbeat(&mut self, now_us: Micros, addr: SocketAddr, heartbeat: &Heartbeat<'_>) {
        self.seen_us = now_us;
        self.peer.addr = addr;
        self.seq = heartbeat.seq;
        self.no_more = heartbeat.no_more;
        (self.floor, self.next) = (heartbeat.floor, heartbeat.next);
        self.listed = 0;
        for f in heartbeat.frames {
            // `parse` has checked that numbers lie in the window.
            self.listed |= 1 << f.number.get().since(heartbeat.floor).unwrap_or(0);
        }
        self.asked.clear();
        self.asked.extend(heartbeat.asked());
        let (floor, listed) = (self.floor, self.listed);
        self.over.retain(|&n, _| lists(floor, listed, n));
        if self.over.is_empty() {
            self.push = None;
        }
    }

    /// Notes what the node says of its board.
    ///
    /// # Errors
    /// [`Reject::Stale`] when the node has said something later.
    pub fn on_condition(
        &mut self,
        now_us: Micros,
        seq: u32,
        said: Condition,
    ) -> Result<(), Reject> {
        if self.condition.is_some_and(|known| seq <= known.seq) {
            return Err(Reject::Stale);
        }
        let at_us = now_us;
        self.condition = Some(KnownCondition { said, at_us, seq });
        Ok(())
    }

    /// True when the latest heartbeat lists the frame.
    pub fn lists(&self, number: FrameNumber) -> bool {
        lists(self.floor, self.listed, number)
    }

    /// How a frame ended; `None` once the node no longer lists the frame.
    pub fn ended(&self, number: FrameNumber) -> Option<FrameOutcome> {
        self.over.get(&number).copied()
    }

    /// Notes that a frame has ended.
    pub fn end(&mut self, number: FrameNumber, outcome: FrameOutcome) {
        self.over.insert(number, outcome);
    }

    /// The node's state for other nodes.
    pub fn status(&self) -> NodeStatus {
        let count = self.next.since(self.floor).unwrap_or(0);
        let all = if count >= u64::BITS {
            u64::MAX
        } else {
            (1 << count) - 1
        };
        let mut ended = all & !self.listed;
        for n in self.over.keys() {
            if let Some(i) = n.since(self.floor).filter(|&i| i < u64::BITS) {
                ended |= 1 << i;
            }
        }
        NodeStatus {
            node: self.peer.address(),
            alive: self.alive,
            floor: self.floor,
            ended,
        }
    }
}

impl Contender {
    /// True while the contender still asks: refused nodes ask once in `dead_after_us`.
    const fn lasts(self, now_us: Micros, dead_after_us: u64) -> bool {
        now_us.saturating_sub(self.last_us) < 3 * dead_after_us
    }
}

fn lists(floor: FrameNumber, listed: u64, number: FrameNumber) -> bool {
    let i = number.since(floor).filter(|&i| i < u64::BITS);
    i.is_some_and(|i| listed >> i & 1 == 1)
}

impl KnownNodes {
    /// Most nodes in the table; a new one replaces the dead one that has been silent for longest.
    pub const NODES_MAX: usize = 1024;
    /// Most replaced incarnations remembered.
    pub const EARLIER_MAX: usize = 256;

    /// A node by id.
    pub fn get(&self, id: NodeId) -> Option<&KnownNode> {
        self.nodes.get(&id)
    }

    /// A node by id.
    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut KnownNode> {
        self.nodes.get_mut(&id)
    }

    /// A given incarnation of a node, replaced or not.
    pub fn find_mut(&mut self, id: NodeId, incarnation: Incarnation) -> Option<&mut KnownNode> {
        let who = NodeIncarnation { id, incarnation };
        let present = self.nodes.get_mut(&id).into_iter();
        let mut all = present.chain(&mut self.earlier);
        all.find(|n| n.peer.who() == who)
    }

    /// The ticket that a heartbeat must show to register a process under this id.
    pub fn ticket(&self, id: NodeId) -> Ticket {
        self.nodes.get(&id).map_or(self.forgot, |n| n.ticket)
    }

    fn change(&mut self) -> Ticket {
        self.changes = self.changes.wrapping_add(1);
        Ticket(self.changes)
    }

    /// A given incarnation of a node, if it is the present one and alive.
    pub fn living(&mut self, id: NodeId, incarnation: Incarnation) -> Option<&mut KnownNode> {
        let node = self.nodes.get_mut(&id)?;
        (node.alive && node.peer.incarnation == incarnation).then_some(node)
    }

    /// Gives a node's place to another incarnation; restores what the table still knows of that incarnation.
    /// `None` when the table is full of living nodes.
    pub fn join(&mut self, peer: Peer, now_us: Micros) -> Option<&mut KnownNode> {
        if self.nodes.len() >= Self::NODES_MAX && !self.nodes.contains_key(&peer.id) {
            let dead = (self.nodes.iter())
                .filter(|(_, n)| !n.alive)
                .min_by_key(|(_, n)| n.seen_us)
                .map(|(&id, _)| id)?;
            self.nodes.remove(&dead);
            self.forgot = self.change();
        }
        if let Some(before) = self.nodes.remove(&peer.id) {
            if self.earlier.len() == Self::EARLIER_MAX {
                self.earlier.pop_front();
            }
            self.earlier.push_back(before);
        }
        let same = |n: &KnownNode| n.peer.who() == peer.who();
        let known = self.earlier.iter().position(same);
        let known = known.and_then(|i| self.earlier.remove(i));
        let mut node = known.unwrap_or_else(|| KnownNode::new(peer, now_us));
        node.ticket = self.change();
        node.alive = true;
        node.contender = None;
        self.nodes.insert(peer.id, node);
        self.nodes.get_mut(&peer.id)
    }

    /// All nodes, by id.
    pub fn iter(&self) -> impl Iterator<Item = &KnownNode> {
        self.nodes.values()
    }

    /// All nodes, by id.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut KnownNode> {
        self.nodes.values_mut()
    }

    /// Notes that a node has brought a frame.
    pub fn brought(&mut self, id: NodeId) {
        if self.sources.len() < Self::NODES_MAX {
            self.sources.insert(id);
        }
    }

    /// Number of nodes that have ever brought a frame.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Number of living nodes that have ever brought a frame.
    pub fn living_sources(&self) -> usize {
        let living = |id: &&NodeId| self.nodes.get(id).is_some_and(|n| n.alive);
        self.sources.iter().filter(living).count()
    }

    /// The known state of a node. A node that never came counts as dead once the gateway has `waited` long
    /// enough, and is `None` before; incarnation 0 belongs to no process.
    pub fn status(&self, id: NodeId, waited: bool) -> Option<NodeStatus> {
        match self.nodes.get(&id) {
            Some(n) => Some(n.status()),
            None if waited => Some(NodeStatus {
                node: PeerAddress::new(id, Incarnation(0), SocketAddr::from(([0; 4], 0))),
                alive: false,
                floor: FrameNumber(0),
                ended: 0,
            }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FrameId, FrameMeta,
        wire::{FrameEntry, NodeField},
    };

    #[test]
    fn node_statuses_tell_what_is_over() {
        let peer = Peer {
            id: NodeId(4),
            incarnation: Incarnation(7),
            addr: SocketAddr::from(([10, 0, 0, 4], 4)),
        };
        let mut nodes = KnownNodes::default();
        let frames =
            [11, 14].map(|n| FrameEntry::new(FrameNumber(n), false, 0, FrameMeta::default(), 0));
        let ask = [NodeField::from(NodeId(3))];
        let heartbeat = Heartbeat {
            seq: 1,
            ticket: Ticket::default(),
            has_work: false,
            no_more: false,
            floor: FrameNumber(11),
            next: FrameNumber(15),
            plan_hash: [0; 32],
            model_digest: [0; 32],
            frames: &frames,
            ask: &ask,
        };
        let node = nodes.join(peer, 0).expect("room");
        node.on_heartbeat(5, peer.addr, &heartbeat);
        node.end(FrameNumber(14), FrameOutcome::Detections);
        assert_eq!(node.asked, [NodeId(3)]);
        let over = |nodes: &KnownNodes| -> Vec<u32> {
            let status = nodes.status(NodeId(4), false).expect("a known node");
            let id = |number: u32| FrameId {
                source: NodeId(4),
                incarnation: Incarnation(7),
                number: FrameNumber(number),
            };
            (9..17).filter(|&n| status.over(id(n))).collect()
        };
        assert_eq!(over(&nodes), [9, 10, 12, 13, 14]);
        // The source has heard of the end and no longer lists the frame; the last frames are newer.
        let node = nodes.living(NodeId(4), Incarnation(7)).expect("alive");
        node.on_heartbeat(
            6,
            peer.addr,
            &Heartbeat {
                seq: 2,
                next: FrameNumber(16),
                frames: &frames[..1],
                ..heartbeat
            },
        );
        assert_eq!(node.ended(FrameNumber(14)), None);
        assert_eq!(over(&nodes), [9, 10, 12, 13, 14, 15]);
        assert!(nodes.living(NodeId(4), Incarnation(6)).is_none());
        assert!(nodes.status(NodeId(5), false).is_none());
        assert!(nodes.status(NodeId(5), true).is_some_and(|b| !b.alive));
    }
}
