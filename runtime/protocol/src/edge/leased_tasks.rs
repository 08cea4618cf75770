//! Leased tasks: tasks of own frames in other nodes' hands. This node is the victim.
//!
//! A lease is given by `on_steal_ask`, kept alive by `on_renew`, and ends in a report
//! (`on_done`, `on_failed`), by running out, or with its thief.

use super::{
    Edge,
    placement::Choice,
    say::Post,
    tasks::{Lease, Life},
};
use crate::{
    Now,
    peer::Peer,
    wire::{self, Failed, NO_TASK, Reject, Renew, Report, Reported, Why},
};

impl Edge {
    pub(super) fn on_steal_ask(&mut self, now: Now, thief: Peer, ask: u32) -> Result<(), Reject> {
        let Some(known) = self.peers.get_mut(thief.id) else {
            return Err(Reject::Stranger);
        };
        let (last, empty) = known.ask;
        if ask < last {
            return Err(Reject::Stale);
        }
        if ask == last {
            // The answer was lost, or the request doubled: the same again, if it still holds.
            if empty {
                self.send(Post::NoWork { to: thief, ask });
            } else if let Some((number, task)) = self.lease_of(thief, ask) {
                self.send(Post::Lease {
                    to: thief,
                    number,
                    task,
                    ask,
                });
            }
            return Ok(());
        }
        let found = self.pick_for(thief);
        if let Some(known) = self.peers.get_mut(thief.id) {
            known.ask = (ask, found.is_none());
        }
        let Some(Choice { number, task }) = found else {
            self.send(Post::NoWork { to: thief, ask });
            return Ok(());
        };
        self.give_lease(now, number, task, thief, ask);
        self.stats.leases_issued += 1;
        self.send(Post::Lease {
            to: thief,
            number,
            task,
            ask,
        });
        Ok(())
    }

    fn give_lease(&mut self, now: Now, number: u32, task: u32, thief: Peer, ask: u32) {
        let until = now + self.config.lease.min(self.config.lease_cap);
        self.next_expiry = self.next_expiry.min(until);
        // An idle worker may want to back it up.
        self.stirred = true;
        if let Some(frame) = self.frames.live_mut(number) {
            let t = frame.tasks.get_mut(task);
            if t.returned > 0 {
                self.stats.tasks_reissued += 1;
            }
            t.lease = Some(Lease {
                thief,
                ask,
                since: now,
                until,
            });
            frame.tasks.refresh(task);
        }
    }

    fn pick_for(&self, thief: Peer) -> Option<Choice> {
        let fits = |c: Choice| {
            let holders = self.holders_for(c.number, c.task);
            holders.is_some_and(|(nodes, _)| nodes.len() <= wire::Lease::MAX_HOLDERS)
        };
        let life = (thief.id, thief.epoch);
        let placement = self.config.placement;
        placement.for_thief(&self.situation(), life, fits)
    }

    fn lease_of(&self, thief: Peer, ask: u32) -> Option<(u32, u32)> {
        let mine =
            |l: &Lease| l.thief.id == thief.id && l.thief.epoch == thief.epoch && l.ask == ask;
        self.frames.lives().find_map(|(n, f)| {
            let task = f
                .tasks
                .iter()
                .find(|(_, t)| t.lease.is_some_and(|l| mine(&l)))?;
            Some((n, task.0))
        })
    }

    pub(super) fn on_renew(
        &mut self,
        now: Now,
        thief: Peer,
        renew: &Renew<'_>,
    ) -> Result<(), Reject> {
        let Some(known) = self.peers.get_mut(thief.id) else {
            return Err(Reject::Stranger);
        };
        if renew.seq <= known.renew {
            return Err(Reject::Stale);
        }
        known.renew = renew.seq;
        let (lease, cap) = (self.config.lease, self.config.lease_cap);
        let mut wanted = 0;
        for (i, r) in renew.leases.iter().enumerate() {
            let (number, task, ask) = (r.number.get(), r.task.get(), r.ask.get());
            let Some(frame) = self.frames.live_mut(number) else {
                continue;
            };
            let t = frame.tasks.get_mut(task);
            if t.done() || frame.failed {
                continue;
            }
            wanted |= 1 << i;
            if let Some(l) = &mut t.lease
                && (l.thief.id, l.thief.epoch, l.ask) == (thief.id, thief.epoch, ask)
            {
                let until = (now + lease).min(l.since.saturating_add(cap));
                l.until = l.until.max(until);
                self.stats.leases_renewed += 1;
            }
        }
        let seq = renew.seq;
        self.send(Post::Renewed {
            to: thief,
            seq,
            wanted,
        });
        Ok(())
    }

    pub(super) fn on_done(&mut self, thief: Peer, report: Report) {
        let life = (thief.id, thief.epoch);
        let mut keep = false;
        if let Some(frame) = self.frames.live_mut(report.number) {
            let t = frame.tasks.get(report.task);
            if t.holders.contains(&life) {
                keep = true;
            } else if !t.done() && !t.distrusted.contains(&life) {
                keep = true;
                self.made(report.number, report.task, life);
            } else {
                // It was not needed any more, or would not be found when it is.
                self.end_lease(thief, report);
            }
        }
        self.send(Post::Reported {
            to: thief,
            reported: Reported { report, keep },
        });
    }

    /// Ends the lease that a report is about. Says whether there was one.
    fn end_lease(&mut self, thief: Peer, report: Report) -> bool {
        let Some(frame) = self.frames.live_mut(report.number) else {
            return false;
        };
        let t = frame.tasks.get_mut(report.task);
        let about =
            |l: &Lease| (l.thief.id, l.thief.epoch, l.ask) == (thief.id, thief.epoch, report.ask);
        if !t.lease.as_ref().is_some_and(about) {
            return false;
        }
        t.lease = None;
        frame.tasks.refresh(report.task);
        self.stirred = true;
        true
    }

    pub(super) fn on_failed(&mut self, thief: Peer, failed: &Failed<'_>) {
        let report = failed.report;
        if self.end_lease(thief, report) {
            if failed.why != Why::Declined
                && let Some(frame) = self.frames.live_mut(report.number)
            {
                let t = frame.tasks.get_mut(report.task);
                t.returned = t.returned.saturating_add(1);
            }
            match failed.why {
                Why::Declined => {}
                Why::Worker => self.attempt_failed(report.number, report.task),
                Why::Lost => {
                    for l in failed.lost {
                        let life = (crate::NodeId(l.holder.get()), crate::Epoch(l.epoch.get()));
                        if l.task.get() != NO_TASK {
                            self.holder_lost(report.number, l.task.get(), life, true);
                        }
                    }
                }
            }
        }
        self.send(Post::Reported {
            to: thief,
            reported: Reported {
                report,
                keep: false,
            },
        });
    }

    /// Takes back what was not renewed.
    pub(super) fn expire_leases(&mut self, now: Now) {
        let mut next = Now::MAX;
        for (_, frame) in self.frames.lives_mut() {
            let mut expired = Vec::new();
            for (k, t) in frame.tasks.iter_mut() {
                let Some(l) = t.lease else { continue };
                if l.until > now {
                    next = next.min(l.until);
                    continue;
                }
                t.lease = None;
                t.returned = t.returned.saturating_add(1);
                expired.push(k);
            }
            self.stats.leases_expired += expired.len() as u64;
            self.stirred |= !expired.is_empty();
            for k in expired {
                frame.tasks.refresh(k);
            }
        }
        self.next_expiry = next;
    }

    pub(super) fn extend_leases(&mut self, by: u64) {
        for (_, frame) in self.frames.lives_mut() {
            for (_, t) in frame.tasks.iter_mut() {
                if let Some(l) = &mut t.lease {
                    l.until += by;
                    l.since += by;
                }
            }
        }
    }

    /// Leases of thieves that have died come back.
    pub(super) fn return_leases(&mut self, dead: impl Fn(Life) -> bool) {
        for (_, frame) in self.frames.lives_mut() {
            let mut back = Vec::new();
            for (k, t) in frame.tasks.iter_mut() {
                if t.lease.is_some_and(|l| dead((l.thief.id, l.thief.epoch))) {
                    t.lease = None;
                    t.returned = t.returned.saturating_add(1);
                    back.push(k);
                }
            }
            self.stats.leases_orphaned += back.len() as u64;
            self.stirred |= !back.is_empty();
            for k in back {
                frame.tasks.refresh(k);
            }
        }
    }
}
