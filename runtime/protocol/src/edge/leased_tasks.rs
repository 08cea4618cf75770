//! Leased tasks: tasks of own frames in other nodes' hands. This node is the victim.
//!
//! `on_steal_client` gives a lease and `on_renew` keeps the lease alive. The lease ends in a report
//! (`on_done`, `on_failed`), by running out, or with its thief.

use super::{
    Edge,
    own_frames::OwnFrame,
    placement::{Choice, MACS_PER_US_MIN, anywhere::has_no_home},
    send::Outgoing,
    task_table::{IssuedLease, TaskState},
};
use crate::{
    FrameNumber, GATEWAY, Micros, NodeIncarnation, RequestId, TaskId,
    peer::Peer,
    retry::Retry,
    wire::{self, Failed, FailureReason, Finished, NO_TASK, Reject, Renew, Report, ReportAck},
};

impl Edge {
    pub(super) fn on_steal_client(
        &mut self,
        now_us: Micros,
        thief: Peer,
        request: RequestId,
    ) -> Result<(), Reject> {
        let Some(known) = self.peers.get_mut(thief.who()) else {
            return Err(Reject::Stranger);
        };
        let (last, empty) = known.request;
        if request < last {
            return Err(Reject::Stale);
        }
        if request == last {
            // The answer was lost, or the request doubled: send the same answer, if the lease still holds.
            if empty {
                self.enqueue(Outgoing::NoWork { to: thief, request });
            } else if let Some((number, task)) = self.lease_of(thief, request) {
                self.enqueue(Outgoing::Lease {
                    to: thief,
                    number,
                    task,
                    request,
                });
            }
            return Ok(());
        }
        let out = self.verifier.suspects.is_out(now_us, thief.id);
        let found = (!out).then(|| self.pick_for(now_us, thief)).flatten();
        if let Some(known) = self.peers.get_mut(thief.who()) {
            known.request = (request, found.is_none());
        }
        let Some(Choice { number, task }) = found else {
            self.enqueue(Outgoing::NoWork { to: thief, request });
            return Ok(());
        };
        self.give_lease(now_us, number, task, thief, request);
        self.stats.leases_issued += 1;
        self.enqueue(Outgoing::Lease {
            to: thief,
            number,
            task,
            request,
        });
        Ok(())
    }

    pub(super) fn give_lease(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        thief: Peer,
        request: RequestId,
    ) {
        let until_us = now_us + self.config.lease_us.min(self.longest_us(task));
        self.next_expiry_us = self.next_expiry_us.min(until_us);
        // An idle worker may want to run a backup copy of the task.
        self.dirty = true;
        let [first, most] = self.config.retry_us;
        let again = (self.policy().waits()).then_some(Retry::after(now_us, first, most));
        if let Some(frame) = self.frames.live_mut(number) {
            let t = frame.tasks.get_mut(task);
            if t.returned > 0 {
                self.stats.tasks_reissued += 1;
            }
            t.give(IssuedLease {
                thief,
                request,
                since_us: now_us,
                until_us,
                again,
            });
            t.reassigned();
            let early = t.missing > 0;
            // The gateway hears who makes what it needs.
            frame.fresh |= self.info.tasks[task.index()].for_tail;
            let sum = frame.tasks.assignments_of(&self.info, task);
            frame.tasks.get_mut(task).early = early.then_some(sum);
            frame.tasks.refresh(task);
        }
    }

    /// Microseconds after which a lease is void although it is renewed: a board that computes may have to end a task before
    /// this one.
    fn longest_us(&self, task: TaskId) -> u64 {
        let macs = self.info.tasks.get(task.index()).map_or(0, |t| t.macs);
        let slow_us = 2 * (macs / MACS_PER_US_MIN);
        self.config.lease_us_max.saturating_add(slow_us)
    }

    fn pick_for(&self, now_us: Micros, thief: Peer) -> Option<Choice> {
        let fits = |c: Choice| self.lease_fits(c);
        let who = thief.who();
        self.policy().for_thief(&self.situation(now_us), who, fits)
    }

    /// True when a lease can name all holders of a task's inputs.
    pub(super) fn lease_fits(&self, c: Choice) -> bool {
        let holders = self.holders_for(c.number, c.task);
        holders.is_some_and(|(nodes, _)| nodes.len() <= wire::LeaseGrant::HOLDERS_MAX)
    }

    fn lease_of(&self, thief: Peer, request: RequestId) -> Option<(FrameNumber, TaskId)> {
        let mine = |l: &IssuedLease| l.answers(thief, request);
        self.frames.in_flight().find_map(|(n, f)| {
            let task = f
                .tasks
                .iter()
                .find(|(_, t)| t.lease.is_some_and(|l| mine(&l)))?;
            Some((n, task.0))
        })
    }

    pub(super) fn on_renew(
        &mut self,
        now_us: Micros,
        thief: Peer,
        renew: &Renew<'_>,
    ) -> Result<(), Reject> {
        let Some(known) = self.peers.get_mut(thief.who()) else {
            return Err(Reject::Stranger);
        };
        if renew.seq <= known.renew {
            return Err(Reject::Stale);
        }
        known.renew = renew.seq;
        let waits = self.policy().waits();
        let lease = self.config.lease_us;
        let mut wanted = 0;
        for (i, r) in renew.leases.iter().enumerate() {
            let (number, task, request) = (r.number.get(), r.task.get(), r.request.get());
            let cap = self.longest_us(task);
            let Some(frame) = self.frames.live_mut(number) else {
                continue;
            };
            let t = frame.tasks.get_mut(task);
            if t.done() || frame.failed || frame.restart.is_some() {
                continue;
            }
            if frame.attempt > 0 && !t.was_given(thief.who(), request) {
                // Of an earlier attempt.
                continue;
            }
            let answers = t.lease.is_some_and(|l| l.answers(thief, request));
            if waits && !answers && t.missing > 0 {
                // The task was given early, and its inputs come from elsewhere by now.
                continue;
            }
            let elsewhere = t.lease.is_some() || t.job.is_some();
            if !answers && elsewhere && has_no_home(&self.info, task) {
                // Another board has the whole frame; who has begun it goes on all the same.
                continue;
            }
            wanted |= 1 << i;
            if let Some(l) = &mut t.lease
                && l.answers(thief, request)
            {
                l.again = None;
                let until_us = (now_us + lease).min(l.since_us.saturating_add(cap));
                l.until_us = l.until_us.max(until_us);
                self.stats.leases_renewed += 1;
            }
        }
        let seq = renew.seq;
        self.enqueue(Outgoing::Renewed {
            to: thief,
            seq,
            wanted,
        });
        Ok(())
    }

    /// Handles the report of a task that another node has finished.
    ///
    /// # Errors
    /// [`Reject::Unexpected`] when the node never had a lease of the task by that request.
    pub(super) fn on_done(
        &mut self,
        now_us: Micros,
        thief: Peer,
        done: &Finished,
    ) -> Result<(), Reject> {
        let (who, report) = (thief.who(), done.report);
        let mut keep = false;
        let frame = self.frames.live(report.number);
        let given = |f: &OwnFrame| f.tasks.get(report.task).was_given(who, report.request);
        if frame.is_some_and(|f| f.attempt == 0 && !given(f)) {
            return Err(Reject::Unexpected);
        }
        // Of a frame that began anew, leases of earlier attempts are void.
        let counts = frame.is_some_and(|f| f.restart.is_none() && given(f));
        if counts {
            self.measure(now_us, thief, report);
            self.verifier.suspects.ended(who.id);
        }
        let out = self.verifier.suspects.is_left_out(who.id);
        if let Some(frame) = self.frames.live_mut(report.number).filter(|_| counts) {
            let t = frame.tasks.get(report.task);
            if t.holders.contains(&who) {
                keep = true;
            } else if t.check.is_some() {
                let (number, task, set) = (report.number, report.task, done.arithmetic);
                keep = !out && self.check_reported(number, task, thief, set);
                if !keep {
                    self.end_lease(thief, report);
                }
            } else if !t.done() && !t.distrusted.contains(&who) && !out {
                keep = true;
                if t.chosen {
                    self.begin_check(report.number, report.task, thief, done.arithmetic);
                } else {
                    self.finished(now_us, report.number, report.task, who);
                }
            } else {
                // The result is not needed, or the holder is distrusted.
                self.end_lease(thief, report);
            }
        }
        self.enqueue(Outgoing::ReportAck {
            to: thief,
            reported: ReportAck { report, keep },
        });
        Ok(())
    }

    /// Notes how long a leased task took.
    fn measure(&mut self, now_us: Micros, thief: Peer, report: Report) {
        let Some(frame) = self.frames.live(report.number) else {
            return;
        };
        let t = frame.tasks.get(report.task);
        let (lease, inputs_us) = (t.lease, t.inputs_us);
        if let Some(l) = lease.filter(|l| l.answers(thief, report.request)) {
            let (info, who) = (&self.info, thief.who());
            let paces = &mut self.offers.paces;
            paces.finished(
                info,
                report.task,
                who,
                [l.since_us, inputs_us],
                now_us,
                true,
            );
        }
    }

    /// Ends the lease that a report is about. Returns true when there was such a lease.
    fn end_lease(&mut self, thief: Peer, report: Report) -> bool {
        let Some(frame) = self.frames.live_mut(report.number) else {
            return false;
        };
        let t = frame.tasks.get_mut(report.task);
        let about = |l: &IssuedLease| l.answers(thief, report.request);
        if !t.lease.as_ref().is_some_and(about) {
            return false;
        }
        t.lease = None;
        t.reassigned();
        frame.tasks.refresh(report.task);
        self.dirty = true;
        true
    }

    pub(super) fn on_failed(&mut self, thief: Peer, failed: &Failed<'_>) {
        let report = failed.report;
        if self.end_lease(thief, report) {
            if let Some(frame) = self.frames.live_mut(report.number) {
                let t = frame.tasks.get_mut(report.task);
                match failed.why {
                    // A board may have no room for a task whose inputs are not made, and for others all the same.
                    FailureReason::Declined if t.missing > 0 => {}
                    FailureReason::Declined => t.declined = t.declined.saturating_add(1),
                    FailureReason::Full => t.declined = TaskState::DECLINED_MAX,
                    _ => t.returned = t.returned.saturating_add(1),
                }
            }
            match failed.why {
                FailureReason::Declined => self.no_room_at(thief, false),
                FailureReason::Full => self.no_room_at(thief, true),
                FailureReason::Worker => self.attempt_failed(report.number, report.task),
                FailureReason::Lost => {
                    for l in failed.lost {
                        let who = l.holder();
                        if l.task.get() != NO_TASK {
                            self.holder_lost(report.number, l.task.get(), who, true);
                        } else if who.id == GATEWAY {
                            self.relay_lost(report.number, None);
                        }
                    }
                }
            }
        }
        self.enqueue(Outgoing::ReportAck {
            to: thief,
            reported: ReportAck {
                report,
                keep: false,
            },
        });
    }

    /// Takes back leases that were not renewed in time.
    pub(super) fn expire_leases(&mut self, now_us: Micros) {
        let mut next = Micros::MAX;
        let mut late = std::collections::BTreeSet::new();
        for (_, frame) in self.frames.in_flight_mut() {
            let mut expired = Vec::new();
            for (k, t) in frame.tasks.iter_mut() {
                let Some(l) = t.lease else { continue };
                if l.until_us > now_us {
                    next = next.min(l.until_us);
                    continue;
                }
                t.lease = None;
                t.reassigned();
                t.returned = t.returned.saturating_add(1);
                late.insert(l.thief.id);
                expired.push(k);
            }
            self.stats.leases_expired += expired.len() as u64;
            self.dirty |= !expired.is_empty();
            for k in expired {
                frame.tasks.refresh(k);
            }
        }
        self.next_expiry_us = next;
        for board in late {
            self.is_late(now_us, board);
        }
    }

    pub(super) fn extend_leases(&mut self, by: u64) {
        for (_, frame) in self.frames.in_flight_mut() {
            for (_, t) in frame.tasks.iter_mut() {
                if let Some(l) = &mut t.lease {
                    l.until_us += by;
                    l.since_us += by;
                }
            }
        }
    }

    /// Takes back the leases of dead thieves.
    pub(super) fn return_leases(&mut self, dead: impl Fn(NodeIncarnation) -> bool) {
        for (_, frame) in self.frames.in_flight_mut() {
            let mut back = Vec::new();
            for (k, t) in frame.tasks.iter_mut() {
                if t.lease.is_some_and(|l| dead(l.thief.who())) {
                    t.lease = None;
                    t.reassigned();
                    t.returned = t.returned.saturating_add(1);
                    back.push(k);
                }
            }
            self.stats.leases_orphaned += back.len() as u64;
            self.dirty |= !back.is_empty();
            for k in back {
                frame.tasks.refresh(k);
            }
        }
    }
}
