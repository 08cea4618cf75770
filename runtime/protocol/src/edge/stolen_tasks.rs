//! Stolen tasks: other nodes' tasks that this node has leased. This node is the thief.
//!
//! A lease (`on_lease`) becomes a job ([`super::jobs`]), is given back, or is answered at once
//! from what lies here. The job ends in `stolen_done`, `stolen_failed` or, when its inputs cannot
//! be had, `stolen_starved`; [`super::reports`] tells the owner.

use super::{
    Edge,
    guests::Guest,
    job::{From, Stage, Stolen, Under},
};
use crate::{
    FrameId, Now,
    peer::Peer,
    store::Store,
    wire::{Envelope, Lease, LostPart, Reject, Why, part_to_wire},
};
use tessera_plan::dataflow::Part;

impl Edge {
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
        if !self.search.asked(envelope, lease.ask) {
            let known = self.reports.owed.contains_key(&lease.ask)
                || (self.jobs.iter()).any(|(_, j)| j.stolen.is_some_and(|s| s.ask == lease.ask));
            if known || lease.ask > self.search.ask {
                return Err(Reject::Unexpected);
            }
            // It came too late: this node has asked somebody else since.
            self.decline(now, frame, lease.task, &stolen);
            return Ok(());
        }
        self.task_found(now, owner);
        let has = |g: &Guest| g.outputs.contains_key(&lease.task) && !g.over;
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
            self.decline(now, frame, lease.task, &stolen);
            self.no_room(now);
            return;
        };
        self.guests.entry(frame).jobs += 1;
        self.stats.steals_taken += 1;
        let renew = now + (stolen.lease_us / 4).max(1);
        self.reports.renew_by(renew);
    }

    fn decline(&mut self, now: Now, frame: FrameId, task: u32, stolen: &Stolen) {
        self.stats.steals_declined += 1;
        self.report_failure(now, frame, task, stolen, Why::Declined, Vec::new());
    }

    /// A worker has finished a stolen task.
    pub(super) fn stolen_done(&mut self, now: Now, job: &Under, stolen: &Stolen) {
        self.stats.tasks_stolen += 1;
        let kept = |g: &Guest| !g.over && g.outputs.contains_key(&job.task);
        if self.guests.get(job.frame).is_some_and(kept) {
            self.report_done(now, job.frame, job.task, stolen);
        }
    }

    /// A worker did not survive a stolen task, or refused it.
    pub(super) fn stolen_failed(&mut self, now: Now, job: &Under, stolen: &Stolen) {
        self.report_failure(now, job.frame, job.task, stolen, Why::Worker, Vec::new());
    }

    /// An input of a stolen task could not be had from `holder`.
    pub(super) fn stolen_starved(
        &mut self,
        now: Now,
        (frame, task): (FrameId, u32),
        stolen: &Stolen,
        part: Part,
        holder: Peer,
    ) {
        let lost = vec![lost_part(part, holder)];
        self.report_failure(now, frame, task, stolen, Why::Lost, lost);
    }

    /// A stolen task's job is over: keeps its outputs if they are `good`, its owner wants them and
    /// they are not here yet. Says whether they were kept.
    pub(super) fn keep_stolen(&mut self, job: &Under, good: bool) -> bool {
        let wanted = job.stolen.is_some_and(|s| !s.void);
        let guest = self.guests.entry(job.frame);
        guest.jobs -= 1;
        let keep = good && wanted && !guest.over && !guest.outputs.contains_key(&job.task);
        if keep {
            guest.outputs.insert(job.task, job.outputs.clone());
        }
        keep
    }

    pub(super) fn void(&mut self, ask: u32, store: &mut impl Store) {
        let about = |j: &Under| j.stolen.is_some_and(|s| s.ask == ask);
        let mut loading = None;
        for (id, job) in self.jobs.iter_mut().filter(|(_, j)| about(j)) {
            if let Some(s) = &mut job.stolen {
                s.void = true;
            }
            loading = (job.stage != Stage::Running).then_some(id);
        }
        if let Some(id) = loading {
            self.give_up(id, store);
        }
    }

    /// Another node's frame has ended.
    pub(super) fn guest_over(&mut self, frame: FrameId, store: &mut impl Store) {
        if let Some(guest) = self.guests.get_mut(frame) {
            guest.over = true;
        }
        self.reports.owed.retain(|_, r| r.frame != frame);
        self.give_up_frame(frame, store);
        self.sweep_guest(frame, store);
    }

    pub(super) fn sweep_guest(&mut self, frame: FrameId, store: &mut impl Store) {
        for slot in self.guests.sweep(frame) {
            self.slots.give(slot, store, &mut self.stats);
            self.stirred = true;
        }
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
