//! Getting work from others, and telling them what became of it.

use std::collections::BTreeMap;

use super::{
    Edge,
    job::{From, Stolen},
    next_pause,
    reports::Owed,
    say::Post,
};
use crate::{
    EdgeConfig, FrameId, NodeId, Now,
    peer::Peer,
    store::Store,
    wire::{Envelope, Lease, LostPart, Node, Reject, Why, part_to_wire},
};
use tessera_plan::dataflow::Part;

/// What this node does about having nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// Nothing before then.
    Rest { until: Now },
    /// Nobody has work; the gateway will tell when somebody has.
    Parked,
    /// The gateway was asked for a victim.
    Hint { again: (Now, u64) },
    /// A victim was asked for a task.
    Ask {
        victim: Peer,
        again: (Now, u64),
        tries: u8,
    },
}

/// The thief's side of this node.
#[derive(Debug)]
pub struct Thief {
    search: Search,
    /// Number of the latest request for a hint.
    pub hint: u32,
    /// Number of the latest request for a task.
    pub ask: u32,
    /// Pause after the next disappointment.
    pause: u64,
    /// The last victim, while it has tasks to give: with several stages, the next one's inputs
    /// may lie here.
    last: Option<Peer>,
    /// What owners have not heard yet, by request.
    pub reports: BTreeMap<u32, Owed>,
    /// When leases are renewed next.
    pub renew_at: Option<Now>,
    /// Number of the latest renewal.
    pub renew_seq: u32,
    /// Per owner the latest renewal and the requests that it named.
    pub renewals: BTreeMap<NodeId, (u32, Vec<u32>)>,
}

impl Thief {
    /// Requests to a victim that does not answer.
    const MOST_TRIES: u8 = 6;

    /// It will look for work at once.
    pub fn new(config: &EdgeConfig) -> Self {
        Self {
            search: Search::Rest { until: 0 },
            hint: 0,
            ask: 0,
            pause: config.backoff[0],
            last: None,
            reports: BTreeMap::new(),
            renew_at: None,
            renew_seq: 0,
            renewals: BTreeMap::new(),
        }
    }
}

impl Edge {
    /// Whether another task would be welcome.
    fn hungry(&self) -> bool {
        self.link.joined()
            && self.jobs.len() < self.config.max_jobs
            && self.slots.guest_bytes() < self.config.steal_bytes
            && !self
                .frames
                .lives()
                .any(|(_, f)| !f.failed && f.tasks.ready().next().is_some())
    }

    /// Takes the next step in search of work.
    pub(super) fn steal(&mut self, now: Now) {
        let most = self.config.retry[1];
        match self.thief.search {
            Search::Parked => {}
            Search::Rest { until } => {
                if until <= now && self.hungry() {
                    match self.thief.last {
                        Some(victim) => self.ask(now, victim),
                        None => self.ask_hint(now),
                    }
                }
            }
            Search::Hint { again } if again.0 <= now => {
                if self.hungry() {
                    let again = next_pause(now, again.1, most);
                    self.thief.search = Search::Hint { again };
                    self.send(Post::HintAsk);
                } else {
                    self.thief.search = Search::Rest { until: now };
                }
            }
            Search::Ask {
                victim,
                again,
                tries,
            } if again.0 <= now => {
                if tries >= Thief::MOST_TRIES {
                    self.stats.steals_unanswered += 1;
                    self.disappointed(now);
                } else {
                    self.thief.search = Search::Ask {
                        victim,
                        again: next_pause(now, again.1, most),
                        tries: tries + 1,
                    };
                    self.send(Post::StealAsk { victim });
                }
            }
            Search::Hint { .. } | Search::Ask { .. } => {}
        }
    }

    /// When the search goes on, or something must be said again.
    pub(super) fn thief_next(&self) -> Option<Now> {
        let search = match self.thief.search {
            Search::Parked => None,
            Search::Rest { until } => self.hungry().then_some(until),
            Search::Hint { again } | Search::Ask { again, .. } => Some(again.0),
        };
        let reports = self.thief.reports.values().map(|r| r.again.0);
        let all = reports.chain(search).chain(self.thief.renew_at);
        all.min()
    }

    fn ask_hint(&mut self, now: Now) {
        self.thief.hint += 1;
        self.stats.hints_asked += 1;
        let [first, most] = self.config.retry;
        self.thief.search = Search::Hint {
            again: next_pause(now, first, most),
        };
        self.send(Post::HintAsk);
    }

    fn ask(&mut self, now: Now, victim: Peer) {
        self.thief.ask += 1;
        self.stats.steals_asked += 1;
        let [first, most] = self.config.retry;
        self.thief.search = Search::Ask {
            victim,
            again: next_pause(now, first, most),
            tries: 1,
        };
        self.send(Post::StealAsk { victim });
    }

    fn disappointed(&mut self, now: Now) {
        self.thief.last = None;
        let (until, pause) = next_pause(now, self.thief.pause, self.config.backoff[1]);
        self.thief.pause = pause;
        self.thief.search = Search::Rest { until };
    }

    /// A new gateway knows of no request.
    pub(super) fn thief_restart(&mut self) {
        if matches!(self.thief.search, Search::Parked | Search::Hint { .. }) {
            self.thief.search = Search::Rest { until: 0 };
        }
    }

    /// The gateway knows somebody who has tasks.
    pub(super) fn work_somewhere(&mut self, now: Now) {
        if self.thief.search == Search::Parked {
            self.thief.search = Search::Rest { until: now };
        }
    }

    pub(super) fn on_hint(
        &mut self,
        now: Now,
        seq: u32,
        victim: Option<Node>,
    ) -> Result<(), Reject> {
        let asked = matches!(self.thief.search, Search::Hint { .. }) && seq == self.thief.hint;
        let waits = matches!(self.thief.search, Search::Parked | Search::Rest { .. });
        if !asked && !(seq == 0 && (waits || matches!(self.thief.search, Search::Hint { .. }))) {
            return Err(Reject::Unexpected);
        }
        match victim.as_ref().map(Peer::from) {
            Some(victim) if victim.id != self.config.id => {
                self.stats.hints_found += 1;
                if self.hungry() {
                    self.ask(now, victim);
                } else {
                    self.thief.search = Search::Rest { until: now };
                }
            }
            // The gateway remembers that this node asked in vain.
            _ => self.thief.search = Search::Parked,
        }
        Ok(())
    }

    fn asked(&self, envelope: &Envelope, ask: u32) -> bool {
        matches!(self.thief.search, Search::Ask { victim, .. }
            if victim.id == envelope.from && victim.epoch == envelope.epoch)
            && ask == self.thief.ask
    }

    pub(super) fn on_no_work(
        &mut self,
        now: Now,
        envelope: &Envelope,
        ask: u32,
    ) -> Result<(), Reject> {
        if !self.asked(envelope, ask) {
            return Err(Reject::Unexpected);
        }
        self.stats.steals_empty += 1;
        self.disappointed(now);
        Ok(())
    }

    pub(super) fn on_lease(
        &mut self,
        now: Now,
        envelope: &Envelope,
        owner: Peer,
        lease: &Lease<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let frame = FrameId {
            source: owner.id,
            epoch: owner.epoch,
            number: lease.number,
        };
        let stolen = Stolen {
            owner,
            ask: lease.ask,
            lease_us: lease.lease_us.into(),
            void: false,
        };
        if !self.asked(envelope, lease.ask) {
            let known = self.thief.reports.contains_key(&lease.ask)
                || (self.jobs.iter()).any(|(_, j)| j.stolen.is_some_and(|s| s.ask == lease.ask));
            if known || lease.ask > self.thief.ask {
                return Err(Reject::Unexpected);
            }
            // It came too late: this node has asked somebody else since.
            self.decline(now, frame, lease.task, &stolen);
            return Ok(());
        }
        self.thief.pause = self.config.backoff[0];
        let several = self.info.tasks.last().is_some_and(|t| t.stage > 0);
        self.thief.last = several.then_some(owner);
        self.thief.search = Search::Rest { until: now };
        let has = |g: &super::guests::Guest| g.outputs.contains_key(&lease.task) && !g.over;
        if self.guests.get(frame).is_some_and(has) {
            // Finished before; the owner does not know.
            self.report_done(now, frame, lease.task, &stolen);
            return Ok(());
        }
        let same = self
            .jobs
            .iter_mut()
            .find(|(_, j)| j.frame == frame && j.task == lease.task && j.stolen.is_some());
        if let Some((_, job)) = same {
            job.stolen = Some(stolen);
            return Ok(());
        }
        let over = self.guests.get(frame).is_some_and(|g| g.over);
        if over || self.jobs.len() >= self.config.max_jobs {
            self.decline(now, frame, lease.task, &stolen);
            return Ok(());
        }
        self.begin_stolen(now, frame, lease, stolen, store);
        Ok(())
    }

    fn begin_stolen(
        &mut self,
        now: Now,
        frame: FrameId,
        lease: &Lease<'_>,
        stolen: Stolen,
        store: &mut impl Store,
    ) {
        let info = std::sync::Arc::clone(&self.info);
        let mut from = Vec::with_capacity(lease.needs.len());
        for (need, &holder) in info.tasks[lease.task as usize]
            .needs
            .iter()
            .zip(lease.needs)
        {
            let holder = Peer::from(&lease.holders[usize::from(holder)]);
            let guest = self.guests.get(frame).filter(|g| !g.over);
            from.push(match guest.and_then(|g| g.find(&info, need.part)) {
                Some((slot, region)) => From::Here(slot, region),
                None if holder.id == self.config.id => {
                    let lost = vec![lost_part(need.part, holder)];
                    self.report_failure(now, frame, lease.task, &stolen, Why::Lost, lost);
                    return;
                }
                // The owner does not know its own address.
                None if holder.id == stolen.owner.id => From::There(stolen.owner),
                None => From::There(holder),
            });
        }
        let Some(_) = self.begin(frame, lease.task, Some(stolen), &from, store) else {
            // No room before something of others' is over.
            self.decline(now, frame, lease.task, &stolen);
            self.thief.pause = self.config.backoff[1];
            self.disappointed(now);
            return;
        };
        self.guests.entry(frame).jobs += 1;
        self.stats.steals_taken += 1;
        let renew = now + (stolen.lease_us / 4).max(1);
        self.thief.renew_at = Some(self.thief.renew_at.map_or(renew, |r| r.min(renew)));
    }

    fn decline(&mut self, now: Now, frame: FrameId, task: u32, stolen: &Stolen) {
        self.stats.steals_declined += 1;
        self.report_failure(now, frame, task, stolen, Why::Declined, Vec::new());
    }
}

fn lost_part(part: Part, holder: Peer) -> LostPart {
    let (task, output) = part_to_wire(part);
    LostPart {
        task: task.into(),
        output: output.into(),
        holder: holder.id.0.into(),
        epoch: holder.epoch.0.into(),
    }
}
