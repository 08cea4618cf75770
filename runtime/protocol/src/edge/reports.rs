//! Reports of a thief to owners: results, failures and renewals of leases.

use std::collections::BTreeMap;

use super::{Edge, pending_job::HeldLease, send::Outgoing};
use crate::{
    FrameId, Micros, NodeIncarnation, RequestId, TaskId,
    peer::Peer,
    retry::Retry,
    store::Store,
    wire::{FailureReason, LostObject, Reject, Renew, ReportAck},
};

/// A report that the owner has not acknowledged.
#[derive(Clone, Debug)]
pub struct PendingReport {
    /// The task's frame.
    pub frame: FrameId,
    /// The task that was leased.
    pub task: TaskId,
    /// The frame's owner, who receives the report.
    pub owner: Peer,
    /// The reason of the failure; `None` when the task was finished.
    pub failed: Option<(FailureReason, Vec<LostObject>)>,
    /// When to repeat the report, and the pause after that.
    pub again: Retry,
    tries: u8,
}

impl PendingReport {
    /// Most repeats of an unanswered report of failure: the lease runs out anyway.
    const TRIES_MAX: u8 = 20;
}

/// Reports and renewals that this node, as a thief, owes to owners.
#[derive(Debug, Default)]
pub struct Reports {
    /// Reports that owners have not acknowledged, by request.
    pub owed: BTreeMap<RequestId, PendingReport>,
    /// When this node next renews its leases.
    renew_at_us: Option<Micros>,
    /// Number of the latest renewal.
    renew_seq: u32,
    /// For each owner, the latest renewal and the requests that the renewal named.
    renewals: BTreeMap<NodeIncarnation, (u32, Vec<RequestId>)>,
}

impl Reports {
    /// When the next report or renewal is due.
    pub fn next(&self) -> Option<Micros> {
        let owed = self.owed.values().map(|r| r.again.at_us);
        owed.chain(self.renew_at_us).min()
    }

    /// Schedules a renewal no later than `at`.
    pub fn renew_by(&mut self, at: Micros) {
        self.renew_at_us = Some(self.renew_at_us.map_or(at, |r| r.min(at)));
    }
}

impl Edge {
    pub(super) fn report_done(
        &mut self,
        now_us: Micros,
        frame: FrameId,
        task: TaskId,
        stolen: &HeldLease,
    ) {
        self.report(now_us, frame, task, stolen, None);
    }

    pub(super) fn report_failure(
        &mut self,
        now_us: Micros,
        frame: FrameId,
        task: TaskId,
        stolen: &HeldLease,
        why: FailureReason,
        lost: Vec<LostObject>,
    ) {
        if !stolen.revoked {
            self.report(now_us, frame, task, stolen, Some((why, lost)));
        }
    }

    fn report(
        &mut self,
        now_us: Micros,
        frame: FrameId,
        task: TaskId,
        stolen: &HeldLease,
        failed: Option<(FailureReason, Vec<LostObject>)>,
    ) {
        let owed = PendingReport {
            frame,
            task,
            owner: stolen.owner,
            failed,
            again: Retry::now(now_us, self.config.retry_us[0]),
            tries: 0,
        };
        self.reports.owed.insert(stolen.request, owed);
    }

    pub(super) fn on_report_ack(
        &mut self,
        owner: Peer,
        reported: &ReportAck,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let request = reported.report.request;
        let Some(owed) = self.reports.owed.get(&request) else {
            return Err(Reject::Unexpected);
        };
        let named = (
            owed.frame.source,
            owed.frame.incarnation,
            owed.frame.number,
            owed.task,
        );
        let r = reported.report;
        if named != (owner.id, owner.incarnation, r.number, r.task) {
            return Err(Reject::Unexpected);
        }
        let (frame, task, done) = (owed.frame, owed.task, owed.failed.is_none());
        self.reports.owed.remove(&request);
        if done && !reported.keep {
            // Outputs stay while jobs read them; the end of the frame releases them.
            if let Some(foreign) = self.foreign.get_mut(frame)
                && foreign.jobs == 0
                && let Some(mut slots) = foreign.outputs.remove(&task)
            {
                // What the same run made besides is not wanted either.
                let run = foreign.runs.get(&task).copied();
                for given in &self.info.tasks[task.index()].gives {
                    if foreign.runs.get(given).copied() == run {
                        slots.extend(foreign.outputs.remove(given).into_iter().flatten());
                    }
                }
                for slot in slots {
                    self.slots.give(slot, store, &mut self.stats);
                }
                self.release_foreign_frame(frame, store);
                self.dirty = true;
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
        let requests = match self.reports.renewals.get(&owner.who()) {
            Some((s, requests)) if *s == seq => requests.clone(),
            _ => return Err(Reject::Unexpected),
        };
        for (i, request) in requests.into_iter().enumerate() {
            if wanted >> i & 1 == 0 {
                self.revoke(request, store);
            }
        }
        Ok(())
    }

    /// Queues reports and renewals that are due.
    pub(super) fn repeat_reports(&mut self, now_us: Micros) {
        let most = self.config.retry_us[1];
        let mut due = Vec::new();
        self.reports.owed.retain(|&request, r| {
            if r.again.is_due(now_us) {
                r.again = r.again.repeat(now_us, most);
                r.tries = r.tries.saturating_add(1);
                due.push(request);
            }
            // A thief keeps outputs until the owner releases them.
            r.failed.is_none() || r.tries <= PendingReport::TRIES_MAX
        });
        for request in due {
            self.enqueue(Outgoing::Report { request });
        }
        if self.reports.renew_at_us.is_some_and(|at| at <= now_us) {
            self.renew(now_us);
        }
    }

    fn renew(&mut self, now_us: Micros) {
        let mut owners: BTreeMap<NodeIncarnation, Peer> = BTreeMap::new();
        let mut soonest = None;
        for (_, j) in self.jobs.iter() {
            if let Some(s) = j.stolen.filter(|s| !s.revoked) {
                owners.insert(s.owner.who(), s.owner);
                let at = now_us + (s.lease_us / 4).max(1);
                soonest = Some(soonest.map_or(at, |a: Micros| a.min(at)));
            }
        }
        self.reports.renew_at_us = soonest;
        self.reports.renewals.retain(|o, _| owners.contains_key(o));
        for owner in owners.into_values() {
            self.enqueue(Outgoing::Renew { owner });
        }
    }

    /// The content of a renewal: its number, and the jobs by request.
    pub(super) fn renewal(
        &mut self,
        owner: NodeIncarnation,
    ) -> (u32, Vec<(RequestId, FrameId, TaskId)>) {
        let leases: Vec<(RequestId, FrameId, TaskId)> = (self.jobs.iter())
            .filter_map(|(_, j)| {
                let s = j.stolen.filter(|s| !s.revoked && s.owner.who() == owner)?;
                Some((s.request, j.frame, j.task))
            })
            .take(Renew::LEASES_MAX)
            .collect();
        self.reports.renew_seq += 1;
        let requests = leases.iter().map(|l| l.0).collect();
        let seq = self.reports.renew_seq;
        self.reports.renewals.insert(owner, (seq, requests));
        (seq, leases)
    }
}
