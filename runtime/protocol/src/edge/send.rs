//! Datagrams that an edge sends: the waiting queue, and encoding from the state at the time of sending.

use super::Edge;
use crate::{
    FrameNumber, GATEWAY, Micros, NodeIncarnation, PullId, RequestId, TaskId, To,
    peer::Peer,
    wire::{
        Failed, Finished, Later, LeaseGrant, LeaseRef, Message, MessageKind, PeerAddress, Renew,
        Report, ReportAck, Results,
    },
};

/// A datagram to be encoded when its turn comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outgoing {
    Heartbeat,
    StealGateway,
    StealClient {
        victim: Peer,
    },
    Lease {
        to: Peer,
        number: FrameNumber,
        task: TaskId,
        request: RequestId,
    },
    NoWork {
        to: Peer,
        request: RequestId,
    },
    Renew {
        owner: Peer,
    },
    Renewed {
        to: Peer,
        seq: u32,
        wanted: u64,
    },
    /// The outcome of the lease that answered this request.
    Report {
        request: RequestId,
    },
    ReportAck {
        to: Peer,
        reported: ReportAck,
    },
    Results {
        number: FrameNumber,
    },
    Absent {
        to: Peer,
        pull: PullId,
    },
    Later {
        to: Peer,
        later: Later,
    },
    Condition,
    Bye,
    Offer {
        to: Peer,
    },
    Want {
        to: NodeIncarnation,
    },
}

impl Edge {
    /// Queues the messages that are due, for the first time or again.
    pub(super) fn repeat(&mut self, now_us: Micros) {
        if self.next_heartbeat(now_us) <= now_us {
            // The heartbeat is written at once, so that it is due only once.
            if !self
                .outgoing
                .iter()
                .any(|p| matches!(p, Outgoing::Heartbeat))
            {
                self.outgoing.push_front(Outgoing::Heartbeat);
            }
        }
        if self.link.stopped {
            return;
        }
        self.repeat_results(now_us);
        self.repeat_reports(now_us);
        self.repeat_leases(now_us);
    }

    /// Encodes a datagram; `None` when the message has become pointless.
    pub(super) fn write(
        &mut self,
        now_us: Micros,
        outgoing: Outgoing,
    ) -> Option<(To, MessageKind)> {
        match outgoing {
            Outgoing::Heartbeat => {
                self.write_heartbeat(now_us);
                self.tell_condition(now_us);
                Some((self.to_gateway(), MessageKind::Heartbeat))
            }
            Outgoing::StealGateway => {
                let seq = self.search.victim_seq;
                self.write_to_gateway(&Message::StealGateway { seq })
            }
            Outgoing::StealClient { victim } => {
                let request = self.search.request;
                self.write_to(&Message::StealClient { request }, victim)
            }
            Outgoing::Lease {
                to,
                number,
                task,
                request,
            } => self.write_lease(now_us, to, number, task, request),
            Outgoing::NoWork { to, request } => self.write_to(&Message::NoWork { request }, to),
            Outgoing::Renew { owner } => self.write_renew(owner),
            Outgoing::Renewed { to, seq, wanted } => {
                self.write_to(&Message::Renewed { seq, wanted }, to)
            }
            Outgoing::Report { request } => self.write_report(request),
            Outgoing::ReportAck { to, reported } => {
                self.write_to(&Message::ReportAck(reported), to)
            }
            Outgoing::Results { number } => {
                let (nodes, tasks) = self.results(now_us, number)?;
                let frame = self.frames.live(number)?;
                let message = Message::Results(Results {
                    number,
                    attempt: frame.attempt,
                    wrong: frame.wrong.unwrap_or(GATEWAY),
                    nodes: &nodes,
                    tasks: &tasks,
                });
                self.write_to_gateway(&message)
            }
            Outgoing::Absent { to, pull } => self.write_to(&Message::Absent { pull }, to),
            Outgoing::Later { to, later } => self.write_to(&Message::Later(later), to),
            Outgoing::Offer { to } => self.write_to(&Message::Offer, to),
            Outgoing::Want { to } => self.write_want(to),
            Outgoing::Condition => {
                let message = self.condition.next()?;
                self.write_to_gateway(&message)
            }
            Outgoing::Bye => self.write_to_gateway(&Message::Bye),
        }
    }

    pub(super) fn write_to(
        &mut self,
        message: &Message<'_>,
        to: Peer,
    ) -> Option<(To, MessageKind)> {
        message.encode(self.me.to(Some(to.incarnation)), &mut self.out);
        Some((to.to(), message.kind()))
    }

    fn write_to_gateway(&mut self, message: &Message<'_>) -> Option<(To, MessageKind)> {
        let gateway = self.link.gateway?;
        message.encode(self.me.to(Some(gateway)), &mut self.out);
        Some((self.to_gateway(), message.kind()))
    }

    const fn to_gateway(&self) -> To {
        To {
            node: GATEWAY,
            incarnation: self.link.gateway,
            addr: self.config.gateway,
        }
    }

    /// The holders of a task's inputs: nodes, and for each need an index into the nodes.
    pub(super) fn holders_for(
        &self,
        number: FrameNumber,
        task: TaskId,
    ) -> Option<(Vec<PeerAddress>, Vec<u8>)> {
        let frame = self.frames.live(number)?;
        let me = self.me.who();
        let mut nodes: Vec<PeerAddress> = Vec::new();
        let mut needs = Vec::with_capacity(self.info.tasks[task.index()].needs.len());
        for need in &self.info.tasks[task.index()].needs {
            let maker = need.key.task().map(|t| frame.tasks.maker_of(t));
            let relay = self.relay(number, task, need).map(Peer::who);
            let (holder, early) = match maker {
                _ if relay.is_some() => (relay?, 0),
                Some(t) if t.done() => {
                    let here = t.holders.iter().find(|h| **h == me);
                    (*here.or_else(|| t.holders.first())?, 0)
                }
                Some(t) if t.job.is_some() => (me, LeaseGrant::EARLY),
                Some(t) => (t.lease?.thief.who(), LeaseGrant::EARLY),
                None => (me, 0),
            };
            let known = nodes.iter().position(|n| n.who() == holder);
            let index = match known {
                Some(i) => i,
                None => {
                    // This node does not know its own address; the receiver does, and knows the gateway's better.
                    let addr = if holder == me || holder.id == GATEWAY {
                        self.config.gateway
                    } else {
                        self.peers.get(holder)?.peer.addr
                    };
                    nodes.push(PeerAddress::new(holder.id, holder.incarnation, addr));
                    nodes.len() - 1
                }
            };
            needs.push(
                u8::try_from(index)
                    .ok()
                    .filter(|i| *i < LeaseGrant::EARLY)?
                    | early,
            );
        }
        Some((nodes, needs))
    }

    fn write_lease(
        &mut self,
        now_us: Micros,
        to: Peer,
        number: FrameNumber,
        task: TaskId,
        request: RequestId,
    ) -> Option<(To, MessageKind)> {
        let given = self.frames.live(number)?.tasks.get(task).lease?;
        if !given.answers(to, request) {
            return None;
        }
        let (holders, needs) = self.holders_for(number, task)?;
        if holders.len() > LeaseGrant::HOLDERS_MAX {
            return None;
        }
        let left = given.until_us.saturating_sub(now_us).max(1);
        let lease = LeaseGrant {
            request,
            number,
            attempt: self.frames.live(number)?.attempt,
            task,
            lease_us: u32::try_from(left).unwrap_or(u32::MAX),
            holders: &holders,
            needs: &needs,
        };
        self.write_to(&Message::Lease(lease), to)
    }

    fn write_renew(&mut self, owner: Peer) -> Option<(To, MessageKind)> {
        let (seq, jobs) = self.renewal(owner.who());
        let leases: Vec<LeaseRef> = (jobs.into_iter())
            .map(|(request, frame, task)| LeaseRef {
                number: frame.number.into(),
                task: task.into(),
                request: request.into(),
            })
            .collect();
        if leases.is_empty() {
            return None;
        }
        let renew = Renew {
            seq,
            leases: &leases,
        };
        self.write_to(&Message::Renew(renew), owner)
    }

    fn write_report(&mut self, request: RequestId) -> Option<(To, MessageKind)> {
        let owed = self.reports.owed.get(&request)?.clone();
        let report = Report {
            number: owed.frame.number,
            task: owed.task,
            request,
        };
        let owner = self.address(owed.owner);
        match &owed.failed {
            None => {
                let arithmetic = self.config.arithmetic;
                let done = Finished { report, arithmetic };
                self.write_to(&Message::Done(done), owner)
            }
            Some((why, lost)) => {
                let lost = &lost[..lost.len().min(Failed::LOST_MAX)];
                let failed = Failed {
                    report,
                    why: *why,
                    lost,
                };
                self.write_to(&Message::Failed(failed), owner)
            }
        }
    }

    /// The same incarnation of a node, with its last known address.
    fn address(&self, peer: Peer) -> Peer {
        self.peers.get(peer.who()).map_or(peer, |k| k.peer)
    }
}
