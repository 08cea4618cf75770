//! Registration: how heartbeats register a process for a node, and when another process takes over the id.
//!
//! `docs/incarnations.md` states the rule and proves it.

use std::net::SocketAddr;

use super::{Gateway, known_nodes::KnownNode, send::Outgoing, sender};
use crate::{
    FrameNumber, Loss, Micros, Notice, Refusal,
    info::PlanPrefix,
    peer::Peer,
    store::Store,
    wire::{Envelope, Heartbeat, Reject, Verdict},
};

/// The relation of a heartbeat's sender to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// The sender is the node's present process.
    Present,
    /// The sender becomes the node's process with this heartbeat.
    Registers,
    /// The sender is no node's process for now; the answer carries the verdict.
    Outside(Verdict),
}

impl Gateway {
    pub(super) fn on_heartbeat(
        &mut self,
        now_us: Micros,
        addr: SocketAddr,
        envelope: &Envelope,
        heartbeat: &Heartbeat<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let peer = sender(envelope, addr);
        let may_bring = self.allowed.as_ref().is_none_or(|a| a.contains(&peer.id));
        if !may_bring && !heartbeat.frames.is_empty() {
            return Err(Reject::Role);
        }
        match self.admission(now_us, peer, envelope, heartbeat)? {
            Admission::Present => self.revive(peer),
            Admission::Registers => self.register(now_us, peer, store)?,
            Admission::Outside(verdict) => {
                let plan = PlanPrefix(envelope.plan);
                self.turn_away(now_us, peer, plan, heartbeat.seq, verdict);
                return Ok(());
            }
        }
        let Some(node) = self.nodes.get_mut(peer.id) else {
            return Err(Reject::Stranger);
        };
        node.on_heartbeat(now_us, addr, heartbeat);
        if heartbeat.next > FrameNumber(0) {
            self.nodes.brought(peer.id);
        }
        self.note_frames(now_us, peer.id, heartbeat, store);
        self.forget_unlisted(peer.id, store);
        if self.ring.set(peer.id, heartbeat.has_work) {
            self.offer_work(peer.id);
        }
        self.dirty = true;
        // The gateway first opens the frames that can be opened, so that the answer says so.
        self.open_frames(now_us, store);
        self.enqueue(Outgoing::State {
            to: peer.id,
            seq: heartbeat.seq,
        });
        Ok(())
    }

    fn admission(
        &mut self,
        now_us: Micros,
        peer: Peer,
        envelope: &Envelope,
        heartbeat: &Heartbeat<'_>,
    ) -> Result<Admission, Reject> {
        if let Some(why) = self.never(peer, heartbeat) {
            return Ok(Admission::Outside(Verdict::Refused(why)));
        }
        if envelope.to_incarnation != Some(self.me.incarnation) {
            return Ok(Admission::Outside(Verdict::Register));
        }
        let shown = heartbeat.ticket == self.nodes.ticket(peer.id);
        let dead_after_us = self.config.dead_after_us;
        if let Some(node) = self.nodes.get_mut(peer.id) {
            if node.peer.incarnation == peer.incarnation {
                return if heartbeat.seq <= node.seq || node.left {
                    Err(Reject::Stale)
                } else {
                    Ok(Admission::Present)
                };
            }
            // Two processes cannot share an address: a later process at the address proves that the first is over.
            if node.alive && node.peer.addr != peer.addr {
                node.contend(now_us, dead_after_us);
                return Ok(Admission::Outside(
                    if node.contested(now_us, dead_after_us) {
                        Verdict::Refused(Refusal::IdInUse)
                    } else {
                        Verdict::Wait
                    },
                ));
            }
        }
        Ok(if shown {
            Admission::Registers
        } else {
            Admission::Outside(Verdict::Register)
        })
    }

    /// The reason why a node may never take part, independent of other nodes.
    fn never(&self, peer: Peer, heartbeat: &Heartbeat<'_>) -> Option<Refusal> {
        if peer.id == crate::GATEWAY {
            Some(Refusal::BadId)
        } else if heartbeat.plan_hash != self.info.plan_hash {
            Some(Refusal::Plan)
        } else if heartbeat.model_digest != self.info.model_digest {
            Some(Refusal::Model)
        } else {
            None
        }
    }

    fn turn_away(
        &mut self,
        now_us: Micros,
        peer: Peer,
        plan: PlanPrefix,
        seq: u32,
        verdict: Verdict,
    ) {
        if let Verdict::Refused(why) = verdict {
            self.stats.nodes_refused += 1;
            self.notices.refused(now_us, peer.id, peer.addr, why, plan);
        }
        self.enqueue(Outgoing::Stranger {
            to: peer,
            seq,
            verdict,
        });
    }

    fn register(
        &mut self,
        now_us: Micros,
        peer: Peer,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        self.lose(now_us, peer.id, Loss::Replaced, store);
        if self.nodes.join(peer, now_us).is_none() {
            return Err(Reject::Stranger);
        }
        self.joined(peer);
        Ok(())
    }

    /// Notes that a node that counted as dead has spoken again.
    fn revive(&mut self, peer: Peer) {
        if let Some(node) = self.nodes.get_mut(peer.id)
            && !node.alive
        {
            node.alive = true;
            self.joined(peer);
        }
    }

    fn joined(&mut self, peer: Peer) {
        self.stats.nodes_joined += 1;
        let (node, addr) = (peer.id, peer.addr);
        self.notices.add(Notice::Joined { node, addr });
        // Who asked for the node before it was there, a source that looks for its boards, hears of it now.
        let asked = |n: &&KnownNode| n.alive && n.peer.id != node && n.asked.contains(&node);
        let to: Vec<_> = (self.nodes.iter().filter(asked))
            .map(|n| n.peer.id)
            .collect();
        for to in to {
            self.enqueue(Outgoing::NodeStatus { to, about: node });
        }
    }
}
