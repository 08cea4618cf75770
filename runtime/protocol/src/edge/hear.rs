//! What an edge hears.

use std::net::SocketAddr;

use super::{Edge, say::Post};
use crate::{
    GATEWAY, Now,
    peer::Peer,
    store::Store,
    wire::{Envelope, Message, Reject, Request, parse, plan_prefix},
};

impl Edge {
    pub(super) fn hear(
        &mut self,
        now: Now,
        addr: SocketAddr,
        bytes: &[u8],
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let (envelope, message) = parse(bytes, &self.info)?;
        let kind = message.kind();
        if let Message::Pull(r) | Message::Grant(r) | Message::Nack(r) = &message {
            // Another life of this node may be meant: then the answer is that it is gone.
            self.on_request(addr, &envelope, r);
        } else {
            if envelope.to_epoch != Some(self.me.epoch) {
                return Err(Reject::OtherLife);
            }
            if envelope.from == self.config.id {
                return Err(Reject::Id);
            }
            if envelope.from == GATEWAY {
                self.hear_gateway(now, &envelope, &message, store)?;
            } else {
                self.hear_edge(now, addr, &envelope, &message, store)?;
            }
        }
        self.stats.traffic.received.add(kind, bytes.len());
        Ok(())
    }

    fn on_request(&mut self, addr: SocketAddr, envelope: &Envelope, request: &Request<'_>) {
        let here = envelope.to_epoch == Some(self.me.epoch) && self.find(&request.object).is_some();
        if !here {
            self.send(Post::Absent {
                to: addr,
                epoch: envelope.epoch,
                pull: request.pull,
            });
            return;
        }
        let to = Peer {
            id: envelope.from,
            epoch: envelope.epoch,
            addr,
        };
        let transfer = &mut self.stats.transfer;
        self.serve.request(to, request, transfer);
    }

    fn hear_gateway(
        &mut self,
        now: Now,
        envelope: &Envelope,
        message: &Message<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        if let Message::State(s) = message {
            self.gateway_spoke(envelope)?;
            self.on_state(now, s, store);
            return Ok(());
        }
        // Only an answer to a beat tells of a new life.
        if self.link.gateway != Some(envelope.epoch) {
            return Err(Reject::Stale);
        }
        match message {
            Message::Hint { seq, victim } => self.on_hint(now, *seq, *victim),
            Message::ResultsAck(ack) => {
                self.on_results_ack(ack);
                Ok(())
            }
            Message::Lost(lost) => {
                self.on_lost(lost);
                Ok(())
            }
            Message::Stop => self.on_stop(),
            _ => Err(Reject::Unexpected),
        }
    }

    fn hear_edge(
        &mut self,
        now: Now,
        addr: SocketAddr,
        envelope: &Envelope,
        message: &Message<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        if envelope.plan != plan_prefix(&self.info) {
            return Err(Reject::Plan);
        }
        if let Some(ended) = self.peers.heard(now, envelope, addr)? {
            self.lives_ended(|(id, epoch)| id == ended.id && epoch <= ended.epoch);
        }
        let peer = Peer {
            id: envelope.from,
            epoch: envelope.epoch,
            addr,
        };
        match message {
            Message::StealAsk { ask } => self.on_steal_ask(now, peer, *ask),
            Message::Lease(lease) => self.on_lease(now, envelope, peer, lease, store),
            Message::NoWork { ask } => self.on_no_work(now, envelope, *ask),
            Message::Renew(renew) => self.on_renew(now, peer, renew),
            Message::Renewed { seq, wanted } => self.on_renewed(peer, *seq, *wanted, store),
            Message::Done(report) => {
                self.on_done(peer, *report);
                Ok(())
            }
            Message::Failed(failed) => {
                self.on_failed(peer, failed);
                Ok(())
            }
            Message::Reported(reported) => self.on_reported(peer, reported, store),
            Message::Data(data) => {
                let transfer = &mut self.stats.transfer;
                (self.receiver).on_data(now, envelope, data, store, transfer)
            }
            Message::Absent { pull } => {
                let transfer = &mut self.stats.transfer;
                self.receiver.on_absent(envelope, *pull, transfer)
            }
            _ => Err(Reject::Unexpected),
        }
    }
}
