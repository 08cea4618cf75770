//! Handling of datagrams that an edge receives.

use std::net::SocketAddr;

use super::{Edge, pending_job::PullTag};
use crate::{
    GATEWAY, Micros, NodeId,
    peer::Peer,
    store::Store,
    wire::{Data, Envelope, Message, Reject, parse, plan_prefix},
};

impl Edge {
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
            self.on_data(now_us, addr, envelope.from, data, store)?;
        } else if let Message::Pull(r) | Message::Grant(r) | Message::Nack(r) = &message {
            // The request may be for another incarnation of this node: the answer is then that the object is gone.
            self.on_request(now_us, addr, &envelope, r, store);
        } else {
            if envelope.to_incarnation != Some(self.me.incarnation) {
                return Err(Reject::OtherIncarnation);
            }
            if envelope.from == self.config.id {
                return Err(Reject::Id);
            }
            if envelope.from == GATEWAY {
                self.receive_from_gateway(now_us, &envelope, &message, store)?;
            } else {
                self.receive_from_edge(now_us, addr, &envelope, &message, store)?;
            }
        }
        self.stats.traffic.received.add(kind, bytes.len());
        Ok(())
    }

    fn receive_from_gateway(
        &mut self,
        now_us: Micros,
        envelope: &Envelope,
        message: &Message<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        if let Message::State(s) = message {
            self.gateway_seen(envelope, s)?;
            self.on_state(now_us, envelope, s, store);
            return Ok(());
        }
        // Only an answer to a heartbeat tells of another incarnation.
        if self.link.gateway != Some(envelope.incarnation) {
            return Err(Reject::Stale);
        }
        match message {
            Message::Victim { seq, victim } => self.on_victim(now_us, *seq, *victim),
            Message::ResultsAck(ack) => {
                self.on_results_ack(ack);
                Ok(())
            }
            Message::Lost(lost) => {
                self.on_lost(lost);
                Ok(())
            }
            Message::Stop => self.on_stop(),
            Message::Absent { pull } => {
                let transfer = &mut self.stats.transfer;
                self.receiver.on_absent(envelope, now_us, *pull, transfer)
            }
            _ => Err(Reject::Unexpected),
        }
    }

    fn on_data(
        &mut self,
        now_us: Micros,
        addr: SocketAddr,
        from: NodeId,
        data: &Data<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let holder = self.receiver.holder_of(data.pull);
        if from == GATEWAY && holder.is_some_and(|h| Some(h.incarnation) != self.link.gateway) {
            return Err(Reject::Stale);
        }
        let (me, transfer) = (self.me, &mut self.stats.transfer);
        let came = (self.receiver).on_data(now_us, me, from, data, store, transfer)?;
        if let Some(holder) = holder.filter(|_| from != GATEWAY) {
            let peer = Peer { addr, ..holder };
            self.peers.seen(now_us, self.link.seq(), peer);
        }
        if let Some((PullTag::Input(tag), rows)) = came {
            self.rows_came(tag, rows);
        }
        Ok(())
    }

    fn receive_from_edge(
        &mut self,
        now_us: Micros,
        addr: SocketAddr,
        envelope: &Envelope,
        message: &Message<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        if envelope.plan != plan_prefix(&self.info) {
            return Err(Reject::Plan);
        }
        let peer = Peer {
            id: envelope.from,
            incarnation: envelope.incarnation,
            addr,
        };
        self.peers.seen(now_us, self.link.seq(), peer);
        match message {
            Message::StealClient { request } => self.on_steal_client(now_us, peer, *request),
            // Tasks are of their owner's frames, so who brings none has none to give.
            Message::Lease(_) | Message::Offer if !self.may_bring(peer.id) => Err(Reject::Role),
            Message::Lease(lease) => self.on_lease(now_us, envelope, peer, lease, store),
            Message::NoWork { request } => self.on_no_work(now_us, envelope, *request),
            Message::Offer => {
                self.learn_source(now_us, peer);
                Ok(())
            }
            Message::Want(want) => self.on_want(peer, want),
            Message::Renew(renew) => self.on_renew(now_us, peer, renew),
            Message::Renewed { seq, wanted } => self.on_renewed(peer, *seq, *wanted, store),
            Message::Done(done) => self.on_done(now_us, peer, done),
            Message::Failed(failed) => {
                self.on_failed(peer, failed);
                Ok(())
            }
            Message::ReportAck(reported) => self.on_report_ack(peer, reported, store),
            Message::Absent { pull } => {
                let transfer = &mut self.stats.transfer;
                self.receiver.on_absent(envelope, now_us, *pull, transfer)
            }
            Message::Later(later) => self.receiver.on_later(now_us, envelope, *later),
            _ => Err(Reject::Unexpected),
        }
    }
}
