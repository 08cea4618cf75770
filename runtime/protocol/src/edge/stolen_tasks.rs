//! Stolen tasks: other nodes' tasks that this node has leased. This node is the thief.
//!
//! A lease (`on_lease`) becomes a job ([`super::jobs`]), is given back, or is answered at once
//! from outputs that are already here. The job ends in `stolen_done`, `stolen_failed` or, when the inputs
//! cannot be had, `stolen_starved`; [`super::reports`] tells the owner.

use super::{
    Edge,
    foreign_frames::ForeignFrame,
    jobs::outputs_by_task,
    pending_job::{HeldLease, InputSource, JobStage, PendingJob},
    placement::anywhere::has_no_home,
    shared_boxes::SharedBoxes,
};
use crate::{
    FrameId, GATEWAY, JobId, Micros, RequestId, TaskId,
    peer::Peer,
    store::{SlotId, Store},
    wire::{Envelope, FailureReason, LeaseGrant, LostObject, Reject, key_to_wire},
};
use tessera_plan::{dataflow::ObjectKey, region::Region};

impl Edge {
    pub(super) fn on_lease(
        &mut self,
        now_us: Micros,
        envelope: &Envelope,
        owner: Peer,
        lease: &LeaseGrant<'_>,
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let frame = FrameId {
            source: owner.id,
            incarnation: owner.incarnation,
            number: lease.number,
        };
        let stolen = HeldLease {
            owner,
            request: lease.request,
            lease_us: lease.lease_us.into(),
            revoked: false,
        };
        let waited = self.policy().waits() && lease.request <= self.search.request;
        if !self.search.asked(envelope, lease.request) {
            let known = self.reports.owed.contains_key(&lease.request)
                || (self.jobs.iter())
                    .any(|(_, j)| j.stolen.is_some_and(|s| s.request == lease.request));
            if known && waited {
                // The owner does not know that the lease has come.
                self.reports.renew_by(now_us);
            }
            if known || lease.request > self.search.request {
                return Err(Reject::Unexpected);
            }
            if !waited {
                // The lease came too late: this node has asked another victim since.
                self.decline(now_us, frame, lease.task, &stolen);
                return Ok(());
            }
        }
        if waited {
            // Tells the owner that the lease has come.
            self.reports.renew_by(now_us + self.config.retry_us[0] / 4);
            if !self.wants.got(now_us, owner, lease.request) {
                return Err(Reject::Unexpected);
            }
        } else {
            self.task_found(now_us, owner);
        }
        if !self.is_of_attempt(frame, lease.attempt, store) {
            self.decline(now_us, frame, lease.task, &stolen);
            return Ok(());
        }
        let has = |g: &ForeignFrame| g.outputs.contains_key(&lease.task) && !g.over;
        if self.foreign.get(frame).is_some_and(has) {
            // This node finished the task before; the owner does not know.
            self.report_done(now_us, frame, lease.task, &stolen);
            return Ok(());
        }
        let same = self
            .jobs
            .iter_mut()
            .find(|(_, j)| j.frame == frame && j.task == lease.task && j.stolen.is_some());
        if let Some((id, job)) = same {
            if !waited || job.stage != JobStage::Loading {
                job.stolen = Some(stolen);
                return Ok(());
            }
            // The inputs may come from elsewhere than the former lease said.
            self.give_up(id, store);
        }
        let over = self.foreign.get(frame).is_some_and(|g| g.over);
        let early = lease.needs.iter().any(|n| n & LeaseGrant::EARLY != 0);
        let waiting = self.jobs.len() - self.jobs.active();
        // Room for a task that can be computed is left.
        let full = early && waiting + 2 > self.config.jobs_max;
        if over || full || self.jobs.len() >= self.config.jobs_max {
            self.decline(now_us, frame, lease.task, &stolen);
            return Ok(());
        }
        self.begin_stolen(now_us, frame, lease, stolen, store);
        Ok(())
    }

    /// Drops what this node has of earlier attempts at a frame. Returns false while a worker still has a part of them, and for
    /// an attempt that is over.
    fn is_of_attempt(&mut self, frame: FrameId, attempt: u8, store: &mut impl Store) -> bool {
        let Some(known) = self.foreign.get(frame).filter(|g| !g.over) else {
            return true;
        };
        if attempt <= known.attempt {
            return attempt == known.attempt;
        }
        for (_, job) in self.jobs.iter_mut().filter(|(_, j)| j.frame == frame) {
            if let Some(s) = &mut job.stolen {
                s.revoked = true;
            }
        }
        self.reports.owed.retain(|_, r| r.frame != frame);
        self.give_up_frame(frame, store);
        let Some(foreign) = self.foreign.get_mut(frame) else {
            return true;
        };
        if foreign.jobs > 0 {
            return false;
        }
        foreign.attempt = attempt;
        foreign.shared = SharedBoxes::default();
        foreign.runs.clear();
        for slot in std::mem::take(&mut foreign.outputs).into_values().flatten() {
            self.slots.give(slot, store, &mut self.stats);
        }
        true
    }

    fn begin_stolen(
        &mut self,
        now_us: Micros,
        frame: FrameId,
        lease: &LeaseGrant<'_>,
        stolen: HeldLease,
        store: &mut impl Store,
    ) {
        let info = std::sync::Arc::clone(&self.info);
        let mut from = Vec::with_capacity(lease.needs.len());
        for (need, &holder) in info.tasks[lease.task.index()].needs.iter().zip(lease.needs) {
            let early = holder & LeaseGrant::EARLY != 0;
            let holder = Peer::from(&lease.holders[usize::from(holder & !LeaseGrant::EARLY)]);
            let foreign = self.foreign.get(frame).filter(|g| !g.over);
            from.push(match foreign.and_then(|g| g.find(&info, need.key)) {
                Some((slot, region)) => InputSource::Local(slot, region),
                None if early && holder.id == self.config.id => {
                    let Some((slot, region)) = self.coming_here(frame, need.key) else {
                        // The job that was to make it has failed.
                        self.decline(now_us, frame, lease.task, &stolen);
                        return;
                    };
                    InputSource::Coming(slot, region)
                }
                None if early && holder.who() == stolen.owner.who() => {
                    InputSource::Early(stolen.owner)
                }
                None if early => InputSource::Early(holder),
                None if holder.id == self.config.id => {
                    let lost = vec![lost_object(need.key, holder)];
                    self.report_failure(
                        now_us,
                        frame,
                        lease.task,
                        &stolen,
                        FailureReason::Lost,
                        lost,
                    );
                    return;
                }
                None if holder.id == GATEWAY => InputSource::Remote(Peer {
                    addr: self.config.gateway,
                    ..holder
                }),
                // The owner does not know its own address.
                None if holder.who() == stolen.owner.who() => InputSource::Remote(stolen.owner),
                None => InputSource::Remote(holder),
            });
        }
        let Some(_) = self.begin(frame, lease.task, Some(stolen), &from, store) else {
            let until_us = now_us + self.config.backoff_us[1];
            let early =
                |f: &InputSource| matches!(f, InputSource::Early(_) | InputSource::Coming(..));
            if self.policy().waits() && !from.iter().any(early) {
                // Several sources may have filled the same room: then there is memory again when a task ends.
                let why = if self.jobs.is_empty() {
                    FailureReason::Full
                } else {
                    FailureReason::Declined
                };
                self.decline_as(why, now_us, frame, lease.task, &stolen);
                self.wants.rest(until_us);
            } else {
                self.decline(now_us, frame, lease.task, &stolen);
                self.wants.rest_early(until_us);
            }
            self.no_room(now_us);
            return;
        };
        let foreign = self.foreign.entry(frame, self.link.seq());
        foreign.jobs += 1;
        foreign.attempt = lease.attempt;
        self.stats.steals_taken += 1;
        let renew = now_us + (stolen.lease_us / 4).max(1);
        self.reports.renew_by(renew);
    }

    /// The slot of an object that a job of this node is making, and the object's box.
    fn coming_here(&self, frame: FrameId, key: ObjectKey) -> Option<(SlotId, Region)> {
        let (_, _, slot) = self.jobs.making_object(&self.info, frame, key)?;
        Some((slot, self.info.region(key)?))
    }

    pub(super) fn decline(
        &mut self,
        now_us: Micros,
        frame: FrameId,
        task: TaskId,
        stolen: &HeldLease,
    ) {
        self.decline_as(FailureReason::Declined, now_us, frame, task, stolen);
    }

    fn decline_as(
        &mut self,
        why: FailureReason,
        now_us: Micros,
        frame: FrameId,
        task: TaskId,
        stolen: &HeldLease,
    ) {
        self.stats.steals_declined += 1;
        self.report_failure(now_us, frame, task, stolen, why, Vec::new());
    }

    /// Reports a stolen task that a worker has finished.
    pub(super) fn stolen_done(&mut self, now_us: Micros, job: &PendingJob, stolen: &HeldLease) {
        self.stats.tasks_stolen += 1;
        let kept = |g: &ForeignFrame| !g.over && g.outputs.contains_key(&job.task);
        if self.foreign.get(job.frame).is_some_and(kept) {
            self.report_done(now_us, job.frame, job.task, stolen);
        }
    }

    /// Reports a stolen task whose worker died or refused the task.
    pub(super) fn stolen_failed(&mut self, now_us: Micros, job: &PendingJob, stolen: &HeldLease) {
        self.report_failure(
            now_us,
            job.frame,
            job.task,
            stolen,
            FailureReason::Worker,
            Vec::new(),
        );
    }

    /// Gives up a stolen task because `holder` could not deliver an input.
    pub(super) fn stolen_starved(
        &mut self,
        now_us: Micros,
        (frame, task): (FrameId, TaskId),
        stolen: &HeldLease,
        key: ObjectKey,
        holder: Peer,
    ) {
        let lost = vec![lost_object(key, holder)];
        self.report_failure(now_us, frame, task, stolen, FailureReason::Lost, lost);
    }

    /// Ends a stolen task's job: keeps the outputs if they are `good`, the owner wants them and
    /// they are not here yet. Returns the tasks whose outputs were kept.
    pub(super) fn keep_stolen(&mut self, id: JobId, job: &PendingJob, good: bool) -> Vec<TaskId> {
        let wanted = job.stolen.is_some_and(|s| !s.revoked);
        let foreign = self.foreign.entry(job.frame, self.link.seq());
        foreign.jobs -= 1;
        let mut kept = Vec::new();
        for (task, slots) in outputs_by_task(&self.info, job) {
            if good && wanted && !foreign.over && !foreign.outputs.contains_key(&task) {
                foreign.outputs.insert(task, slots);
                foreign.runs.insert(task, id.run());
                kept.push(task);
            }
        }
        kept
    }

    pub(super) fn revoke(&mut self, request: RequestId, store: &mut impl Store) {
        let about = |j: &PendingJob| j.stolen.is_some_and(|s| s.request == request);
        let mut revoked = None;
        let info = &self.info;
        for (id, job) in self.jobs.iter_mut().filter(|(_, j)| about(j)) {
            if job.stage == JobStage::Running && has_no_home(info, job.task) {
                // It may still end before the copy that another board has begun since.
                continue;
            }
            if let Some(s) = &mut job.stolen {
                s.revoked = true;
            }
            revoked = Some(id);
        }
        if let Some(id) = revoked {
            self.give_up_unwanted(id, store);
        }
    }

    /// Notes that another node's frame has ended.
    pub(super) fn foreign_frame_over(&mut self, frame: FrameId, store: &mut impl Store) {
        if let Some(foreign) = self.foreign.get_mut(frame) {
            foreign.over = true;
        }
        self.reports.owed.retain(|_, r| r.frame != frame);
        self.give_up_frame(frame, store);
        self.release_foreign_frame(frame, store);
    }

    pub(super) fn release_foreign_frame(&mut self, frame: FrameId, store: &mut impl Store) {
        for slot in self.foreign.sweep(frame) {
            self.slots.give(slot, store, &mut self.stats);
            self.dirty = true;
        }
    }
}

fn lost_object(key: ObjectKey, holder: Peer) -> LostObject {
    let (task, output) = key_to_wire(key);
    LostObject {
        task: task.into(),
        output: output.into(),
        holder: holder.id.into(),
        incarnation: holder.incarnation.into(),
    }
}
