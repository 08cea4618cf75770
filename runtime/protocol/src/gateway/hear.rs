//! What the gateway hears.

use std::net::SocketAddr;

use super::{Gateway, say::Post, sender};
use crate::{
    DropReason, FrameId, NodeId, Now, Refusal,
    store::Store,
    wire::{Beat, Envelope, Message, Reject, parse},
};

impl Gateway {
    pub(super) fn hear(
        &mut self,
        now: Now,
        addr: SocketAddr,
        bytes: &[u8],
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let (envelope, message) = parse(bytes, &self.info)?;
        let kind = message.kind();
        if let Message::Beat(beat) = message {
            self.on_beat(now, addr, &envelope, &beat, store)?;
        } else {
            if envelope.to_epoch != Some(self.me.epoch) {
                return Err(Reject::OtherLife);
            }
            self.on_message(now, &envelope, &message, store)?;
        }
        self.stats.traffic.received.add(kind, bytes.len());
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Now,
        envelope: &Envelope,
        message: &Message<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let (id, epoch) = (envelope.from, envelope.epoch);
        if self.nodes.living(id, epoch).is_none() {
            let later = self.nodes.get(id).is_some_and(|n| n.peer.epoch > epoch);
            return Err(if later {
                Reject::Stale
            } else {
                Reject::Stranger
            });
        }
        match message {
            Message::HintAsk { seq } => self.on_hint_ask(now, id, *seq),
            Message::Results(r) => self.on_results(envelope, r),
            Message::Data(data) => {
                let before = self.stats.transfer.chunks_received;
                let transfer = &mut self.stats.transfer;
                (self.receiver).on_data(now, envelope, data, store, transfer)?;
                if self.stats.transfer.chunks_received > before {
                    self.alive(now, id);
                }
                Ok(())
            }
            Message::Absent { pull } => {
                let transfer = &mut self.stats.transfer;
                self.receiver.on_absent(envelope, *pull, transfer)
            }
            Message::Bye => {
                self.lose(now, id, store);
                Ok(())
            }
            _ => Err(Reject::Unexpected),
        }
    }

    fn alive(&mut self, now: Now, id: NodeId) {
        if let Some(n) = self.nodes.get_mut(id) {
            n.heard = now;
        }
    }

    fn on_beat(
        &mut self,
        now: Now,
        addr: SocketAddr,
        envelope: &Envelope,
        beat: &Beat<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let peer = sender(envelope, addr);
        let refusal = self.refusal(envelope, beat);
        if refusal.is_some() || envelope.to_epoch != Some(self.me.epoch) {
            self.stats.nodes_refused += u64::from(refusal.is_some());
            self.send(Post::Stranger {
                to: addr,
                epoch: peer.epoch,
                seq: beat.seq,
                refusal,
            });
            return Ok(());
        }
        let known = self.nodes.get(peer.id).map(|n| (n.peer.epoch, n.seq));
        match known {
            Some((epoch, seq)) if epoch == peer.epoch => {
                if beat.seq <= seq {
                    return Err(Reject::Stale);
                }
            }
            _ => {
                if known.is_some() {
                    self.lose(now, peer.id, store);
                }
                if self.nodes.join(peer, now).is_none() {
                    return Err(Reject::Stranger);
                }
                self.stats.nodes_joined += 1;
            }
        }
        let Some(node) = self.nodes.get_mut(peer.id) else {
            return Err(Reject::Stranger);
        };
        if !node.alive {
            node.alive = true;
            self.stats.nodes_joined += 1;
        }
        node.beat(now, addr, beat);
        if beat.next > 0 {
            self.nodes.brought(peer.id);
        }
        self.note_frames(now, peer.id, beat, store);
        self.forget_unlisted(peer.id, store);
        if self.ring.set(peer.id, beat.has_work) {
            self.feed(peer.id);
        }
        self.stirred = true;
        // The frames that can be opened are, so that the answer says so.
        self.open_frames(now, store);
        self.send(Post::State {
            to: peer.id,
            seq: beat.seq,
        });
        Ok(())
    }

    fn refusal(&self, envelope: &Envelope, beat: &Beat<'_>) -> Option<Refusal> {
        let known = self.nodes.get(envelope.from).map(|n| n.peer.epoch);
        if envelope.from == crate::GATEWAY {
            Some(Refusal::BadId)
        } else if beat.plan_hash != self.info.plan_hash {
            Some(Refusal::Plan)
        } else if beat.model_digest != self.info.model_digest {
            Some(Refusal::Model)
        } else if known.is_some_and(|e| e > envelope.epoch) {
            Some(Refusal::Superseded)
        } else {
            None
        }
    }

    fn note_frames(&mut self, now: Now, id: NodeId, beat: &Beat<'_>, store: &mut impl Store) {
        for f in beat.frames {
            let number = f.number.get();
            let Some(node) = self.nodes.get(id) else {
                return;
            };
            if node.ended(number).is_some() {
                continue;
            }
            let frame = FrameId {
                source: id,
                epoch: node.peer.epoch,
                number,
            };
            if self.frames.note(frame, f.meta()) {
                self.stats.frames_accepted += 1;
            }
            if f.failed != 0 {
                self.drop_frame(now, frame, DropReason::TaskFailed, store);
            }
        }
    }

    /// Frames that their owner no longer lists have ended in an earlier life of this gateway.
    fn forget_unlisted(&mut self, id: NodeId, store: &mut impl Store) {
        let Some(node) = self.nodes.get(id) else {
            return;
        };
        let gone: Vec<FrameId> = (self.frames.iter())
            .map(|(f, _)| f)
            .filter(|f| f.source == id && f.epoch == node.peer.epoch && !node.lists(f.number))
            .collect();
        for frame in gone {
            self.forget(frame, store);
        }
    }

    fn on_hint_ask(&mut self, now: Now, thief: NodeId, seq: u32) -> Result<(), Reject> {
        let Some(node) = self.nodes.get_mut(thief) else {
            return Err(Reject::Stranger);
        };
        if seq < node.hint_seq {
            return Err(Reject::Stale);
        }
        if seq > node.hint_seq {
            node.heard = now;
        }
        node.hint_seq = seq;
        let victim = self.ring.next(thief);
        node.hungry = victim.is_none();
        self.count_hint(victim);
        self.send(Post::Hint {
            to: thief,
            seq,
            victim,
        });
        Ok(())
    }

    const fn count_hint(&mut self, victim: Option<NodeId>) {
        if victim.is_some() {
            self.stats.hints_given += 1;
        } else {
            self.stats.hints_empty += 1;
        }
    }

    /// A node has work: those who asked in vain hear of it.
    fn feed(&mut self, victim: NodeId) {
        let mut hungry = Vec::new();
        for n in self.nodes.iter_mut() {
            if n.alive && n.hungry && n.peer.id != victim {
                n.hungry = false;
                hungry.push(n.peer.id);
            }
        }
        for to in hungry {
            self.stats.hints_given += 1;
            self.send(Post::Hint {
                to,
                seq: 0,
                victim: Some(victim),
            });
        }
    }

    /// A life of a node is over, or seems to be.
    pub(super) fn lose(&mut self, now: Now, id: NodeId, store: &mut impl Store) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        if !node.alive {
            return;
        }
        node.alive = false;
        node.hungry = false;
        node.push = None;
        let peer = node.peer;
        self.stats.nodes_lost += 1;
        self.ring.set(id, false);
        let frames: Vec<FrameId> = (self.frames.iter())
            .map(|(f, _)| f)
            .filter(|f| f.source == id && f.epoch == peer.epoch)
            .collect();
        for frame in frames {
            self.drop_frame(now, frame, DropReason::SourceLost, store);
        }
        let transfer = &mut self.stats.transfer;
        let gone = |p: &crate::peer::Peer| p.id == id && p.epoch <= peer.epoch;
        self.receiver.gone(gone, transfer);
        self.stirred = true;
    }
}
