//! Telling owners what became of their leases, and that work on the others goes on.

use std::collections::BTreeMap;

use super::{Edge, job::Stolen, next_pause, say::Post};
use crate::{
    FrameId, NodeId, Now,
    peer::Peer,
    store::Store,
    wire::{LostPart, Reject, Renew, Reported, Why},
};

/// A report that its owner has not answered.
#[derive(Clone, Debug)]
pub struct Owed {
    /// Of which frame.
    pub frame: FrameId,
    /// Which task.
    pub task: u32,
    /// Who owns it.
    pub owner: Peer,
    /// Why it failed; `None` when it did not.
    pub failed: Option<(Why, Vec<LostPart>)>,
    /// When to say it again, and the pause after that.
    pub again: (Now, u64),
    tries: u8,
}

impl Owed {
    /// Reports of failure that nobody answers: their lease runs out anyway.
    const MOST_TRIES: u8 = 20;
}

/// What this node, as a thief, owes to owners.
#[derive(Debug, Default)]
pub struct Reports {
    /// What owners have not heard yet, by request.
    pub owed: BTreeMap<u32, Owed>,
    /// When leases are renewed next.
    renew_at: Option<Now>,
    /// Number of the latest renewal.
    renew_seq: u32,
    /// Per owner the latest renewal and the requests that it named.
    renewals: BTreeMap<NodeId, (u32, Vec<u32>)>,
}

impl Reports {
    /// When something must be said again.
    pub fn next(&self) -> Option<Now> {
        let owed = self.owed.values().map(|r| r.again.0);
        owed.chain(self.renew_at).min()
    }

    /// Leases are to be renewed by then.
    pub fn renew_by(&mut self, at: Now) {
        self.renew_at = Some(self.renew_at.map_or(at, |r| r.min(at)));
    }
}

impl Edge {
    pub(super) fn report_done(&mut self, now: Now, frame: FrameId, task: u32, stolen: &Stolen) {
        self.report(now, frame, task, stolen, None);
    }

    pub(super) fn report_failure(
        &mut self,
        now: Now,
        frame: FrameId,
        task: u32,
        stolen: &Stolen,
        why: Why,
        lost: Vec<LostPart>,
    ) {
        if !stolen.void {
            self.report(now, frame, task, stolen, Some((why, lost)));
        }
    }

    fn report(
        &mut self,
        now: Now,
        frame: FrameId,
        task: u32,
        stolen: &Stolen,
        failed: Option<(Why, Vec<LostPart>)>,
    ) {
        let owed = Owed {
            frame,
            task,
            owner: stolen.owner,
            failed,
            again: (now, self.config.retry[0]),
            tries: 0,
        };
        self.reports.owed.insert(stolen.ask, owed);
    }

    pub(super) fn on_reported(
        &mut self,
        owner: Peer,
        reported: &Reported,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let ask = reported.report.ask;
        let Some(owed) = self.reports.owed.get(&ask) else {
            return Err(Reject::Unexpected);
        };
        let named = (
            owed.frame.source,
            owed.frame.epoch,
            owed.frame.number,
            owed.task,
        );
        let r = reported.report;
        if named != (owner.id, owner.epoch, r.number, r.task) {
            return Err(Reject::Unexpected);
        }
        let (frame, task, done) = (owed.frame, owed.task, owed.failed.is_none());
        self.reports.owed.remove(&ask);
        if done && !reported.keep {
            // While jobs read what lies here it stays; the end of the frame takes it.
            if let Some(guest) = self.guests.get_mut(frame)
                && guest.jobs == 0
                && let Some(slots) = guest.outputs.remove(&task)
            {
                for slot in slots {
                    self.slots.give(slot, store, &mut self.stats);
                }
                self.sweep_guest(frame, store);
                self.stirred = true;
            }
        }
        Ok(())
    }

    pub(super) fn on_renewed(
        &mut self,
        owner: Peer,
        seq: u32,
        wanted: u64,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let asks = match self.reports.renewals.get(&owner.id) {
            Some((s, asks)) if *s == seq => asks.clone(),
            _ => return Err(Reject::Unexpected),
        };
        for (i, ask) in asks.into_iter().enumerate() {
            if wanted >> i & 1 == 0 {
                self.void(ask, store);
            }
        }
        Ok(())
    }

    /// Queues reports and renewals that are due.
    pub(super) fn repeat_reports(&mut self, now: Now) {
        let most = self.config.retry[1];
        let mut due = Vec::new();
        self.reports.owed.retain(|&ask, r| {
            if r.again.0 <= now {
                r.again = next_pause(now, r.again.1, most);
                r.tries = r.tries.saturating_add(1);
                due.push(ask);
            }
            // Outputs are kept until somebody says that they need not be.
            r.failed.is_none() || r.tries <= Owed::MOST_TRIES
        });
        for ask in due {
            self.send(Post::Report { ask });
        }
        if self.reports.renew_at.is_some_and(|at| at <= now) {
            self.renew(now);
        }
    }

    fn renew(&mut self, now: Now) {
        let mut owners: BTreeMap<NodeId, Peer> = BTreeMap::new();
        let mut soonest = None;
        for (_, j) in self.jobs.iter() {
            if let Some(s) = j.stolen.filter(|s| !s.void) {
                owners.insert(s.owner.id, s.owner);
                let at = now + (s.lease_us / 4).max(1);
                soonest = Some(soonest.map_or(at, |a: Now| a.min(at)));
            }
        }
        self.reports.renew_at = soonest;
        self.reports.renewals.retain(|o, _| owners.contains_key(o));
        for owner in owners.into_values() {
            self.send(Post::Renew { owner });
        }
    }

    /// What a renewal says: its number, and jobs by request.
    pub(super) fn renewal(&mut self, owner: NodeId) -> (u32, Vec<(u32, FrameId, u32)>) {
        let leases: Vec<(u32, FrameId, u32)> = (self.jobs.iter())
            .filter_map(|(_, j)| {
                let s = j.stolen.filter(|s| !s.void && s.owner.id == owner)?;
                Some((s.ask, j.frame, j.task))
            })
            .take(Renew::MAX_LEASES)
            .collect();
        self.reports.renew_seq += 1;
        let asks = leases.iter().map(|l| l.0).collect();
        let seq = self.reports.renew_seq;
        self.reports.renewals.insert(owner, (seq, asks));
        (seq, leases)
    }
}
