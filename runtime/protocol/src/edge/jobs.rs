//! Tasks on their way to a worker and back: inputs pulled, run, outputs kept or given up.
//!
//! A job takes all needed slots when it begins, or does not begin: no job waits for a slot
//! while holding others. The job's slots are free again when the job is over. A worker keeps a job until
//! the end, so a frame that ends meanwhile keeps its slots until the worker is through.
//!
//! An idle worker gets a job as soon as the first row of everything that is fetched is here, and reads rows as they
//! arrive. When they will not arrive, the job is *abandoned*: the worker hurries through, and what it made is thrown away.
//! The object then comes from its next holder, from the first row on, with the job that takes this one's place.

use std::collections::BTreeMap;

use super::{
    Edge, Event,
    pending_job::{
        Abandoned, Fetch, FetchState, HeldLease, InputPiece, InputPull, InputSource, JobStage,
        PendingJob,
    },
    placement::anywhere::has_no_home,
    slots::SlotUse,
};
use crate::{
    FrameId, GATEWAY, Job, JobId, Micros, ObjectId, ProgramInfo, TaskId,
    peer::Peer,
    pull::PullError,
    stats::count_fetched,
    store::{SlotId, Store},
};
use tessera_plan::dataflow::{Need, ObjectKey};

impl Edge {
    /// The next job for a worker: one whose inputs are here, or, for an idle worker, one whose inputs are arriving.
    pub(super) fn next_run(&mut self) -> Option<Job> {
        let info = &self.info;
        let of = |stage| move |(_, j): &(JobId, &PendingJob)| j.stage == stage;
        // A whole frame that waits for a worker may still be taken back.
        let one_each = |task| has_no_home(info, task);
        // Where a board computes for several sources, a frame of one may wait for a board that stands still: it holds up no others.
        let in_order = self.wants.sources() + usize::from(self.frames.len() > 0) < 2;
        let workers = self.config.workers.max(1);
        let loaded = self.jobs.next_loaded(workers, in_order, one_each);
        let id = loaded.or_else(|| {
            let running = self.jobs.iter().filter(of(JobStage::Running)).count();
            let idle = running < self.config.workers;
            // A whole frame that is begun could not be taken back, while its rows wait behind others' on the channel.
            let begins = |(_, j): &(JobId, &PendingJob)| j.may_begin() && !one_each(j.task);
            let next = idle.then(|| self.next_loaded().filter(begins))?;
            next.map(|(id, _)| id)
        })?;
        if self.serve.waits() {
            // Others may wait for what this one will make.
            let now_us = self.clock.unwrap_or(0);
            self.next_made_us.get_or_insert(now_us + Self::MADE_US);
        }
        let job = self.jobs.get_mut(id)?;
        job.stage = JobStage::Running;
        let run = job.to_job(id, &self.info);
        self.rank_fetches();
        Some(run)
    }

    /// Tells the receiver which boxes cores wait for: those of jobs that read rows as they arrive, and of as many others as
    /// workers are idle, the first first. The rest is fetched ahead.
    pub(super) fn rank_fetches(&mut self) {
        let running = self
            .jobs
            .iter()
            .filter(|(_, j)| j.stage == JobStage::Running);
        let mut idle = self.config.workers.saturating_sub(running.count());
        for (_, job) in self.jobs.iter() {
            let ahead = job.stage == JobStage::Loading && idle == 0;
            let takes_worker = match job.stage {
                JobStage::Running => false,
                JobStage::Loaded => true,
                // What is not made yet keeps no worker from the next job.
                JobStage::Loading => job.early_needs.is_empty() && job.awaits.is_empty(),
            };
            idle -= usize::from(takes_worker && idle > 0);
            for fetch in job.fetches.values() {
                if let FetchState::UnderWay(parts) = &fetch.state {
                    let pulls = parts.iter().map(|p| p.pull);
                    pulls.for_each(|p| self.receiver.set_ahead(p, ahead));
                }
            }
        }
    }

    /// The job that will be loaded next: a worker that waited for rows of another would keep this one waiting. Jobs
    /// that wait for objects that are not made do not count.
    fn next_loaded(&self) -> Option<(JobId, &PendingJob)> {
        let asks = |j: &PendingJob| {
            let begun = |k: &usize| !j.early_needs.contains(k) || j.has_rows(*k);
            j.stage == JobStage::Loading && j.awaits.is_empty() && j.fetches.keys().all(begun)
        };
        let loading = self.jobs.iter().filter(|(_, j)| asks(j));
        loading.min_by_key(|(_, j)| j.missing_bytes(&self.info))
    }

    /// Notes that rows of a part of a need are here.
    pub(super) fn rows_came(&mut self, tag: InputPull, rows: usize) {
        let fetch = (self.jobs.get_mut(tag.job)).and_then(|j| j.fetches.get_mut(&tag.need));
        let Some(FetchState::UnderWay(parts)) = fetch.map(|f| &mut f.state) else {
            return;
        };
        if let Some(part) = parts.iter_mut().find(|p| p.region == tag.part) {
            part.rows = part.rows.max(rows);
        }
        self.tell_rows(tag.job, tag.need);
    }

    /// Tells the worker of a job that more rows of a need are here.
    fn tell_rows(&mut self, id: JobId, need: usize) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let more = job.more_rows(need);
        let reads = job.stage == JobStage::Running && job.abandoned.is_none();
        if let Some((slot, rows)) = more.filter(|_| reads) {
            self.events.push_back(Event::Arrived {
                job: id,
                slot,
                rows,
            });
        }
    }

    /// Takes the inputs that are on their way from a job that a worker has: its outcome will not count.
    fn abandon(&mut self, id: JobId, why: Abandoned, store: &mut impl Store) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        if job.stage != JobStage::Running || job.fetches.is_empty() {
            return;
        }
        job.abandoned = Some(why);
        let frame = job.frame;
        let given_up = self.cancel_fetches(id);
        self.events.push_back(Event::Abandon(id));
        for key in given_up {
            self.start_waiting(frame, key, store);
        }
    }

    /// Ends a job's transfers. Returns the objects that were under way.
    fn cancel_fetches(&mut self, id: JobId) -> Vec<ObjectKey> {
        let Some(job) = self.jobs.get_mut(id) else {
            return Vec::new();
        };
        let needs = &self.info.tasks[job.task.index()].needs;
        let mut given_up = Vec::new();
        for (k, fetch) in std::mem::take(&mut job.fetches) {
            if let FetchState::UnderWay(parts) = &fetch.state {
                parts.iter().for_each(|p| self.receiver.cancel(p.pull));
                given_up.push(needs[k].key);
            }
        }
        given_up
    }

    /// Begins a job; `None` when there are not enough slots.
    pub(super) fn begin(
        &mut self,
        frame: FrameId,
        task: TaskId,
        stolen: Option<HeldLease>,
        from: &[InputSource],
        store: &mut impl Store,
    ) -> Option<JobId> {
        let info = std::sync::Arc::clone(&self.info);
        let spec = &info.tasks[task.index()];
        let who = if stolen.is_some() {
            SlotUse::Foreign
        } else {
            SlotUse::Own
        };
        let copies = spec.needs.iter().zip(from);
        let copies =
            copies.filter(|(_, f)| matches!(f, InputSource::Remote(_) | InputSource::Early(_)));
        let made: Vec<usize> = info.made(task).map(|(_, p)| info.port_bytes(&p)).collect();
        let sizes: Vec<usize> = (made.iter().copied())
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
        let mut copies = slots.split_off(made.len()).into_iter();
        let id = self.jobs.next_id();
        let (mut pieces, mut fetches) = (Vec::new(), BTreeMap::new());
        let mut awaits = BTreeMap::new();
        let early = |f: &InputSource| matches!(f, InputSource::Early(_) | InputSource::Coming(..));
        let early_needs = (0..from.len()).filter(|k| early(&from[*k])).collect();
        for (k, (need, from)) in spec.needs.iter().zip(from).enumerate() {
            let Need { input, key, region } = *need;
            pieces.push(match *from {
                InputSource::Local(slot, region) => InputPiece {
                    input,
                    slot,
                    region,
                    copy: false,
                    rows: 0,
                },
                InputSource::Coming(slot, region) => {
                    awaits.insert(k, key.task()?);
                    InputPiece {
                        input,
                        slot,
                        region,
                        copy: false,
                        rows: 0,
                    }
                }
                InputSource::Remote(peer) | InputSource::Early(peer) => {
                    let slot = copies.next()?;
                    let fetch = Fetch {
                        holder: peer,
                        state: FetchState::Waits,
                    };
                    fetches.insert(k, fetch);
                    InputPiece {
                        input,
                        slot,
                        region,
                        copy: true,
                        rows: 0,
                    }
                }
            });
        }
        let stage = if fetches.is_empty() && awaits.is_empty() {
            JobStage::Loaded
        } else {
            JobStage::Loading
        };
        let fetched: Vec<usize> = fetches.keys().copied().collect();
        let job = PendingJob {
            frame,
            task,
            stolen,
            stage,
            pieces,
            awaits,
            early_needs,
            fetches,
            outputs: slots,
            abandoned: None,
        };
        self.jobs.insert(id, job);
        for k in fetched {
            self.start_fetch(id, k, store);
        }
        self.rank_fetches();
        Some(id)
    }

    pub(super) fn pull_ended(
        &mut self,
        now_us: Micros,
        tag: InputPull,
        how: Result<(), PullError>,
        store: &mut impl Store,
    ) {
        let Some(job) = self.jobs.get_mut(tag.job) else {
            return;
        };
        let Some(fetch) = job.fetches.get_mut(&tag.need) else {
            return;
        };
        let FetchState::UnderWay(parts) = &mut fetch.state else {
            return;
        };
        let (holder, frame) = (fetch.holder, job.frame);
        let need = self.info.tasks[job.task.index()].needs[tag.need];
        if how.is_ok() {
            parts.retain(|p| p.region != tag.part);
            let complete = parts.is_empty();
            let part = Need {
                region: tag.part,
                ..need
            };
            count_fetched(&mut self.stats.fetched_bytes, &self.info, &part);
            if complete {
                job.fetches.remove(&tag.need);
                job.loaded_if_complete();
            }
            self.tell_rows(tag.job, tag.need);
            if complete {
                self.keep_for_others(tag.job, tag.need, store);
                self.start_waiting(frame, need.key, store);
            }
            return;
        }
        // Others wait for the same node in vain.
        let same = |(k, f): (&usize, &Fetch), needs: &[Need]| {
            let waits = f.state == FetchState::Waits && f.holder.who() == holder.who();
            waits && needs[*k].key == need.key
        };
        let mut starved = vec![(tag.job, tag.need)];
        for (id, job) in self.jobs.iter().filter(|(_, j)| j.frame == frame) {
            let needs = &self.info.tasks[job.task.index()].needs;
            let waiting = job.fetches.iter().find(|f| same(*f, needs));
            starved.extend(waiting.map(|(k, _)| (id, *k)));
        }
        for (id, k) in starved {
            self.starve(now_us, id, k, holder, store);
        }
    }

    /// Gives up a job because `holder` could not deliver a need.
    fn starve(
        &mut self,
        now_us: Micros,
        id: JobId,
        need: usize,
        holder: Peer,
        store: &mut impl Store,
    ) {
        let Some(job) = self.jobs.get(id) else { return };
        self.stats.jobs_starved += 1;
        let key = self.info.tasks[job.task.index()].needs[need].key;
        // An early need's holder never said that it had the object.
        let promised = job.stolen.is_none() && !job.early_needs.contains(&need);
        let (number, lost) = (job.frame.number, key.task().filter(|_| promised));
        if job.stage == JobStage::Running {
            self.abandon(id, Abandoned::Starved { need, holder }, store);
        } else if let Some(job) = self.jobs.remove(id) {
            self.close_job(id, &job, false, store);
            self.lease_starved(now_us, &job, need, holder);
        }
        if let Some(maker) = lost {
            self.holder_lost(number, maker, holder.who(), true);
        } else if promised && holder.id == GATEWAY {
            self.relay_lost(number, None);
        }
    }

    /// Gives back the lease of a closed job that could not get a need.
    fn lease_starved(&mut self, now_us: Micros, job: &PendingJob, need: usize, holder: Peer) {
        let key = self.info.tasks[job.task.index()].needs[need].key;
        let (frame, task) = (job.frame, job.task);
        match &job.stolen {
            Some(stolen) if job.early_needs.contains(&need) => {
                self.decline(now_us, frame, task, stolen);
            }
            Some(stolen) => self.stolen_starved(now_us, (frame, task), stolen, key, holder),
            None => {}
        }
    }

    /// Ends an abandoned job, whose worker is through.
    fn end_abandoned(
        &mut self,
        now_us: Micros,
        id: JobId,
        job: &PendingJob,
        why: Abandoned,
        store: &mut impl Store,
    ) {
        let over = self.foreign.get(job.frame).is_some_and(|g| g.over);
        self.close_job(id, job, false, store);
        let Some(stolen) = job.stolen.filter(|s| !s.revoked && !over) else {
            return;
        };
        match why {
            Abandoned::Starved { need, holder } => self.lease_starved(now_us, job, need, holder),
            // Leased once more after it was given up.
            Abandoned::Unwanted => self.decline(now_us, job.frame, job.task, &stolen),
        }
    }

    /// Ends a job that no worker has yet, without a result.
    pub(super) fn give_up(&mut self, id: JobId, store: &mut impl Store) {
        if let Some(job) = self.jobs.remove(id) {
            self.close_job(id, &job, false, store);
        }
    }

    /// Returns a job's slots; keeps the outputs if they are `good` and some node may want them.
    fn close_job(&mut self, id: JobId, job: &PendingJob, good: bool, store: &mut impl Store) {
        let mut given_up = Vec::new();
        for (k, fetch) in &job.fetches {
            if let FetchState::UnderWay(parts) = &fetch.state {
                parts.iter().for_each(|p| self.receiver.cancel(p.pull));
                given_up.push(self.info.tasks[job.task.index()].needs[*k].key);
            }
        }
        for p in job.pieces.iter().filter(|p| p.copy) {
            self.slots.give(p.slot, store, &mut self.stats);
        }
        self.dirty = true;
        let own = self.own(job.frame);
        let kept = match own {
            Some(_) => self.keep_own(id, job, good),
            None => self.keep_stolen(id, job, good),
        };
        for (task, slots) in outputs_by_task(&self.info, job) {
            if kept.contains(&task) {
                continue;
            }
            for slot in slots {
                self.slots.give(slot, store, &mut self.stats);
            }
        }
        if let Some(boxes) = self.boxes_of_mut(job.frame) {
            kept.iter().for_each(|task| boxes.over(*task));
        }
        for key in given_up {
            self.start_waiting(job.frame, key, store);
        }
        self.serve_made(store);
        let info = std::sync::Arc::clone(&self.info);
        for task in [job.task].iter().chain(&info.tasks[job.task.index()].gives) {
            self.made_here(job.frame, *task, store);
        }
        match own {
            Some(number) => self.release_own_frame(number, store),
            None => self.release_foreign_frame(job.frame, store),
        }
        self.rank_fetches();
    }

    /// Continues jobs of this node that wait for a task's outputs; gives up those that wait in vain.
    fn made_here(&mut self, frame: FrameId, task: TaskId, store: &mut impl Store) {
        let waits = |j: &PendingJob| j.frame == frame && j.awaits.values().any(|t| *t == task);
        let waiting: Vec<JobId> = (self.jobs.iter())
            .filter(|(_, j)| waits(j))
            .map(|(id, _)| id)
            .collect();
        let info = std::sync::Arc::clone(&self.info);
        for id in waiting {
            let Some(job) = self.jobs.get_mut(id) else {
                continue;
            };
            let needs = &info.tasks[job.task.index()].needs;
            let mut in_vain = false;
            let of_task: Vec<usize> = (job.awaits.iter())
                .filter(|(_, t)| **t == task)
                .map(|(k, _)| *k)
                .collect();
            for k in of_task {
                let key = needs[k].key;
                let object = ObjectId { frame, key };
                let own = (frame.source == self.config.id
                    && frame.incarnation == self.config.incarnation)
                    .then_some(frame.number);
                match super::find(&self.frames, &self.foreign, &info, own, &object) {
                    Some((slot, region)) => {
                        (job.pieces[k].slot, job.pieces[k].region) = (slot, region);
                        job.awaits.remove(&k);
                    }
                    None => in_vain = true,
                }
            }
            job.loaded_if_complete();
            if in_vain {
                self.withdraw(id, store);
            }
        }
    }

    /// Gives up a job whose inputs will not be made where they were expected.
    pub(super) fn withdraw(&mut self, id: JobId, store: &mut impl Store) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let (frame, task, stolen) = (job.frame, job.task, job.stolen);
        self.give_up(id, store);
        if let Some(stolen) = stolen {
            let now_us = self.clock.unwrap_or(0);
            self.decline(now_us, frame, task, &stolen);
        }
    }

    pub(super) fn job_done(&mut self, now_us: Micros, id: JobId, store: &mut impl Store) {
        let Some(job) = self.take_running(id) else {
            return;
        };
        if let Some(why) = job.abandoned {
            self.end_abandoned(now_us, id, &job, why, store);
            return;
        }
        self.close_job(id, &job, true, store);
        self.stats.macs += self.info.tasks[job.task.index()].macs;
        match &job.stolen {
            Some(stolen) => self.stolen_done(now_us, &job, stolen),
            None => {
                self.own_done(now_us, &job, store);
                self.settle(job.frame.number, job.task, store);
            }
        }
    }

    pub(super) fn job_failed(&mut self, now_us: Micros, id: JobId, store: &mut impl Store) {
        let Some(job) = self.take_running(id) else {
            return;
        };
        self.stats.jobs_failed += 1;
        if let Some(why) = job.abandoned {
            self.end_abandoned(now_us, id, &job, why, store);
            return;
        }
        self.close_job(id, &job, false, store);
        match &job.stolen {
            Some(stolen) => self.stolen_failed(now_us, &job, stolen),
            None => self.attempt_failed(job.frame.number, job.task),
        }
    }

    fn take_running(&mut self, id: JobId) -> Option<PendingJob> {
        let runs = self.jobs.get_mut(id)?.stage == JobStage::Running;
        runs.then(|| self.jobs.remove(id))?
    }

    /// Ends the jobs of a frame that no worker has yet, and those that a worker has and that lack inputs.
    pub(super) fn give_up_frame(&mut self, frame: FrameId, store: &mut impl Store) {
        let of_frame = self.jobs.iter().filter(|(_, j)| j.frame == frame);
        let ids: Vec<JobId> = of_frame.map(|(id, _)| id).collect();
        for id in ids {
            self.give_up_unwanted(id, store);
        }
    }

    /// Ends a job whose outputs nobody wants, unless a worker has it and all its inputs are here.
    pub(super) fn give_up_unwanted(&mut self, id: JobId, store: &mut impl Store) {
        let runs = self
            .jobs
            .get(id)
            .is_some_and(|j| j.stage == JobStage::Running);
        if runs {
            self.abandon(id, Abandoned::Unwanted, store);
        } else {
            self.give_up(id, store);
        }
    }
}

/// The slots of a job's outputs, by the task whose outputs they are: the job's own, and those to which it
/// [gives](tessera_plan::dataflow::TaskInfo::gives).
pub(super) fn outputs_by_task(info: &ProgramInfo, job: &PendingJob) -> Vec<(TaskId, Vec<SlotId>)> {
    let mut slots = job.outputs.iter().copied();
    let tasks = [job.task]
        .into_iter()
        .chain(info.tasks[job.task.index()].gives.iter().copied());
    tasks
        .map(|task| {
            let outputs = info.tasks[task.index()].outputs.len();
            (task, slots.by_ref().take(outputs).collect())
        })
        .collect()
}
