//! Tasks on their way to a worker and back: inputs pulled, run, outputs kept or given up.
//!
//! A job takes all slots that it needs when it begins, or does not begin: nobody waits for a slot
//! while holding others. Its slots are free again when it is over; one that a worker has cannot be
//! taken away from it, so a frame that ends meanwhile keeps its slots until the worker is through.

use std::collections::BTreeMap;

use super::{
    Edge,
    job::{From, Piece, Stage, Stolen, Tag, Under},
    slots::Use,
    tasks::{Life, Task},
};
use crate::{
    FrameId, Job, JobId, Now, ObjectId,
    pull::{Fault, Place},
    store::Store,
    wire::{LostPart, Why, part_to_wire},
};
use tessera_plan::dataflow::Need;

impl Edge {
    /// The next job for a worker.
    pub(super) fn next_run(&mut self) -> Option<Job> {
        let info = &self.info;
        let mut all = self.jobs.iter_mut();
        let (id, job) = all.find(|(_, j)| j.stage == Stage::Loaded)?;
        job.stage = Stage::Running;
        Some(job.to_job(id, info))
    }

    /// Begins tasks of own frames while there is room for jobs.
    pub(super) fn start_own_jobs(&mut self, now: Now, store: &mut impl Store) {
        self.next_backup = None;
        while self.jobs.len() < self.config.max_jobs {
            let picked = self.pick_own();
            let Some((number, task)) = picked.or_else(|| self.pick_backup(now)) else {
                return;
            };
            if !self.start_own(number, task, store) {
                return;
            }
            self.stats.backups += u64::from(picked.is_none());
        }
    }

    fn pick_own(&self) -> Option<(u32, u32)> {
        (self.frames.lives())
            .filter(|(_, f)| !f.failed)
            .find_map(|(n, f)| {
                let here = |t| f.outputs.contains_key(&t);
                f.tasks.pick_own(&self.info, here).map(|t| (n, t))
            })
    }

    /// A task that has been out for long, when a worker has nothing else to do.
    fn pick_backup(&mut self, now: Now) -> Option<(u32, u32)> {
        if self.jobs.len() >= self.config.workers.max(1) {
            return None;
        }
        let after = self.config.backup_after;
        let out = (self.frames.lives())
            .filter(|(_, f)| !f.failed)
            .flat_map(|(n, f)| {
                // An input may have been lost since the task was given away.
                let runnable = |t: &Task| t.job.is_none() && !t.done() && t.missing == 0;
                let out = f.tasks.iter().filter(move |(_, t)| runnable(t));
                out.filter_map(move |(k, t)| {
                    let at = t.lease?.since.checked_add(after)?;
                    Some((at, n, k))
                })
            });
        let (at, number, task) = out.min()?;
        if at > now {
            self.next_backup = Some(at);
            return None;
        }
        Some((number, task))
    }

    fn start_own(&mut self, number: u32, task: u32, store: &mut impl Store) -> bool {
        let info = std::sync::Arc::clone(&self.info);
        let Some(frame) = self.frames.live(number) else {
            return false;
        };
        let me: Life = (self.config.id, self.config.epoch);
        let mut from = Vec::with_capacity(info.tasks[task as usize].needs.len());
        for need in &info.tasks[task as usize].needs {
            let there = |maker: u32| {
                let holders = &frame.tasks.get(maker).holders;
                let peers = holders.iter().filter(|h| **h != me);
                let known = peers.filter_map(|h| {
                    let known = self.peers.get(h.0)?;
                    (known.peer.epoch == h.1).then_some(known.peer)
                });
                known.max_by_key(|p| self.peers.get(p.id).map(|k| k.heard))
            };
            let found = match frame.find(&info, need.part) {
                Some((slot, region)) => Some(From::Here(slot, region)),
                None => need.part.task().and_then(there).map(From::There),
            };
            match found {
                Some(f) => from.push(f),
                None => {
                    // A holder that this node forgot is none.
                    if let Some(maker) = need.part.task() {
                        self.unmake_unreachable(number, maker);
                    }
                    return true;
                }
            }
        }
        let frame_id = self.frame_id(number);
        let Some(id) = self.begin(frame_id, task, None, &from, store) else {
            return false;
        };
        if let Some(frame) = self.frames.live_mut(number) {
            frame.jobs += 1;
            let t = frame.tasks.get_mut(task);
            if t.returned > 0 && t.lease.is_none() {
                self.stats.tasks_reissued += 1;
            }
            t.job = Some(id);
            frame.tasks.refresh(task);
        }
        true
    }

    fn unmake_unreachable(&mut self, number: u32, maker: u32) {
        let info = std::sync::Arc::clone(&self.info);
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        for holder in frame.tasks.get(maker).holders.clone() {
            if frame.tasks.lost(&info, maker, holder, false) {
                self.stats.tasks_unmade += 1;
            }
        }
        frame.fresh = true;
    }

    /// Begins a job; `None` when there are not enough slots.
    pub(super) fn begin(
        &mut self,
        frame: FrameId,
        task: u32,
        stolen: Option<Stolen>,
        from: &[From],
        store: &mut impl Store,
    ) -> Option<JobId> {
        let info = std::sync::Arc::clone(&self.info);
        let spec = &info.tasks[task as usize];
        let who = if stolen.is_some() {
            Use::Guest
        } else {
            Use::Own
        };
        let copies = spec.needs.iter().zip(from);
        let copies = copies.filter(|(_, f)| matches!(f, From::There(_)));
        let sizes: Vec<usize> = (spec.outputs.iter().map(|p| info.port_bytes(p)))
            .chain(copies.map(|(n, _)| info.need_bytes(n)))
            .collect();
        let mut slots = Vec::with_capacity(sizes.len());
        for bytes in sizes {
            match self.slots.take(bytes, who, store, &mut self.stats) {
                Some(slot) => slots.push(slot),
                None => {
                    for slot in slots {
                        self.slots.give(slot, store, &mut self.stats);
                    }
                    return None;
                }
            }
        }
        let mut copies = slots.split_off(spec.outputs.len()).into_iter();
        let id = self.jobs.next_id();
        let (mut pieces, mut pulls) = (Vec::new(), BTreeMap::new());
        for (k, (need, from)) in spec.needs.iter().zip(from).enumerate() {
            let Need {
                input,
                part,
                region,
            } = *need;
            pieces.push(match *from {
                From::Here(slot, region) => Piece {
                    input,
                    slot,
                    region,
                    copy: false,
                },
                From::There(peer) => {
                    let slot = copies.next()?;
                    let object = ObjectId { frame, part };
                    let tag = Tag { job: id, need: k };
                    let element = info.element(part).unwrap_or_default();
                    let place = Place {
                        slot,
                        region,
                        element,
                    };
                    let transfer = &mut self.stats.transfer;
                    let pull = (self.receiver).start(tag, peer, object, region, place, transfer);
                    pulls.insert(k, (pull, peer));
                    Piece {
                        input,
                        slot,
                        region,
                        copy: true,
                    }
                }
            });
        }
        let stage = if pulls.is_empty() {
            Stage::Loaded
        } else {
            Stage::Loading
        };
        let job = Under {
            frame,
            task,
            stolen,
            stage,
            pieces,
            pulls,
            outputs: slots,
        };
        self.jobs.insert(id, job);
        Some(id)
    }

    pub(super) fn pull_ended(
        &mut self,
        now: Now,
        tag: Tag,
        how: Result<(), Fault>,
        store: &mut impl Store,
    ) {
        let Some(job) = self.jobs.get_mut(tag.job) else {
            return;
        };
        let Some((_, holder)) = job.pulls.remove(&tag.need) else {
            return;
        };
        if how.is_ok() {
            if job.pulls.is_empty() {
                job.stage = Stage::Loaded;
            }
            return;
        }
        self.stats.jobs_starved += 1;
        let part = self.info.tasks[job.task as usize].needs[tag.need].part;
        let (frame, stolen, task) = (job.frame, job.stolen, job.task);
        self.give_up(tag.job, store);
        if let Some(stolen) = stolen {
            let (task_of_part, output) = part_to_wire(part);
            let lost = LostPart {
                task: task_of_part.into(),
                output: output.into(),
                holder: holder.id.0.into(),
                epoch: holder.epoch.0.into(),
            };
            self.report_failure(now, frame, task, &stolen, Why::Lost, vec![lost]);
        } else if let Some(maker) = part.task() {
            self.holder_lost(frame.number, maker, (holder.id, holder.epoch), true);
        }
    }

    /// Ends a job that no worker has yet, without a result.
    pub(super) fn give_up(&mut self, id: JobId, store: &mut impl Store) {
        if let Some(job) = self.jobs.remove(id) {
            self.put_away(id, job, false, store);
        }
    }

    /// Gives back what a job used; keeps its outputs if they are `good` and somebody may want them.
    /// Says whether they were kept.
    fn put_away(&mut self, id: JobId, job: Under, good: bool, store: &mut impl Store) -> bool {
        for &(pull, _) in job.pulls.values() {
            self.receiver.cancel(pull);
        }
        for p in job.pieces.iter().filter(|p| p.copy) {
            self.slots.give(p.slot, store, &mut self.stats);
        }
        self.stirred = true;
        let kept = if let Some(number) = self.own(job.frame) {
            let frame = self.frames.get_mut(number);
            frame.is_some_and(|f| {
                f.jobs -= 1;
                let t = f.tasks.get_mut(job.task);
                if t.job == Some(id) {
                    t.job = None;
                }
                f.tasks.refresh(job.task);
                let keep = good && f.over.is_none() && !f.outputs.contains_key(&job.task);
                if keep {
                    f.outputs.insert(job.task, job.outputs.clone());
                }
                keep
            })
        } else {
            let wanted = job.stolen.is_some_and(|s| !s.void);
            let guest = self.guests.entry(job.frame);
            guest.jobs -= 1;
            let keep = good && wanted && !guest.over && !guest.outputs.contains_key(&job.task);
            if keep {
                guest.outputs.insert(job.task, job.outputs.clone());
            }
            keep
        };
        if !kept {
            for slot in job.outputs {
                self.slots.give(slot, store, &mut self.stats);
            }
        }
        match self.own(job.frame) {
            Some(number) => self.sweep_frame(number, store),
            None => self.sweep_guest(job.frame, store),
        }
        kept
    }

    pub(super) fn sweep_guest(&mut self, frame: FrameId, store: &mut impl Store) {
        for slot in self.guests.sweep(frame) {
            self.slots.give(slot, store, &mut self.stats);
            self.stirred = true;
        }
    }

    /// Gives back a frame's slots when it is over and nothing uses them.
    pub(super) fn sweep_frame(&mut self, number: u32, store: &mut impl Store) {
        let quiet = (self.frames.get_mut(number)).is_some_and(|f| f.over.is_some() && f.jobs == 0);
        if !quiet {
            return;
        }
        let Some(frame) = self.frames.remove(number) else {
            return;
        };
        let outputs = frame.outputs.into_values().flatten();
        for slot in outputs.chain([frame.slot]) {
            self.slots.give(slot, store, &mut self.stats);
        }
        self.stirred = true;
    }

    pub(super) fn job_done(&mut self, now: Now, id: JobId, store: &mut impl Store) {
        let Some(job) = self.take_running(id) else {
            return;
        };
        let (frame, task, stolen) = (job.frame, job.task, job.stolen);
        self.put_away(id, job, true, store);
        if let Some(stolen) = stolen {
            self.stats.tasks_stolen += 1;
            let here = self.guests.get(frame);
            if here.is_some_and(|g| !g.over && g.outputs.contains_key(&task)) {
                self.report_done(now, frame, task, &stolen);
            }
        } else {
            self.stats.tasks_own += 1;
            self.made(frame.number, task, (self.config.id, self.config.epoch));
        }
    }

    pub(super) fn job_failed(&mut self, now: Now, id: JobId, store: &mut impl Store) {
        let Some(job) = self.take_running(id) else {
            return;
        };
        self.stats.jobs_failed += 1;
        let (frame, task, stolen) = (job.frame, job.task, job.stolen);
        self.put_away(id, job, false, store);
        match stolen {
            Some(stolen) => self.report_failure(now, frame, task, &stolen, Why::Worker, Vec::new()),
            None => self.attempt_failed(frame.number, task),
        }
    }

    fn take_running(&mut self, id: JobId) -> Option<Under> {
        let runs = self.jobs.get_mut(id)?.stage == Stage::Running;
        runs.then(|| self.jobs.remove(id))?
    }

    /// Ends the jobs of a frame that no worker has yet.
    pub(super) fn give_up_frame(&mut self, frame: FrameId, store: &mut impl Store) {
        let ids: Vec<JobId> = (self.jobs.iter())
            .filter(|(_, j)| j.frame == frame && j.stage != Stage::Running)
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.give_up(id, store);
        }
    }
}
