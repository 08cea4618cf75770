//! Own tasks: tasks of this node's frames that this node runs, and the consequences when any node finishes
//! a task.
//!
//! A ready task becomes a job ([`super::jobs`]); the job ends in `own_done` or `own_failed`. For every finished
//! task, on any node, `finished` notes the holder of the outputs and `holder_lost` removes the holder.

use super::{
    Edge,
    jobs::outputs_by_task,
    pending_job::{InputSource, JobStage, PendingJob},
    placement::{Backup, Choice, anywhere::has_no_home, strips},
    task_table::{IssuedLease, ResultState},
};
use crate::{
    FrameNumber, FrameOutcome, GATEWAY, JobId, Micros, NodeIncarnation, TaskId, peer::Peer,
    store::Store,
};
use tessera_plan::files::counters::{FRAME_RUNS_MAX, FrameRun};

use tessera_plan::dataflow::{Need, ObjectKey};

impl Edge {
    /// Begins tasks of own frames while there is room for jobs.
    pub(super) fn start_own_jobs(&mut self, now_us: Micros, store: &mut impl Store) {
        self.next_backup_us = None;
        self.take_back_misled(store);
        while self.jobs.len() < self.config.jobs_max {
            let policy = self.policy();
            if let Some(choice) = policy.next_own(&self.situation(now_us)) {
                if !self.start_own(now_us, choice, store) {
                    return;
                }
                continue;
            }
            match policy.backup(&self.situation(now_us)) {
                Backup::Now(choice) => {
                    self.taken_over(now_us, choice, self.config.id);
                    if !self.start_own(now_us, choice, store) {
                        return;
                    }
                    self.stats.backups += 1;
                }
                Backup::NotBefore(at) => {
                    self.next_backup_us = Some(at);
                    return;
                }
                Backup::No => return,
            }
        }
    }

    /// Lets tasks run that stand in for late ones.
    pub(super) fn release_late_strips(&mut self, now_us: Micros) {
        self.next_strips_us = None;
        if !self.has_stand_ins {
            return;
        }
        for (_, frame) in self.frames.in_flight_mut() {
            frame.tasks.note_ready(now_us);
        }
        let (late, next) = strips::late(&self.situation(now_us));
        self.next_strips_us = next;
        for (number, task) in late {
            if let Some(frame) = self.frames.live_mut(number) {
                frame.tasks.release(task);
                self.stats.strips_late += 1;
            }
        }
    }

    /// Begins a task; `false` when there are not enough slots.
    fn start_own(&mut self, now_us: Micros, choice: Choice, store: &mut impl Store) -> bool {
        let Choice { number, task } = choice;
        let info = std::sync::Arc::clone(&self.info);
        let Some(frame) = self.frames.live(number) else {
            return false;
        };
        let mut from = Vec::with_capacity(info.tasks[task.index()].needs.len());
        for need in &info.tasks[task.index()].needs {
            let here =
                (frame.find(&info, need.key)).filter(|_| !self.must_fetch(number, task, need));
            let found = match here {
                Some((slot, region)) => Some(InputSource::Local(slot, region)),
                None => (self.relay(number, task, need).map(InputSource::Remote))
                    .or_else(|| self.elsewhere(number, need.key)),
            };
            match found {
                Some(f) => from.push(f),
                None => {
                    // A holder that this node has forgotten does not count.
                    if let Some(maker) = need.key.task() {
                        self.undo_unreachable(number, maker);
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
            if has_no_home(&info, task) {
                // It waited at another board, which is told when it renews the lease.
                t.lease = None;
            }
            t.job = Some(id);
            t.job_since_us = now_us;
            t.reassigned();
            let early = t.missing > 0;
            // The gateway hears who makes what it needs.
            frame.fresh |= self.info.tasks[task.index()].for_tail;
            let sum = frame.tasks.assignments_of(&info, task);
            frame.tasks.get_mut(task).early = early.then_some(sum);
            frame.tasks.refresh(task);
        }
        true
    }

    /// Where an object of an own frame is, or is being made, if it is not in a slot of this node.
    fn elsewhere(&self, number: FrameNumber, key: ObjectKey) -> Option<InputSource> {
        let ObjectKey::Output { task, .. } = key else {
            return None;
        };
        let tasks = &self.frames.live(number)?.tasks;
        let t = tasks.get(task);
        if t.done() {
            let peers = t.holders.iter().filter(|h| **h != self.me.who());
            let known = peers.filter_map(|h| self.peers.get(*h));
            let latest = known.max_by_key(|k| k.seen_us)?;
            return Some(InputSource::Remote(latest.peer));
        }
        let maker = tasks.maker_of(task);
        if maker.job.is_some() {
            let frame = self.frame_id(number);
            let (_, _, slot) = self.jobs.making_object(&self.info, frame, key)?;
            return Some(InputSource::Coming(slot, self.info.region(key)?));
        }
        Some(InputSource::Early(maker.lease?.thief))
    }

    /// True if this source must fetch the frame back from the gateway, as other boards do: with work sharing, unless it
    /// computes what nobody else can.
    fn must_fetch(&self, number: FrameNumber, task: TaskId, need: &Need) -> bool {
        need.key == ObjectKey::Frame && self.relay(number, task, need).is_some()
    }

    /// The gateway, if a task is to fetch an input from there.
    pub(super) fn relay(&self, number: FrameNumber, task: TaskId, need: &Need) -> Option<Peer> {
        let tasks = &self.frames.live(number)?.tasks;
        let there = tasks.is_at_gateway(&self.info, need.key.task());
        let passed_on = self.info.relay_of(need).is_some() && there;
        // What several boards could not get, this one computes from what it has.
        (passed_on && tasks.get(task).leasable()).then_some(())?;
        Some(Peer {
            id: GATEWAY,
            incarnation: self.link.gateway?,
            addr: self.config.gateway,
        })
    }

    /// Takes back tasks that were given early and whose inputs come from elsewhere by now.
    fn take_back_misled(&mut self, store: &mut impl Store) {
        let info = std::sync::Arc::clone(&self.info);
        let mut jobs = Vec::new();
        for (_, frame) in self.frames.in_flight_mut() {
            for task in frame.tasks.misled(&info) {
                let t = frame.tasks.get_mut(task);
                t.early = None;
                if t.lease.take().is_some() {
                    t.reassigned();
                }
                jobs.extend(t.job);
                frame.tasks.refresh(task);
            }
        }
        for id in jobs {
            let waits = |j: &mut PendingJob| j.stage == JobStage::Loading;
            if self.jobs.get_mut(id).is_some_and(waits) {
                self.give_up(id, store);
            }
        }
    }

    fn undo_unreachable(&mut self, number: FrameNumber, maker: TaskId) {
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

    /// Notes that a worker has finished an own task.
    pub(super) fn own_done(&mut self, now_us: Micros, job: &PendingJob, store: &mut impl Store) {
        self.stats.tasks_own += 1;
        let me = self.me.who();
        let since_us = (self.frames.live(job.frame.number)).map_or([now_us; 2], |f| {
            let t = f.tasks.get(job.task);
            [t.job_since_us, t.inputs_us]
        });
        self.offers
            .paces
            .finished(&self.info, job.task, me, since_us, now_us, false);
        let number = job.frame.number;
        if !self.check_computed(now_us, number, job.task, store) {
            self.finished(now_us, number, job.task, me);
        }
    }

    /// Ends an own task's job: keeps the outputs if they are `good` and not here yet. Returns the tasks whose outputs
    /// were kept.
    pub(super) fn keep_own(&mut self, id: JobId, job: &PendingJob, good: bool) -> Vec<TaskId> {
        let Some(frame) = self.frames.get_mut(job.frame.number) else {
            return Vec::new();
        };
        frame.jobs -= 1;
        let t = frame.tasks.get_mut(job.task);
        if t.job == Some(id) {
            t.job = None;
            if !good {
                t.reassigned();
            }
        }
        frame.tasks.refresh(job.task);
        let mut kept = Vec::new();
        for (task, slots) in outputs_by_task(&self.info, job) {
            let settled = frame.tasks.get(task).settled;
            let known = settled || frame.outputs.contains_key(&task);
            if good && frame.over.is_none() && !known {
                frame.outputs.insert(task, slots);
                frame.runs.insert(task, id.run());
                kept.push(task);
            }
        }
        kept
    }

    /// Frees outputs that nothing can need again, after this node has finished `task`: outputs that only tasks read
    /// whose own outputs are on this node, or can be needed no more themselves. A frame is lost with its owner, so
    /// what the owner holds cannot be lost before.
    pub(super) fn settle(&mut self, number: FrameNumber, task: TaskId, store: &mut impl Store) {
        let info = std::sync::Arc::clone(&self.info);
        let me = self.me.who();
        let mut producers = info.tasks[task.index()].producers.clone();
        // Terminates: a task is settled at most once.
        while let Some(p) = producers.pop() {
            let Some(frame) = self.frames.live_mut(number) else {
                return;
            };
            let spec = &info.tasks[p.index()];
            let safe = |c: &TaskId| {
                let consumer = frame.tasks.get(*c);
                consumer.settled || consumer.holders.contains(&me)
            };
            let known = frame.tasks.get(p).settled;
            if known || spec.for_tail || !spec.consumers.iter().all(safe) {
                continue;
            }
            let slots = frame.outputs.get(&p).map_or(&[][..], Vec::as_slice);
            let mut pieces = self.jobs.iter().flat_map(|(_, j)| &j.pieces);
            if pieces.any(|piece| slots.contains(&piece.slot)) {
                continue; // a second run of a consumer still reads them
            }
            frame.tasks.get_mut(p).settled = true;
            for slot in frame.outputs.remove(&p).into_iter().flatten() {
                self.slots.give(slot, store, &mut self.stats);
            }
            producers.extend(&spec.producers);
        }
    }

    /// Notes that a worker, here or at a thief, died during a task or refused the task.
    pub(super) fn attempt_failed(&mut self, number: FrameNumber, task: TaskId) {
        self.dirty = true;
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        let t = frame.tasks.get_mut(task);
        t.failures = t.failures.saturating_add(1);
        if t.failures >= self.config.failures_max && !t.done() && !frame.failed {
            frame.failed = true;
            self.link.changed = true;
        }
    }

    /// Notes that a node has finished a task, and what the task makes besides.
    pub(super) fn finished(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        holder: NodeIncarnation,
    ) {
        self.note_overtaken(now_us, number, task, holder);
        let info = std::sync::Arc::clone(&self.info);
        for given in &info.tasks[task.index()].gives {
            self.is_held(now_us, number, *given, holder, false);
        }
        self.is_held(now_us, number, task, holder, true);
    }

    /// Notes which board had a task for long that another node has finished.
    fn note_overtaken(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        holder: NodeIncarnation,
    ) {
        let lease = self
            .frames
            .live(number)
            .and_then(|f| f.tasks.get(task).lease);
        let long = |l: &IssuedLease| {
            let due_us = l.since_us.saturating_add(self.config.backup_after_us);
            l.thief.who() != holder && due_us <= now_us
        };
        if let Some(l) = lease.filter(long) {
            self.is_late(now_us, l.thief.id);
        }
    }

    /// Notes that a node holds a task's outputs; `ran`: it has run the task itself.
    fn is_held(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        holder: NodeIncarnation,
        ran: bool,
    ) {
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        self.dirty = true;
        let known = frame.tasks.get(task).first.is_some();
        let first = frame.tasks.finished(&self.info, task, holder);
        for consumer in &self.info.tasks[task.index()].consumers {
            let t = frame.tasks.get_mut(*consumer);
            if t.missing == 0 {
                t.inputs_us = self.clock.unwrap_or(0);
            }
        }
        if first && !known && ran {
            *self.stats.tasks_by_node.entry(holder.id).or_insert(0) += 1;
            frame.note_end(now_us, self.info.tasks[task.index()].stage);
        }
        if frame.tasks.is_for_gateway(&self.info, Some(task))
            && frame.tasks.get(task).result == ResultState::Unsent
        {
            frame.fresh = true;
        }
    }

    /// Notes that a holder does not have a task's outputs, or cannot be reached.
    pub(super) fn holder_lost(
        &mut self,
        number: FrameNumber,
        task: TaskId,
        holder: NodeIncarnation,
        distrust: bool,
    ) {
        if holder.id == GATEWAY {
            self.relay_lost(number, Some(task));
            return;
        }
        if holder == self.me.who() {
            // Outputs on this node are not lost, whoever cannot reach them.
            return;
        }
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        if frame.tasks.lost(&self.info, task, holder, distrust) {
            self.stats.tasks_unmade += 1;
        }
        frame.fresh = true;
        self.dirty = true;
    }

    /// Handles ended incarnations: outputs that they held are lost, tasks that they had come back.
    pub(super) fn incarnations_ended(
        &mut self,
        dead: impl Fn(NodeIncarnation) -> bool,
        store: &mut impl Store,
    ) {
        self.return_leases(&dead);
        self.checks_ended(&dead, store);
        self.peers.ended(&dead);
        self.offers.paces.forget(&dead);
        let info = std::sync::Arc::clone(&self.info);
        for (_, frame) in self.frames.in_flight_mut() {
            let mut lost = Vec::new();
            for (k, t) in frame.tasks.iter() {
                let gone = t.holders.iter().filter(|h| dead(**h));
                lost.extend(gone.map(|h| (k, *h)));
            }
            self.dirty |= !lost.is_empty();
            for (k, holder) in lost {
                frame.fresh = true;
                if frame.tasks.lost(&info, k, holder, false) {
                    self.stats.tasks_unmade += 1;
                }
            }
        }
        let gone = |p: &Peer| dead(p.who());
        self.receiver.gone(gone, &mut self.stats.transfer);
    }

    /// Notes that the gateway has written an own frame's record.
    pub(super) fn frame_over(
        &mut self,
        number: FrameNumber,
        outcome: FrameOutcome,
        store: &mut impl Store,
    ) {
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        frame.over = Some(outcome);
        let meta = frame.meta;
        let nobody = crate::GATEWAY;
        let makers = frame.tasks.iter().map(|(_, t)| t.first.unwrap_or(nobody));
        let run = FrameRun {
            frame: number.0,
            makers: makers.collect(),
            stage_us: frame.stage_us.clone(),
        };
        if self.stats.last_frames.len() >= FRAME_RUNS_MAX {
            self.stats.last_frames.remove(0);
        }
        self.stats.last_frames.push(run);
        match outcome {
            FrameOutcome::Detections => self.stats.frames_detected += 1,
            FrameOutcome::Dropped(why) => self.stats.frames_dropped.add(why),
        }
        self.events
            .push_back(super::Event::FrameEnded(number, meta, outcome));
        self.link.changed = true;
        self.forget_checks(number, store);
        self.give_up_frame(self.frame_id(number), store);
        self.release_own_frame(number, store);
    }

    /// Returns a frame's slots when the frame is over and no job uses the slots.
    pub(super) fn release_own_frame(&mut self, number: FrameNumber, store: &mut impl Store) {
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
        self.dirty = true;
    }
}
