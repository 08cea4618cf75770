//! Datagrams that the gateway sends: waiting replies, repeats, and encoding.

use super::{
    Gateway,
    frames::{Announced, FlightState},
};
use crate::store::SlotId;
use crate::{
    DropReason, FrameId, GatewayOutput, Incarnation, Micros, NodeId, PullId, TaskId, To,
    peer::Peer,
    wire::{
        ClusterState, FrameStatus, FrameStatusEntry, LostResult, LostResults, Message, MessageKind,
        NodeStatusEntry, ResultNote, ResultsAck, Verdict,
    },
};

/// A datagram to be encoded when its turn comes, from the state at that time.
#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    /// To a node of the cluster: states of the node's frames and of the nodes asked about. `seq` 0: unasked.
    State { to: NodeId, seq: u32 },
    /// To a sender that is not, or not yet, a node of the cluster.
    Stranger {
        to: Peer,
        seq: u32,
        verdict: Verdict,
    },
    /// To a node: which frames of another node are over.
    NodeStatus { to: NodeId, about: NodeId },
    /// To a thief: the victim to ask.
    Victim {
        to: NodeId,
        seq: u32,
        victim: Option<NodeId>,
    },
    /// To an owner: which of these tasks' outputs are known and which merged.
    ResultsAck { frame: FrameId, tasks: Vec<TaskId> },
    /// To an owner: outputs that the gateway could not get.
    Lost { frame: FrameId },
    /// To a node: what it asked for is not here.
    Absent { to: Peer, pull: PullId },
    /// To a node: the run is over.
    Stop { to: NodeId },
}

/// An action for the shell.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Run(FrameId, Announced, Vec<SlotId>),
    Drop(FrameId, Announced, DropReason),
    Fetched(FrameId, Announced, Option<SlotId>),
}

impl Action {
    pub fn into_output(self, now_us: Micros) -> GatewayOutput<'static> {
        match self {
            Self::Run(frame, announced, inputs) => GatewayOutput::RunTail {
                frame,
                meta: announced.meta,
                age_us: announced.age(now_us),
                wrong: announced.wrong,
                inputs,
            },
            Self::Drop(frame, announced, reason) => GatewayOutput::Drop {
                frame,
                meta: announced.meta,
                age_us: announced.age(now_us),
                wrong: announced.wrong,
                reason,
            },
            Self::Fetched(frame, announced, picture) => GatewayOutput::Fetched {
                frame,
                meta: announced.meta,
                picture,
            },
        }
    }
}

impl super::frames::FrameInFlight {
    /// When the next message about the frame must be repeated.
    pub(super) fn next_repeat(&self) -> Option<Micros> {
        match &self.state {
            FlightState::Open(m) => m.lost.values().map(|l| l.again.at_us).min(),
            _ => None,
        }
    }
}

impl Gateway {
    /// Queues the messages that are due to be repeated.
    pub(super) fn repeat(&mut self, now_us: Micros) {
        let pause_us_max = self.config.retry_us[1];
        let mut due = Vec::new();
        for n in self.nodes.iter_mut().filter(|n| n.alive) {
            if let Some(again) = n.push
                && again.is_due(now_us)
            {
                n.push = Some(again.repeat(now_us, pause_us_max));
                due.push(Outgoing::State {
                    to: n.peer.id,
                    seq: 0,
                });
            }
        }
        if let Some(again) = self.stopping
            && again.is_due(now_us)
        {
            self.stopping = Some(again.repeat(now_us, pause_us_max));
            let alive = self.nodes.iter().filter(|n| n.alive);
            due.extend(alive.map(|n| Outgoing::Stop { to: n.peer.id }));
        }
        for (frame, flight) in self.frames.iter_mut() {
            let FlightState::Open(merge) = &mut flight.state else {
                continue;
            };
            let mut any = false;
            for (&task, lost) in &mut merge.lost {
                if lost.again.is_due(now_us) {
                    lost.again = lost.again.repeat(now_us, pause_us_max);
                    // A missing frame needs no message: the gateway pulls the frame again.
                    any |= task != crate::wire::NO_TASK;
                    self.dirty = true;
                }
            }
            if any {
                due.push(Outgoing::Lost { frame });
            }
        }
        for outgoing in due {
            self.enqueue(outgoing);
        }
    }

    /// Encodes a datagram; `None` when the message has become pointless.
    pub(super) fn write(
        &mut self,
        now_us: Micros,
        outgoing: Outgoing,
    ) -> Option<(To, MessageKind)> {
        match outgoing {
            Outgoing::State { to, seq } => self.write_state(now_us, to, seq),
            Outgoing::Stranger { to, seq, verdict } => {
                let state = ClusterState {
                    seq,
                    verdict,
                    ticket: self.nodes.ticket(to.id),
                    contested: false,
                    work: false,
                    frames: &[],
                    nodes: &[],
                };
                Some(self.encode(&Message::State(state), to))
            }
            Outgoing::NodeStatus { to, about } => {
                let nodes = [NodeStatusEntry::new(self.nodes.get(about)?.status())];
                let state = ClusterState {
                    seq: 0,
                    verdict: Verdict::Welcome,
                    ticket: self.nodes.ticket(to),
                    contested: false,
                    work: false,
                    frames: &[],
                    nodes: &nodes,
                };
                self.write_to(&Message::State(state), to)
            }
            Outgoing::Victim { to, seq, victim } => {
                let victim = victim.and_then(|v| self.nodes.get(v));
                let victim = victim.filter(|n| n.alive).map(|n| n.peer.address());
                self.write_to(&Message::Victim { seq, victim }, to)
            }
            Outgoing::ResultsAck { frame, tasks } => self.write_results_ack(frame, &tasks),
            Outgoing::Lost { frame } => self.write_lost(frame),
            Outgoing::Absent { to, pull } => Some(self.encode(&Message::Absent { pull }, to)),
            Outgoing::Stop { to } => self.write_to(&Message::Stop, to),
        }
    }

    fn write_state(&mut self, now_us: Micros, to: NodeId, seq: u32) -> Option<(To, MessageKind)> {
        let node = self.nodes.get(to)?;
        let started = self.clock.map_or(now_us, |c| c.0);
        let waited = now_us.saturating_sub(started)
            > self.config.dead_after_us + 2 * self.config.heartbeat_us;
        let frames: Vec<FrameStatusEntry> = (0..u64::BITS)
            .filter_map(|i| node.floor.later(i))
            .filter(|&n| node.lists(n))
            .map(|n| {
                let id = FrameId {
                    source: to,
                    incarnation: node.peer.incarnation,
                    number: n,
                };
                let flight = self.frames.get(id);
                let opened = flight.map_or(0, |f| f.opened);
                let stand = match (node.ended(n), flight.map(|f| &f.state)) {
                    (Some(outcome), _) => FrameStatus::Over(outcome),
                    (None, Some(FlightState::Open(_) | FlightState::Tail(_))) => FrameStatus::Open,
                    (None, _) => FrameStatus::Waiting,
                };
                FrameStatusEntry::new(n, stand, opened)
            })
            .collect();
        let nodes: Vec<NodeStatusEntry> = (node.asked.iter().filter(|_| seq > 0))
            .filter_map(|&id| self.nodes.status(id, waited))
            .map(NodeStatusEntry::new)
            .collect();
        let state = ClusterState {
            seq,
            verdict: Verdict::Welcome,
            ticket: node.ticket,
            contested: node.contested(now_us, self.config.dead_after_us),
            work: !self.ring.is_empty(),
            frames: &frames,
            nodes: &nodes,
        };
        self.write_to(&Message::State(state), to)
    }

    fn write_results_ack(&mut self, frame: FrameId, tasks: &[TaskId]) -> Option<(To, MessageKind)> {
        let flight = self.frames.get(frame)?;
        let attempt = flight.attempt;
        let notes: Vec<ResultNote> = match &flight.state {
            FlightState::Waiting => return None,
            FlightState::Open(m) => (tasks.iter())
                .filter_map(|&t| {
                    let held = m.holders.get(&t);
                    let generation = held.map_or(0, |h| h.generation);
                    let merged = m.has(&self.info, t);
                    let early = held.is_some_and(|h| h.early) && !merged;
                    (merged || held.is_some()).then(|| ResultNote {
                        early: early.into(),
                        ..note(t, generation, merged)
                    })
                })
                .collect(),
            FlightState::Tail(_) => tasks.iter().map(|&t| note(t, 0, true)).collect(),
        };
        let ack = ResultsAck {
            number: frame.number,
            attempt,
            tasks: &notes,
        };
        self.write_to_incarnation(&Message::ResultsAck(ack), frame.source, frame.incarnation)
    }

    fn write_lost(&mut self, frame: FrameId) -> Option<(To, MessageKind)> {
        let flight = self.frames.get(frame)?;
        let attempt = flight.attempt;
        let FlightState::Open(m) = &flight.state else {
            return None;
        };
        let tasks: Vec<LostResult> = (m.lost.iter())
            .filter(|&(&task, _)| task != crate::wire::NO_TASK)
            .take(LostResults::TASKS_MAX / 2)
            .map(|(&task, l)| LostResult {
                task: task.into(),
                generation: l.held.generation.into(),
                holder: l.held.peer.id.into(),
                incarnation: l.held.peer.incarnation.into(),
            })
            .collect();
        if tasks.is_empty() {
            return None;
        }
        let lost = LostResults {
            number: frame.number,
            attempt,
            tasks: &tasks,
        };
        self.write_to_incarnation(&Message::Lost(lost), frame.source, frame.incarnation)
    }

    fn write_to(&mut self, message: &Message<'_>, to: NodeId) -> Option<(To, MessageKind)> {
        let peer = self.nodes.get(to).filter(|n| n.alive)?.peer;
        Some(self.encode(message, peer))
    }

    fn write_to_incarnation(
        &mut self,
        message: &Message<'_>,
        to: NodeId,
        incarnation: Incarnation,
    ) -> Option<(To, MessageKind)> {
        let peer = self.nodes.living(to, incarnation)?.peer;
        Some(self.encode(message, peer))
    }

    fn encode(&mut self, message: &Message<'_>, to: Peer) -> (To, MessageKind) {
        message.encode(self.me.to(Some(to.incarnation)), &mut self.out);
        (to.to(), message.kind())
    }
}

fn note(task: TaskId, generation: u16, merged: bool) -> ResultNote {
    ResultNote {
        task: task.into(),
        generation: generation.into(),
        merged: merged.into(),
        early: 0,
    }
}
