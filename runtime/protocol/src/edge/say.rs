//! What an edge says: datagrams that wait, and how they are written from what is known then.

use std::net::SocketAddr;

use super::Edge;
use crate::{
    Epoch, Now,
    peer::Peer,
    wire::{Failed, Kind, Lease, LeaseRef, Message, Node, Renew, Report, Reported},
};
use tessera_plan::dataflow::Part;

/// A datagram to be written when its turn comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Post {
    Beat,
    HintAsk,
    StealAsk {
        victim: Peer,
    },
    Lease {
        to: Peer,
        number: u32,
        task: u32,
        ask: u32,
    },
    NoWork {
        to: Peer,
        ask: u32,
    },
    Renew {
        owner: Peer,
    },
    Renewed {
        to: Peer,
        seq: u32,
        wanted: u64,
    },
    /// What became of the lease that this request got.
    Report {
        ask: u32,
    },
    Reported {
        to: Peer,
        reported: Reported,
    },
    Results {
        number: u32,
    },
    Absent {
        to: SocketAddr,
        epoch: Epoch,
        pull: u32,
    },
    Bye,
}

impl Edge {
    /// Queues what is due to be said, again or for the first time.
    pub(super) fn repeat(&mut self, now: Now) {
        if self.link.next(now, self.has_work()) <= now {
            // The beat is written at once, so that it is due once.
            if !self.post.iter().any(|p| matches!(p, Post::Beat)) {
                self.post.push_front(Post::Beat);
            }
        }
        if self.link.stopped {
            return;
        }
        self.repeat_results(now);
        self.repeat_reports(now);
    }

    /// Writes a datagram; `None` when there is nothing to say any more.
    pub(super) fn write(&mut self, now: Now, post: Post) -> Option<(SocketAddr, Kind)> {
        match post {
            Post::Beat => {
                self.write_beat(now);
                Some((self.config.gateway, Kind::Beat))
            }
            Post::HintAsk => {
                let seq = self.search.hint;
                self.tell_gateway(&Message::HintAsk { seq })
            }
            Post::StealAsk { victim } => {
                let ask = self.search.ask;
                self.tell(&Message::StealAsk { ask }, victim)
            }
            Post::Lease {
                to,
                number,
                task,
                ask,
            } => self.write_lease(now, to, number, task, ask),
            Post::NoWork { to, ask } => self.tell(&Message::NoWork { ask }, to),
            Post::Renew { owner } => self.write_renew(owner),
            Post::Renewed { to, seq, wanted } => self.tell(&Message::Renewed { seq, wanted }, to),
            Post::Report { ask } => self.write_report(ask),
            Post::Reported { to, reported } => self.tell(&Message::Reported(reported), to),
            Post::Results { number } => {
                let (nodes, tasks) = self.results(now, number)?;
                self.tell_gateway(&Self::results_message(number, &nodes, &tasks))
            }
            Post::Absent { to, epoch, pull } => {
                Message::Absent { pull }.encode(self.me.to(Some(epoch)), &mut self.out);
                Some((to, Kind::Absent))
            }
            Post::Bye => self.tell_gateway(&Message::Bye),
        }
    }

    fn tell(&mut self, message: &Message<'_>, to: Peer) -> Option<(SocketAddr, Kind)> {
        message.encode(self.me.to(Some(to.epoch)), &mut self.out);
        Some((to.addr, message.kind()))
    }

    fn tell_gateway(&mut self, message: &Message<'_>) -> Option<(SocketAddr, Kind)> {
        let gateway = self.link.gateway?;
        message.encode(self.me.to(Some(gateway)), &mut self.out);
        Some((self.config.gateway, message.kind()))
    }

    /// Who holds what a task needs: nodes, and per need an index into them.
    pub(super) fn holders_for(&self, number: u32, task: u32) -> Option<(Vec<Node>, Vec<u8>)> {
        let frame = self.frames.live(number)?;
        let me = (self.config.id, self.config.epoch);
        let mut nodes: Vec<Node> = Vec::new();
        let mut needs = Vec::with_capacity(self.info.tasks[task as usize].needs.len());
        for need in &self.info.tasks[task as usize].needs {
            let holder = match (need.part, need.part.task()) {
                (Part::Output { .. }, Some(maker)) => {
                    let holders = &frame.tasks.get(maker).holders;
                    let here = holders.iter().find(|h| **h == me);
                    *here.or_else(|| holders.first())?
                }
                _ => me,
            };
            let known = nodes.iter().position(|n| n.id() == holder.0);
            let index = match known {
                Some(i) => i,
                None => {
                    // This node does not know its own address; whoever reads this does.
                    let addr = if holder == me {
                        self.config.gateway
                    } else {
                        let known = self.peers.get(holder.0)?;
                        (known.peer.epoch == holder.1).then_some(known.peer.addr)?
                    };
                    nodes.push(Node::new(holder.0, holder.1, addr));
                    nodes.len() - 1
                }
            };
            needs.push(u8::try_from(index).ok()?);
        }
        Some((nodes, needs))
    }

    fn write_lease(
        &mut self,
        now: Now,
        to: Peer,
        number: u32,
        task: u32,
        ask: u32,
    ) -> Option<(SocketAddr, Kind)> {
        let given = self.frames.live(number)?.tasks.get(task).lease?;
        if (given.thief.id, given.thief.epoch, given.ask) != (to.id, to.epoch, ask) {
            return None;
        }
        let (holders, needs) = self.holders_for(number, task)?;
        if holders.len() > Lease::MAX_HOLDERS {
            return None;
        }
        let left = given.until.saturating_sub(now).max(1);
        let lease = Lease {
            ask,
            number,
            task,
            lease_us: u32::try_from(left).unwrap_or(u32::MAX),
            holders: &holders,
            needs: &needs,
        };
        self.tell(&Message::Lease(lease), to)
    }

    fn write_renew(&mut self, owner: Peer) -> Option<(SocketAddr, Kind)> {
        let (seq, jobs) = self.renewal(owner.id);
        let leases: Vec<LeaseRef> = (jobs.into_iter())
            .map(|(ask, frame, task)| LeaseRef {
                number: frame.number.into(),
                task: task.into(),
                ask: ask.into(),
            })
            .collect();
        if leases.is_empty() {
            return None;
        }
        let renew = Renew {
            seq,
            leases: &leases,
        };
        self.tell(&Message::Renew(renew), owner)
    }

    fn write_report(&mut self, ask: u32) -> Option<(SocketAddr, Kind)> {
        let owed = self.reports.owed.get(&ask)?.clone();
        let report = Report {
            number: owed.frame.number,
            task: owed.task,
            ask,
        };
        let owner = self.address(owed.owner);
        match &owed.failed {
            None => self.tell(&Message::Done(report), owner),
            Some((why, lost)) => {
                let lost = &lost[..lost.len().min(Failed::MAX_LOST)];
                let failed = Failed {
                    report,
                    why: *why,
                    lost,
                };
                self.tell(&Message::Failed(failed), owner)
            }
        }
    }

    /// The same life of a node, where it was seen last.
    fn address(&self, peer: Peer) -> Peer {
        let known = self.peers.get(peer.id).map(|k| k.peer);
        known.filter(|k| k.epoch == peer.epoch).unwrap_or(peer)
    }
}
