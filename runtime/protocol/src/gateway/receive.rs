//! Handling of datagrams that the gateway receives.

use std::net::SocketAddr;

use super::{Gateway, frames::Announced, send::Outgoing, sender};
use crate::{
    DropReason, FrameId, Loss, Micros, NodeId, Notice,
    store::Store,
    wire::{Data, Envelope, Heartbeat, Message, Reject, parse},
};

impl Gateway {
    pub(super) fn receive(
        &mut self,
        now_us: Micros,
        addr: SocketAddr,
        bytes: &[u8],
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let (envelope, message) = parse(bytes, &self.info)?;
        let kind = message.kind();
        if let Message::Data(data) = &message {
            self.on_data(now_us, envelope.from, data, store)?;
        } else if let Message::Heartbeat(heartbeat) = message {
            self.on_heartbeat(now_us, addr, &envelope, &heartbeat, store)?;
        } else {
            if envelope.to_incarnation != Some(self.me.incarnation) {
                return Err(Reject::OtherIncarnation);
            }
            self.on_message(now_us, addr, &envelope, &message, store)?;
        }
        self.stats.traffic.received.add(kind, bytes.len());
        Ok(())
    }

    fn on_message(
        &mut self,
        now_us: Micros,
        addr: SocketAddr,
        envelope: &Envelope,
        message: &Message<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let (id, incarnation) = (envelope.from, envelope.incarnation);
        let Some(node) = self.nodes.living(id, incarnation) else {
            let known = self.nodes.get(id).is_some();
            return Err(if known {
                Reject::Stale
            } else {
                Reject::Stranger
            });
        };
        match message {
            Message::StealGateway { seq } => self.on_steal_gateway(now_us, id, *seq),
            Message::Results(r) => self.on_results(now_us, envelope, r),
            Message::Pull(r) | Message::Grant(r) | Message::Nack(r) if self.info.is_shared() => {
                self.on_request(sender(envelope, addr), r, store);
                Ok(())
            }
            Message::Absent { pull } => {
                let transfer = &mut self.stats.transfer;
                self.receiver.on_absent(envelope, now_us, *pull, transfer)
            }
            Message::Later(later) => self.receiver.on_later(now_us, envelope, *later),
            Message::Condition { seq, condition } => node.on_condition(now_us, *seq, *condition),
            Message::Bye => {
                if let Some(n) = self.nodes.get_mut(id) {
                    n.left = true;
                }
                self.lose(now_us, id, Loss::Left, store);
                Ok(())
            }
            _ => Err(Reject::Unexpected),
        }
    }

    fn on_data(
        &mut self,
        now_us: Micros,
        from: NodeId,
        data: &Data<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let known = self.nodes.get(from).ok_or(Reject::Stranger)?;
        let holder = self.receiver.holder_of(data.pull);
        if holder.is_some_and(|h| h.incarnation != known.peer.incarnation) {
            return Err(Reject::Stale);
        }
        let before = self.stats.transfer.chunks_received;
        let (me, transfer) = (self.me, &mut self.stats.transfer);
        (self.receiver).on_data(now_us, me, from, data, store, transfer)?;
        if self.stats.transfer.chunks_received > before {
            self.alive(now_us, from);
        }
        Ok(())
    }

    fn alive(&mut self, now_us: Micros, id: NodeId) {
        if let Some(n) = self.nodes.get_mut(id) {
            n.seen_us = now_us;
        }
    }

    pub(super) fn note_frames(
        &mut self,
        now_us: Micros,
        id: NodeId,
        heartbeat: &Heartbeat<'_>,
        store: &mut impl Store,
    ) {
        for f in heartbeat.frames {
            let number = f.number.get();
            let Some(node) = self.nodes.get(id) else {
                return;
            };
            if node.ended(number).is_some() {
                continue;
            }
            let frame = FrameId {
                source: id,
                incarnation: node.peer.incarnation,
                number,
            };
            let announced = Announced {
                meta: f.meta(),
                age_us: f.age_us.get(),
                at_us: now_us,
                wrong: None,
            };
            if self.frames.note(frame, announced, f.finished.get()) {
                self.stats.frames_accepted += 1;
            }
            self.note_attempt(now_us, frame, f.attempt, store);
            if f.failed != 0 {
                self.drop_frame(now_us, frame, DropReason::TaskFailed, store);
            }
        }
    }

    /// Forgets frames that their owner no longer lists: the frames ended in an earlier incarnation of this gateway.
    pub(super) fn forget_unlisted(&mut self, id: NodeId, store: &mut impl Store) {
        let Some(node) = self.nodes.get(id) else {
            return;
        };
        let gone: Vec<FrameId> = (self.frames.iter())
            .map(|(f, _)| f)
            .filter(|f| {
                f.source == id && f.incarnation == node.peer.incarnation && !node.lists(f.number)
            })
            .collect();
        for frame in gone {
            self.forget(frame, store);
        }
    }

    fn on_steal_gateway(&mut self, now_us: Micros, thief: NodeId, seq: u32) -> Result<(), Reject> {
        let Some(node) = self.nodes.get_mut(thief) else {
            return Err(Reject::Stranger);
        };
        if seq < node.victim_seq {
            return Err(Reject::Stale);
        }
        if seq > node.victim_seq {
            node.seen_us = now_us;
        }
        node.victim_seq = seq;
        let victim = self.ring.next(thief);
        node.wants_work = victim.is_none();
        self.count_victim(victim);
        self.enqueue(Outgoing::Victim {
            to: thief,
            seq,
            victim,
        });
        Ok(())
    }

    const fn count_victim(&mut self, victim: Option<NodeId>) {
        if victim.is_some() {
            self.stats.hints_given += 1;
        } else {
            self.stats.hints_empty += 1;
        }
    }

    /// Tells waiting thieves that a node has work.
    pub(super) fn offer_work(&mut self, victim: NodeId) {
        let mut wants_work = Vec::new();
        for n in self.nodes.iter_mut() {
            if n.alive && n.wants_work && n.peer.id != victim {
                n.wants_work = false;
                wants_work.push(n.peer.id);
            }
        }
        for to in wants_work {
            self.stats.hints_given += 1;
            self.enqueue(Outgoing::Victim {
                to,
                seq: 0,
                victim: Some(victim),
            });
        }
    }

    /// Notes that an incarnation of a node is over, or seems to be.
    pub(super) fn lose(&mut self, now_us: Micros, id: NodeId, why: Loss, store: &mut impl Store) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        if !node.alive {
            return;
        }
        node.alive = false;
        node.wants_work = false;
        node.push = None;
        let peer = node.peer;
        self.stats.nodes_lost += 1;
        self.ring.set(id, false);
        let frames: Vec<FrameId> = (self.frames.iter())
            .map(|(f, _)| f)
            .filter(|f| f.source == id && f.incarnation == peer.incarnation)
            .collect();
        self.notices.add(Notice::Lost {
            node: id,
            addr: peer.addr,
            why,
            frames: frames.len(),
        });
        for frame in frames {
            self.drop_frame(now_us, frame, DropReason::SourceLost, store);
        }
        let transfer = &mut self.stats.transfer;
        let gone = |p: &crate::peer::Peer| p.who() == peer.who();
        self.receiver.gone(gone, transfer);
        self.dirty = true;
    }
}
