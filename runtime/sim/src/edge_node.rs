//! An edge with its shell: workers that take virtual time, a source that brings frames.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    assigned_job::{AssignedJob, handed_bytes},
    core::{Core, Event, JobSpan},
    edge_spec::{EdgeSpec, Stranger},
    endpoint::Endpoint,
    exec,
    ledger::Ledger,
    violation::{Failure, Violation},
    watched_store::WatchedStore,
};
use tessera_protocol::{
    Edge, EdgeInput, EdgeOutput, EdgeStats, FrameId, FrameMeta, FrameName, FrameNumber,
    FrameOutcome, Job, JobId, NodeId, Notice, Refusal,
    store::{SlotId, Store},
};

/// An action that the machine asks its shell for.
enum Action {
    Run(Job),
    Arrived(JobId, SlotId, usize),
    Abandon(JobId),
    Ended(FrameNumber, FrameMeta, FrameOutcome),
    Refused(Refusal),
    Stopped,
    Wait(u64),
}

/// A running edge.
#[derive(Debug)]
pub(super) struct EdgeNode {
    pub spec: EdgeSpec,
    pub endpoint: Endpoint,
    pub store: WatchedStore,
    machine: Edge,
    jobs: BTreeMap<JobId, AssignedJob>,
    waiting: VecDeque<JobId>,
    idle: usize,
    brought: u32,
    next_frame_us: u64,
    said_all: bool,
    /// The workers stand still: no job of theirs ends.
    pub frozen: bool,
    /// The gateway has told this edge to leave.
    pub stopped: bool,
    /// The gateway's last reason to refuse this edge.
    refused: Option<Refusal>,
    /// Notices that the machine has given for operators.
    pub notices: Vec<Notice>,
}

impl EdgeNode {
    /// Outputs for one input from which the machine counts as spinning.
    const OUTPUTS_MAX: usize = 100_000;

    /// `spec.config` complete.
    pub fn new(spec: EdgeSpec, endpoint: Endpoint, core: &Core) -> Self {
        let mut info = Arc::clone(&core.info);
        match spec.stranger {
            Some(Stranger::Plan) => Arc::make_mut(&mut info).plan_hash[0] ^= 1,
            Some(Stranger::Model) => Arc::make_mut(&mut info).model_digest[0] ^= 1,
            Some(Stranger::Twin { .. }) | None => {}
        }
        let slots = spec.config.slots(&info, spec.steal_frames);
        Self {
            spec,
            endpoint,
            store: WatchedStore::new(&slots, spec.spill).poisoned(core.values),
            machine: Edge::new(spec.config, info),
            jobs: BTreeMap::new(),
            waiting: VecDeque::new(),
            idle: spec.config.workers,
            brought: 0,
            next_frame_us: 0,
            said_all: false,
            frozen: false,
            stopped: false,
            refused: None,
            notices: Vec::new(),
        }
    }

    const fn id(&self) -> NodeId {
        self.spec.config.id
    }

    const fn frame_id(&self, number: FrameNumber) -> FrameId {
        FrameId {
            source: self.spec.config.id,
            incarnation: self.spec.config.incarnation,
            number,
        }
    }

    /// Whether the edge has frames to bring or jobs running.
    pub fn busy(&self) -> bool {
        self.belongs() && (!self.said_all || !self.jobs.is_empty())
    }

    /// Whether all frames that the edge is to bring have ended.
    pub fn is_done(&self, ledger: &Ledger) -> bool {
        let mine =
            |f: &FrameId| (f.source, f.incarnation) == (self.id(), self.endpoint.incarnation);
        let all = ledger.frames().iter().filter(|(f, _)| mine(f));
        self.said_all && all.into_iter().all(|(_, r)| r.over())
    }

    /// Whether the edge belongs to the cluster: the gateway has not refused the edge, and the edge has not left.
    pub fn belongs(&self) -> bool {
        !self.stopped && self.refusal().is_none()
    }

    /// The gateway's last reason to refuse this edge; `None` once the edge has joined.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refused.filter(|_| !self.machine.joined())
    }

    /// The machine's counters.
    pub const fn stats(&self) -> &EdgeStats {
        self.machine.stats()
    }

    /// Whether the gateway has admitted this edge.
    pub fn joined(&self) -> bool {
        self.machine.joined()
    }

    /// Length of the machine's state as debug text, which stays bounded however long the machine runs.
    pub fn state_bytes(&self) -> usize {
        format!("{:?}", self.machine).len()
    }

    /// Gives the machine an input and performs the actions that the machine asks for.
    pub fn input(&mut self, core: &mut Core, input: EdgeInput<'_>) -> Result<(), Failure> {
        if self.stopped {
            return Ok(());
        }
        core.counters.inputs += 1;
        if let EdgeInput::Datagram { bytes, .. } = &input {
            self.spend(core, bytes.len());
        }
        self.make(core);
        let now_us = self.endpoint.clock.local(core.queue.now_us());
        self.machine.handle(now_us, input, &mut self.store);
        self.endpoint.pump(core)?;
        self.drain(core)?;
        self.offer(core)
    }

    /// Takes time of running tasks for a datagram that is sent or received.
    fn spend(&mut self, core: &Core, bytes: usize) {
        if self.spec.byte_ns > 0 {
            let ns = self.spec.byte_ns * bytes as u64;
            self.jobs.values_mut().for_each(|job| job.give_up(core, ns));
        }
    }

    /// Writes the rows of outputs that running jobs have made by now.
    fn make(&mut self, core: &mut Core) {
        if self.frozen {
            return;
        }
        let info = Arc::clone(&core.info);
        for out in self.jobs.values().filter(|o| o.running && !o.abandoned) {
            let share = out.share(core);
            let job = &out.job;
            let outputs = info.made(job.task);
            for (k, ((_, port), &slot)) in outputs.zip(&job.outputs).enumerate() {
                let element = info.tensors[usize::from(port.tensor)].element;
                let row_bytes = port.region.w() * port.region.ch() * element.bytes();
                let rows = info.rows_made(job.task, k, share);
                let before = self.store.made(slot) / row_bytes.max(1);
                if rows <= before {
                    continue;
                }
                if !core.values {
                    self.store.make(slot, rows * row_bytes);
                    continue;
                }
                let mut region = port.region;
                (region.y.lo, region.y.hi) = (port.region.y.lo + before, port.region.y.lo + rows);
                let values = core.oracle.cut(job.frame, port.tensor, region);
                exec::fill(self.store.make(slot, rows * row_bytes), &values, element);
            }
        }
    }

    fn drain(&mut self, core: &mut Core) -> Result<(), Failure> {
        let now_us = self.endpoint.clock.local(core.queue.now_us());
        for _ in 0..Self::OUTPUTS_MAX {
            let action = match self.machine.poll(now_us, &mut self.store) {
                EdgeOutput::Send { to, bytes } => {
                    let sent = self.endpoint.send(core, to, bytes)?;
                    self.spend(core, sent);
                    continue;
                }
                EdgeOutput::Run(job) => Action::Run(job),
                EdgeOutput::Arrived { job, slot, rows } => Action::Arrived(job, slot, rows),
                EdgeOutput::Abandon { job } => Action::Abandon(job),
                EdgeOutput::FrameEnded {
                    number,
                    meta,
                    outcome,
                } => Action::Ended(number, meta, outcome),
                EdgeOutput::Refused(r) => Action::Refused(r),
                EdgeOutput::Notice(notice) => {
                    core.trace(|| format!("{} says {notice:?}", self.endpoint.index));
                    self.notices.push(notice);
                    continue;
                }
                EdgeOutput::Stopped => Action::Stopped,
                EdgeOutput::WaitUntil(t) => Action::Wait(t),
            };
            match action {
                Action::Run(job) => self.take(core, job)?,
                Action::Arrived(job, slot, rows) => self.arrived(core, job, slot, rows),
                Action::Abandon(job) => self.abandon(core, job),
                Action::Ended(number, meta, outcome) => {
                    let frame = self.frame_id(number);
                    core.trace(|| format!("{} hears {frame:?} {outcome:?}", self.endpoint.index));
                    let heard = core.ledger.heard(frame, meta, outcome);
                    heard.map_err(|v| core.fail(v))?;
                }
                Action::Refused(r) => {
                    core.trace(|| format!("{} is refused: {r:?}", self.endpoint.index));
                    self.refused = Some(r);
                    let (at_us, c) = (core.queue.now_us(), &self.spec.config);
                    core.ledger.died(at_us, c.id, c.incarnation);
                }
                Action::Stopped => self.stopped = true,
                Action::Wait(t) => {
                    self.endpoint.wait(core, t);
                    return Ok(());
                }
            }
        }
        Err(core.fail(Violation::Spins { node: self.id() }))
    }

    /// Brings frames while the machine wants them.
    fn offer(&mut self, core: &mut Core) -> Result<(), Failure> {
        while self.brought < self.spec.frames && !self.stopped && self.machine.wants_frame() {
            if core.queue.now_us() < self.next_frame_us {
                let (node, incarnation) = (self.endpoint.index, self.endpoint.incarnation);
                core.queue
                    .push(self.next_frame_us, Event::Offer { node, incarnation });
                return Ok(());
            }
            let frame_tensor = core.info.tensors[0];
            let values = frame_tensor.region.len();
            let Some(slot) = self.machine.frame_slot(&mut self.store) else {
                core.counters.unplaced += 1;
                core.trace(|| format!("{} has no slot for a frame", self.endpoint.index));
                return Ok(());
            };
            let frame = self.frame_id(FrameNumber(self.brought));
            if core.values {
                let values = exec::frame_values(frame, frame_tensor.element, values);
                exec::fill(self.store.bytes_mut(slot), &values, frame_tensor.element);
            }
            let meta = FrameMeta {
                tag: core.random.word(),
                name: FrameName::new(&format!("{frame:?}")),
                image_w: core.random.word() as u32,
                image_h: core.random.word() as u32,
                captured_us: self.endpoint.clock.local(core.queue.now_us()),
            };
            core.trace(|| format!("{} brings {frame:?}", self.endpoint.index));
            core.ledger.accept(core.queue.now_us(), frame, meta);
            self.brought += 1;
            self.next_frame_us = core.queue.now_us() + self.spec.frame_interval_us;
            self.tell(core, EdgeInput::Frame { slot, meta })?;
        }
        if self.brought == self.spec.frames && !self.said_all {
            self.said_all = true;
            self.tell(core, EdgeInput::NoMoreFrames)?;
        }
        Ok(())
    }

    fn tell(&mut self, core: &mut Core, input: EdgeInput<'_>) -> Result<(), Failure> {
        core.counters.inputs += 1;
        let now_us = self.endpoint.clock.local(core.queue.now_us());
        self.machine.handle(now_us, input, &mut self.store);
        self.drain(core)
    }

    /// Accepts a job; an idle worker begins the job.
    fn take(&mut self, core: &mut Core, job: Job) -> Result<(), Failure> {
        let node = self.id();
        core.trace(|| {
            format!(
                "{} runs {:?} of {:?}, {:?}",
                self.endpoint.index, job.task, job.frame, job.id
            )
        });
        if job.task.index() >= core.info.tasks.len() {
            let task = job.task;
            return Err(core.fail(Violation::NoTask { node, task }));
        }
        if job.stolen != (job.frame.source != node) {
            let (frame, stolen) = (job.frame, job.stolen);
            return Err(core.fail(Violation::Stolen {
                node,
                frame,
                stolen,
            }));
        }
        let known = core.ledger.run(node, job.frame, job.task);
        known.map_err(|v| core.fail(v))?;
        let arriving: BTreeMap<SlotId, usize> = job.arriving.iter().copied().collect();
        for &(slot, _) in job.inputs.iter().flatten() {
            match arriving.get(&slot) {
                Some(&rows) => {
                    let bytes = handed_bytes(&core.info, &job, slot, rows);
                    self.store.lock_arriving(slot, bytes);
                }
                None => self.store.lock_read(slot),
            }
        }
        for &slot in &job.outputs {
            self.store.lock_write(slot);
        }
        core.counters.streamed += u64::from(!arriving.is_empty());
        core.counters.stolen += u64::from(job.stolen);
        let id = job.id;
        let out = AssignedJob {
            job,
            running: false,
            started_us: 0,
            task_us: 0,
            end_us: 0,
            owed_ns: 0,
            arriving,
            abandoned: false,
        };
        if self.jobs.insert(id, out).is_some() {
            return Err(core.fail(Violation::JobTwice { node }));
        }
        if self.jobs.len() > self.spec.config.jobs_max {
            let most = self.spec.config.jobs_max;
            return Err(core.fail(Violation::TooManyJobs { node, most }));
        }
        self.waiting.push_back(id);
        self.begin(core);
        Ok(())
    }

    fn begin(&mut self, core: &mut Core) {
        while self.idle > 0
            && let Some(id) = self.waiting.pop_front()
        {
            let Some(out) = self.jobs.get_mut(&id) else {
                continue;
            };
            out.running = true;
            self.idle -= 1;
            core.counters.jobs += 1;
            core.counters.stand_ins += u64::from(core.info.stands_in(out.job.task));
            out.started_us = core.queue.now_us();
            let task = out.job.task.index();
            let given = core.task_us.get(self.endpoint.index - 1);
            let mut us = given
                .and_then(|times| times.get(task))
                .copied()
                .unwrap_or_else(|| {
                    self.spec.task_us + core.info.tasks[task].macs / self.spec.macs_per_us
                });
            if core.random.chance(self.spec.straggle_ppm) {
                us *= self.spec.straggle_factor;
            }
            let lost = core.random.chance(self.spec.lose_ppm) || core.broken == Some(out.job.task);
            if lost {
                us = core.random.below(us + 1);
            }
            (out.task_us, out.end_us) = (us, out.started_us + us);
            if lost || out.arriving.is_empty() {
                out.arriving.clear();
                let event = Event::JobEnd {
                    node: self.endpoint.index,
                    incarnation: self.endpoint.incarnation,
                    job: id,
                    lost,
                };
                core.queue.push(out.end_us, event);
            }
        }
    }

    /// Hands more rows over to a job: what can be computed only with them is computed from now on.
    fn arrived(&mut self, core: &mut Core, id: JobId, slot: SlotId, rows: usize) {
        let Some(out) = self.jobs.get_mut(&id) else {
            return;
        };
        let bytes = handed_bytes(&core.info, &out.job, slot, rows);
        self.store.hand_over(slot, bytes);
        if !out.arriving.contains_key(&slot) {
            return; // its worker will die
        }
        out.wait_for_rows(core);
        if bytes == self.store.job_bytes(slot).len() {
            out.arriving.remove(&slot);
        } else {
            out.arriving.insert(slot, rows);
        }
        self.end_if_complete(core, id);
    }

    fn abandon(&mut self, core: &mut Core, id: JobId) {
        let Some(out) = self.jobs.get_mut(&id) else {
            return;
        };
        out.wait_for_rows(core);
        out.abandoned = true;
        core.counters.abandoned += 1;
        if !std::mem::take(&mut out.arriving).is_empty() {
            self.end_if_complete(core, id);
        }
    }

    /// Plans the end of a running job whose last rows have come.
    fn end_if_complete(&mut self, core: &mut Core, id: JobId) {
        let Some(out) = self.jobs.get(&id) else {
            return;
        };
        if out.running && out.arriving.is_empty() {
            self.end_at(core, id, out.end_us);
        }
    }

    fn end_at(&self, core: &mut Core, job: JobId, at_us: u64) {
        let event = Event::JobEnd {
            node: self.endpoint.index,
            incarnation: self.endpoint.incarnation,
            job,
            lost: false,
        };
        core.queue.push(at_us, event);
    }

    /// Kills a worker in the middle of the job that was begun first.
    pub fn crash_worker(&mut self, core: &mut Core) -> Result<(), Failure> {
        let running = self.jobs.iter().find(|(_, o)| o.running);
        match running.map(|(&id, _)| id) {
            Some(id) => self.job_end(core, id, true),
            None => Ok(()),
        }
    }

    /// Ends a job: its worker has finished, or has died while it ran the job.
    pub fn job_end(&mut self, core: &mut Core, id: JobId, lost: bool) -> Result<(), Failure> {
        // Ended before by a worker's death.
        let Some(out) = self.jobs.get(&id).filter(|o| o.running) else {
            return Ok(());
        };
        if !lost && out.end_us > core.queue.now_us() {
            self.end_if_complete(core, id);
            return Ok(());
        }
        let Some(AssignedJob {
            job,
            started_us,
            abandoned,
            ..
        }) = self.jobs.remove(&id)
        else {
            return Ok(());
        };
        if lost || abandoned {
            core.counters.lost_jobs += u64::from(lost);
            for &slot in &job.outputs {
                // What it got done is of no use.
                let bytes = self.store.job_bytes_mut(slot);
                let half = bytes.len() / 2;
                bytes[..half].fill(core.random.word() as u8);
            }
        } else {
            self.compute(core, &job)?;
            if core.random.chance(self.spec.wrong_ppm) {
                core.counters.wrong_jobs += 1;
                for &slot in &job.outputs {
                    let bit = core.random.word() as usize;
                    let bytes = self.store.job_bytes_mut(slot);
                    let at = bit / 8 % bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << (bit % 8);
                    }
                }
            }
            if let Some(spans) = &mut core.job_spans {
                spans.push(JobSpan {
                    node: self.endpoint.index,
                    frame: job.frame,
                    task: job.task,
                    start_us: started_us,
                    end_us: core.queue.now_us(),
                });
            }
        }
        for &(slot, _) in job.inputs.iter().flatten() {
            self.store.unlock_read(slot);
        }
        for &slot in &job.outputs {
            self.store.unlock_write(slot);
        }
        self.idle += 1;
        self.begin(core);
        core.trace(|| format!("{} ends {id:?}, lost {lost}", self.endpoint.index));
        let input = if lost {
            EdgeInput::Failed { job: id }
        } else {
            EdgeInput::Done { job: id }
        };
        self.input(core, input)
    }

    fn compute(&mut self, core: &mut Core, job: &Job) -> Result<(), Failure> {
        if !core.values {
            return Ok(());
        }
        let (node, frame, task) = (self.id(), job.frame, job.task);
        let info = Arc::clone(&core.info);
        let inputs = exec::gather(&self.store, &info, job).map_err(|error| {
            core.fail(Violation::Pieces {
                node,
                frame,
                task,
                error,
            })
        })?;
        let spec = &info.tasks[task.index()];
        for (input, (port, words)) in spec.inputs.iter().zip(&inputs).enumerate() {
            if *words != core.oracle.cut(frame, port.tensor, port.region) {
                return Err(core.fail(Violation::WrongInput {
                    node,
                    frame,
                    task,
                    input,
                }));
            }
        }
        let digest = exec::digest(&inputs);
        for (o, (&slot, (key, port))) in job.outputs.iter().zip(info.made(task)).enumerate() {
            let element = info.tensors[port.tensor as usize].element;
            // What another task may make too has one value, whoever makes it.
            let values = if key.task() == Some(task) {
                exec::output_values(task, o, digest, element, port.region.len())
            } else {
                core.oracle.cut(frame, port.tensor, port.region)
            };
            exec::fill(self.store.job_bytes_mut(slot), &values, element);
        }
        Ok(())
    }
}
