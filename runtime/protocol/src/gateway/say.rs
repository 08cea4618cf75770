//! What the gateway says: replies that wait, repeats, and how they are written.

use std::net::SocketAddr;

use super::{Gateway, frames::State, next_pause};
use crate::store::SlotId;
use crate::{
    DropReason, Epoch, FrameId, FrameMeta, GatewayOutput, NodeId, Now, Refusal,
    wire::{
        BookEntry, FrameNote, Kind, LostResult, LostResults, Message, ResultNote, ResultsAck,
        Stand, State as StateBody, Verdict,
    },
};

/// A datagram to be written when its turn comes, from what is known then.
#[derive(Clone, Debug)]
pub(super) enum Post {
    /// To a node of the cluster: how its frames stand, and what it asked about. `seq` 0: unasked.
    State { to: NodeId, seq: u32 },
    /// To somebody who is no node of it, or not yet.
    Stranger {
        to: SocketAddr,
        epoch: Epoch,
        seq: u32,
        refusal: Option<Refusal>,
    },
    /// To a node: which of another's frames are over.
    Book { to: NodeId, about: NodeId },
    /// To a thief.
    Hint {
        to: NodeId,
        seq: u32,
        victim: Option<NodeId>,
    },
    /// To an owner: what is known and merged of these tasks.
    ResultsAck { frame: FrameId, tasks: Vec<u32> },
    /// To an owner: what could not be had.
    Lost { frame: FrameId },
    /// To a node: leave.
    Stop { to: NodeId },
}

/// Something for the shell.
#[derive(Clone, Debug)]
pub(super) enum Todo {
    Run(FrameId, FrameMeta, Vec<SlotId>),
    Drop(FrameId, FrameMeta, DropReason),
}

impl Todo {
    pub fn into_output(self) -> GatewayOutput<'static> {
        match self {
            Self::Run(frame, meta, inputs) => GatewayOutput::RunTail {
                frame,
                meta,
                inputs,
            },
            Self::Drop(frame, meta, reason) => GatewayOutput::Drop {
                frame,
                meta,
                reason,
            },
        }
    }
}

impl super::frames::Flight {
    /// When something about it must be said again.
    pub(super) fn next_repeat(&self) -> Option<Now> {
        match &self.state {
            State::Open(m) => m.lost.values().map(|l| l.again.0).min(),
            _ => None,
        }
    }
}

impl Gateway {
    /// Queues what is due to be said again.
    pub(super) fn repeat(&mut self, now: Now) {
        let retry = self.config.retry;
        let mut due = Vec::new();
        for n in self.nodes.iter_mut().filter(|n| n.alive) {
            if let Some((at, pause)) = n.push
                && at <= now
            {
                n.push = Some(next_pause(now, pause, retry));
                due.push(Post::State {
                    to: n.peer.id,
                    seq: 0,
                });
            }
        }
        if let Some((at, pause)) = self.stopping
            && at <= now
        {
            self.stopping = Some(next_pause(now, pause, retry));
            let alive = self.nodes.iter().filter(|n| n.alive);
            due.extend(alive.map(|n| Post::Stop { to: n.peer.id }));
        }
        for (frame, flight) in self.frames.iter_mut() {
            let State::Open(merge) = &mut flight.state else {
                continue;
            };
            let mut any = false;
            for (&task, lost) in &mut merge.lost {
                if lost.again.0 <= now {
                    lost.again = next_pause(now, lost.again.1, retry);
                    // The frame itself is simply asked for again.
                    any |= task != crate::wire::NO_TASK;
                    self.stirred = true;
                }
            }
            if any {
                due.push(Post::Lost { frame });
            }
        }
        for post in due {
            self.send(post);
        }
    }

    /// Writes a datagram; `None` when there is nothing to say any more.
    pub(super) fn write(&mut self, now: Now, post: Post) -> Option<(SocketAddr, Kind)> {
        match post {
            Post::State { to, seq } => self.write_state(now, to, seq),
            Post::Stranger {
                to,
                epoch,
                seq,
                refusal,
            } => {
                let state = StateBody {
                    seq,
                    verdict: refusal.map_or(Verdict::Welcome, Verdict::Refused),
                    work: false,
                    frames: &[],
                    book: &[],
                };
                self.encode(&Message::State(state), to, epoch)
            }
            Post::Book { to, about } => {
                let book = [BookEntry::new(self.nodes.get(about)?.book())];
                let state = StateBody {
                    seq: 0,
                    verdict: Verdict::Welcome,
                    work: false,
                    frames: &[],
                    book: &book,
                };
                self.tell(&Message::State(state), to)
            }
            Post::Hint { to, seq, victim } => {
                let victim = victim.and_then(|v| self.nodes.get(v));
                let victim = victim.filter(|n| n.alive).map(|n| n.peer.node());
                self.tell(&Message::Hint { seq, victim }, to)
            }
            Post::ResultsAck { frame, tasks } => self.write_results_ack(frame, &tasks),
            Post::Lost { frame } => self.write_lost(frame),
            Post::Stop { to } => self.tell(&Message::Stop, to),
        }
    }

    fn write_state(&mut self, now: Now, to: NodeId, seq: u32) -> Option<(SocketAddr, Kind)> {
        let node = self.nodes.get(to)?;
        let started = self.clock.map_or(now, |c| c.0);
        let waited = now.saturating_sub(started) > self.config.dead_after + 2 * self.config.beat;
        let frames: Vec<FrameNote> = (0..u64::BITS)
            .filter_map(|i| node.floor.checked_add(i))
            .filter(|&n| node.lists(n))
            .map(|n| {
                let id = FrameId {
                    source: to,
                    epoch: node.peer.epoch,
                    number: n,
                };
                let stand = match (node.ended(n), self.frames.get(id).map(|f| &f.state)) {
                    (Some(outcome), _) => Stand::Over(outcome),
                    (None, Some(State::Open(_) | State::Tail(_))) => Stand::Open,
                    (None, _) => Stand::Waiting,
                };
                FrameNote::new(n, stand)
            })
            .collect();
        let book: Vec<BookEntry> = (node.asked.iter().filter(|_| seq > 0))
            .filter_map(|&id| self.nodes.book(id, waited))
            .map(BookEntry::new)
            .collect();
        let state = StateBody {
            seq,
            verdict: Verdict::Welcome,
            work: !self.ring.is_empty(),
            frames: &frames,
            book: &book,
        };
        self.tell(&Message::State(state), to)
    }

    fn write_results_ack(&mut self, frame: FrameId, tasks: &[u32]) -> Option<(SocketAddr, Kind)> {
        let notes: Vec<ResultNote> = match &self.frames.get(frame)?.state {
            State::Waiting => return None,
            State::Open(m) => (tasks.iter())
                .filter_map(|&t| {
                    let make = m.holders.get(&t).map_or(0, |h| h.make);
                    let merged = m.has(&self.info, t);
                    (merged || m.holders.contains_key(&t)).then(|| note(t, make, merged))
                })
                .collect(),
            State::Tail(_) => tasks.iter().map(|&t| note(t, 0, true)).collect(),
        };
        let ack = ResultsAck {
            number: frame.number,
            tasks: &notes,
        };
        self.tell_life(&Message::ResultsAck(ack), frame.source, frame.epoch)
    }

    fn write_lost(&mut self, frame: FrameId) -> Option<(SocketAddr, Kind)> {
        let State::Open(m) = &self.frames.get(frame)?.state else {
            return None;
        };
        let tasks: Vec<LostResult> = (m.lost.iter())
            .filter(|&(&task, _)| task != crate::wire::NO_TASK)
            .take(LostResults::MAX_TASKS)
            .map(|(&task, l)| LostResult {
                task: task.into(),
                make: l.held.make.into(),
                holder: l.held.peer.id.0.into(),
                epoch: l.held.peer.epoch.0.into(),
            })
            .collect();
        if tasks.is_empty() {
            return None;
        }
        let lost = LostResults {
            number: frame.number,
            tasks: &tasks,
        };
        self.tell_life(&Message::Lost(lost), frame.source, frame.epoch)
    }

    fn tell(&mut self, message: &Message<'_>, to: NodeId) -> Option<(SocketAddr, Kind)> {
        let peer = self.nodes.get(to).filter(|n| n.alive)?.peer;
        self.encode(message, peer.addr, peer.epoch)
    }

    fn tell_life(
        &mut self,
        message: &Message<'_>,
        to: NodeId,
        life: Epoch,
    ) -> Option<(SocketAddr, Kind)> {
        let peer = self.nodes.living(to, life)?.peer;
        self.encode(message, peer.addr, peer.epoch)
    }

    fn encode(
        &mut self,
        message: &Message<'_>,
        to: SocketAddr,
        epoch: Epoch,
    ) -> Option<(SocketAddr, Kind)> {
        message.encode(self.me.to(Some(epoch)), &mut self.out);
        Some((to, message.kind()))
    }
}

fn note(task: u32, make: u16, merged: bool) -> ResultNote {
    ResultNote {
        task: task.into(),
        make: make.into(),
        merged: merged.into(),
        pad: 0,
    }
}
