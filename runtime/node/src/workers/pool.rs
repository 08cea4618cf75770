//! Jobs: lends their slots, queues them, and reports their ends.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
        eventfd::{EfdFlags, EventFd},
    },
};

use super::{
    JobEnd, SubmitError, WorkersConfig, WorkersError, failed,
    launch::Launch,
    processes,
    staff::Staff,
    watch::{Debt, Watch},
};
use crate::shm::{
    ArrivingSlot, Dispatcher, Segment, SegmentStore, ShmWords, SlotLoan, SlotView, Status,
    arrivals::{self, ALL_ROWS},
    entry::{Content, PieceAt, PortIx},
};
use tessera_plan::{
    files::statistics::{TaskWork, Worker},
    region::Region,
};
use tessera_protocol::{Job, JobId, TaskId, store::SlotId};
use tessera_runtime::{
    program::Program,
    weights::{Use, WeightsError, WeightsFile},
};

/// The time that a worker has to leave, which includes its current job. A node that is told
/// to end must end within two seconds.
const GRACE: Duration = Duration::from_secs(1);

/// A job that is queued or running. Its slots stay lent until the pool reports the job.
#[derive(Debug)]
struct Out {
    id: JobId,
    task: TaskId,
    /// Inputs whose rows arrive, each with its piece.
    arriving: Vec<ArrivingInput>,
    /// Whether the job goes on without its inputs: how long it takes says nothing.
    abandoned: bool,
    _inputs: Vec<SlotView>,
    _outputs: Vec<SlotLoan>,
}

/// An input of a job whose last rows were still on their way when the job was queued.
#[derive(Debug)]
struct ArrivingInput {
    slot: ArrivingSlot,
    /// Index of the piece in the job's entry.
    piece: usize,
    row_bytes: usize,
    complete: bool,
}

impl Out {
    /// Whether rows are missing.
    fn waits(&self) -> bool {
        self.arriving.iter().any(|a| !a.complete)
    }
}

/// The worker processes and the jobs that they have.
#[derive(Debug)]
pub struct Workers {
    // Before `out`: dropped first, so no worker lives when its slots are given back.
    staff: Staff,
    program: &'static Program,
    segment: Segment,
    jobs: Dispatcher<ShmWords>,
    /// The jobs' entries, in which workers wait for rows.
    entries: ShmWords,
    /// The unfinished job of each entry of the job table.
    out: Vec<Option<Out>>,
    epoll: Epoll,
    watch: Watch,
    content: Content,
    /// What was computed, by task.
    work: Vec<TaskWork>,
}

/// Name of the bell that workers ring, among what [`Workers::as_fd`] watches; workers have their numbers.
const FINISHED: u64 = 1 << 32;
/// Name of the timer for starts.
const RESTART: u64 = FINISHED + 1;
/// Name of the timer for looks at workers that may be stuck.
const LOOK: u64 = FINISHED + 2;

impl Workers {
    /// Starts workers: this binary again, in its `worker` role, with the given weights. Workers verify
    /// the weights themselves, also workers that start later.
    ///
    /// `TESSERA_RUNNER` names a command (an emulator) that runs the binary. Call this function from a
    /// thread that lives as long as the workers should: the system kills the workers when the thread ends. A segment
    /// can have only one set of workers.
    ///
    /// # Errors
    /// When a system call fails. A worker that starts but cannot work shows up in
    /// [`Workers::drain`].
    pub fn start(
        program: &'static Program,
        weights: WeightsFile,
        segment: &Segment,
        config: &WorkersConfig,
    ) -> Result<Self, WorkersError> {
        let (count, places) = (config.count, segment.layout().workers);
        if count == 0 || count > places {
            return Err(WorkersError::Count {
                asked: count,
                places,
            });
        }
        let bell = |flags| {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK | flags;
            EventFd::from_value_and_flags(0, flags).map_err(failed("make a bell"))
        };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed("watch"))?;
        let launch = Launch::new(program.name, weights, config);
        let jobs = bell(EfdFlags::EFD_SEMAPHORE)?;
        let finished = bell(EfdFlags::empty())?;
        let staff = Staff::new(launch, segment, jobs, finished, count)?;
        let watch = |fd: BorrowedFd<'_>, name| {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, name);
            epoll.add(fd, event).map_err(failed("watch"))
        };
        watch(staff.finished().as_fd(), FINISHED)?;
        watch(staff.timer(), RESTART)?;
        let macs = program.tasks.iter().map(|t| t.macs).collect();
        let stuck = Watch::new(count, config.stuck_after, macs)?;
        watch(stuck.timer(), LOOK)?;
        let mut workers = Self {
            staff,
            program,
            segment: segment.clone(),
            entries: segment.entries(),
            jobs: Dispatcher::new(
                segment.deque(),
                segment.states(),
                segment.entries(),
                segment.layout(),
            ),
            out: (0..segment.layout().jobs).map(|_| None).collect(),
            epoll,
            watch: stuck,
            content: Content::default(),
            work: (0..)
                .zip(program.tasks)
                .map(|(task, _)| TaskWork {
                    task,
                    ..TaskWork::default()
                })
                .collect(),
        };
        workers.staff.start_all(&workers.epoll)?;
        workers.watch.begin();
        Ok(workers)
    }

    /// Queues a job. Its slots are lent until the pool reports the job.
    ///
    /// # Errors
    /// When too many jobs are out or the job does not fit its task; the pool is unchanged then.
    ///
    /// # Panics
    /// If the store belongs to another segment, or a slot of the job is free.
    pub fn submit(&mut self, job: &Job, store: &mut SegmentStore) -> Result<(), SubmitError> {
        assert!(store.segment().is(&self.segment), "the workers' own store");
        let wrong = |what| SubmitError::Malformed {
            job: job.id,
            task: job.task.0,
            what,
        };
        let task = self.program.tasks.get(job.task.index());
        let task = task.ok_or_else(|| wrong("there is no such task"))?;
        if job.inputs.len() != task.inputs.len() || job.outputs.len() != task.outputs.len() {
            return Err(wrong("inputs or outputs are missing"));
        }
        let tensors = self.program.tensors;
        let bytes = |t: u16, r: Region| r.len() * tensors[t as usize].element.bytes();
        self.content.task = job.task.0;
        self.content.pieces.clear();
        let mut lent_out = Vec::with_capacity(job.outputs.len());
        for (o, (&slot, port)) in job.outputs.iter().zip(task.outputs).enumerate() {
            let loan = store.lend_mut(slot);
            let loan = loan.ok_or_else(|| wrong("an output's slot is in use"))?;
            if loan.length() < bytes(port.tensor, port.region) {
                return Err(wrong("an output's slot is too small"));
            }
            self.content.pieces.push(PieceAt {
                port: PortIx::Output(o as u32),
                place: loan.place(),
                region: port.region,
                rows: 0,
            });
            lent_out.push(loan);
        }
        let (mut lent_in, mut arriving) = (Vec::new(), Vec::new());
        for (i, (pieces, port)) in job.inputs.iter().zip(task.inputs).enumerate() {
            // Pieces may overlap, so this finds missing ones, not every hole.
            let mut covered = 0;
            for &(slot, region) in pieces {
                covered += port.region.meet(region).len();
                let piece = PieceAt {
                    port: PortIx::Input(i as u32),
                    place: 0,
                    region,
                    rows: ALL_ROWS,
                };
                let small = || wrong("an input's slot is too small");
                let coming = job.arriving.iter().find(|(s, _)| *s == slot);
                if let Some(&(_, rows)) = coming {
                    let row_bytes = bytes(port.tensor, region) / region.h().max(1);
                    let rows = rows.min(region.h());
                    let loan = store.lend_arriving(slot, 0);
                    let loan = loan.ok_or_else(|| wrong("an arriving input's slot is in use"))?;
                    if loan.length() < bytes(port.tensor, region) {
                        return Err(small());
                    }
                    store.hand_over(slot, rows * row_bytes);
                    let complete = rows == region.h();
                    let rows = if complete { ALL_ROWS } else { rows as u32 };
                    let place = loan.place();
                    arriving.push(ArrivingInput {
                        slot: loan,
                        piece: self.content.pieces.len(),
                        row_bytes,
                        complete,
                    });
                    self.content.pieces.push(PieceAt {
                        place,
                        rows,
                        ..piece
                    });
                    continue;
                }
                let view = store.lend(slot);
                let view = view.ok_or_else(|| wrong("an input's slot is being written"))?;
                if view.bytes().len() < bytes(port.tensor, region) {
                    return Err(small());
                }
                let place = view.place();
                self.content.pieces.push(PieceAt { place, ..piece });
                lent_in.push(view);
            }
            if covered < port.region.len() {
                return Err(wrong("pieces of an input are missing"));
            }
        }
        let entry = self.jobs.submit(&self.content)?;
        for (o, (&slot, port)) in job.outputs.iter().zip(task.outputs).enumerate() {
            let row_bytes = bytes(port.tensor, port.region) / port.region.h().max(1);
            store.note_mark(slot, self.jobs.mark(entry, o), row_bytes);
        }
        self.out[entry] = Some(Out {
            id: job.id,
            task: job.task,
            arriving,
            abandoned: false,
            _inputs: lent_in,
            _outputs: lent_out,
        });
        self.staff.ring(1);
        self.watch.begin();
        Ok(())
    }

    /// Hands more rows of an input over to the job that reads them: `rows` from the first one on, which nobody writes any
    /// more. A job that has ended meanwhile, or a slot that was complete, changes nothing.
    ///
    /// # Panics
    /// If the slot is smaller.
    pub fn arrived(&mut self, job: JobId, slot: SlotId, rows: usize, store: &mut SegmentStore) {
        let mut out = self.out.iter_mut().enumerate();
        let found = out.find_map(|(entry, o)| Some((entry, o.as_mut().filter(|o| o.id == job)?)));
        let Some((entry, out)) = found else { return };
        let mut arriving = out.arriving.iter_mut();
        let Some(a) = arriving.find(|a| a.slot.slot() == slot && !a.complete) else {
            return;
        };
        let bytes = rows * a.row_bytes;
        store.hand_over(slot, bytes);
        a.complete = bytes >= a.slot.length();
        let mark = if a.complete { ALL_ROWS } else { rows as u32 };
        if let Some(at) = self.jobs.arrived(entry, a.piece, mark) {
            arrivals::wake(&self.entries, at);
        }
    }

    /// Lets a job go on with whatever the slots of its inputs hold; nobody writes these any more, and nobody may use
    /// what the job makes.
    pub fn abandon(&mut self, job: JobId, store: &mut SegmentStore) {
        let is_job = |o: &Option<Out>| o.as_ref().is_some_and(|o| o.id == job);
        let Some(entry) = self.out.iter().position(is_job) else {
            return;
        };
        for a in self.out[entry].iter().flat_map(|o| &o.arriving) {
            store.hand_over(a.slot.slot(), a.slot.length());
        }
        self.wait_no_more(entry);
    }

    /// Lets the job of an entry go on without rows that are missing.
    fn wait_no_more(&mut self, entry: usize) {
        let Some(out) = &mut self.out[entry] else {
            return;
        };
        out.abandoned |= out.waits();
        for a in out.arriving.iter_mut().filter(|a| !a.complete) {
            a.complete = true;
            if let Some(at) = self.jobs.arrived(entry, a.piece, ALL_ROWS) {
                arrivals::wake(&self.entries, at);
            }
        }
    }

    /// Checks the weights that the workers get, as unusable weights may keep workers from starting.
    ///
    /// # Errors
    /// When the weights are not the program's.
    pub fn check_weights(&self, program: &Program) -> Result<(), WeightsError> {
        self.staff.weights().check(program, Use::Stages)
    }

    /// Whether all workers that run wait for jobs, and at least one does: each has read and checked its weights.
    pub fn are_ready(&self) -> bool {
        let running = (0..self.staff.count()).filter(|w| self.staff.pid(*w).is_some());
        let mut ready = running.map(|w| self.staff.is_ready(w)).peekable();
        ready.peek().is_some() && ready.all(|r| r)
    }

    /// Number of jobs that are queued or running.
    pub fn jobs_out(&self) -> usize {
        self.out.iter().flatten().count()
    }

    /// Number of jobs that no worker has leased yet.
    pub fn queued(&self) -> usize {
        self.jobs.queued()
    }

    /// Reports ended jobs, each once, and maintains the workers: reaps dead ones and starts
    /// replacements. Call this function when [`Workers::as_fd`] is readable; further calls do no harm. When
    /// the pool calls `report`, the job's slots are no longer lent.
    ///
    /// # Errors
    /// When no worker is left and none can be started; the pool has then reported all jobs failed.
    pub fn drain(&mut self, mut report: impl FnMut(JobId, JobEnd)) -> Result<(), WorkersError> {
        let dead = self.look(Duration::ZERO)?;
        self.bury(&dead);
        let hopeless = self.staff.fill(&self.epoll).err();
        if hopeless.is_some() {
            self.jobs.withdraw();
        }
        for entry in 0..self.out.len() {
            let Some(out) = &self.out[entry] else {
                continue;
            };
            let (id, task) = (out.id, out.task);
            let end = match self.jobs.status(entry) {
                Status::Queued | Status::Leased { .. } => continue,
                Status::Failed => JobEnd::Failed,
                Status::Done { worker, took_us } => {
                    if !out.abandoned {
                        self.watch.took(task, took_us);
                        let work = &mut self.work[task.index()];
                        work.jobs += 1;
                        work.busy_us += u64::from(took_us);
                    }
                    JobEnd::Done { worker, took_us }
                }
            };
            self.staff.note(end);
            self.jobs.release(entry);
            self.out[entry] = None;
            report(id, end);
        }
        hopeless.map_or(Ok(()), Err)
    }

    /// Waits for an event, at most `within`; returns the workers that ended.
    fn look(&mut self, within: Duration) -> Result<Vec<usize>, WorkersError> {
        let mut events = [EpollEvent::empty(); 8];
        let ms = u16::try_from(within.as_millis()).unwrap_or(u16::MAX);
        // What does not fit is there the next time: events are levels.
        let seen = match self.epoll.wait(&mut events, ms) {
            Ok(n) => n,
            Err(Errno::EINTR) => 0,
            Err(e) => return Err(failed("watch")(e)),
        };
        let mut dead = Vec::new();
        for event in &events[..seen] {
            match event.data() {
                FINISHED => self.staff.hush(),
                RESTART => {
                    self.staff.timer_rang();
                    self.watch.begin();
                }
                LOOK => dead.extend(self.look_for_stuck()),
                worker => dead.push(worker as usize),
            }
        }
        Ok(dead)
    }

    /// Kills workers that stand still. Returns those that the kernel does not let go: they will not run
    /// again, so their jobs are over.
    fn look_for_stuck(&mut self) -> Vec<usize> {
        let since = self.watch.rang();
        let mut debts = vec![Debt::Nothing; self.staff.count()];
        let mut queued = false;
        for (entry, out) in self.out.iter().enumerate() {
            let Some(out) = out else { continue };
            match self.jobs.status(entry) {
                Status::Queued => queued = true,
                Status::Leased { worker } => {
                    if let Some(debt) = debts.get_mut(worker) {
                        let (id, task) = (out.id, out.task);
                        *debt = if out.waits() {
                            Debt::Rows
                        } else {
                            Debt::Job { id, task }
                        };
                    }
                }
                Status::Done { .. } | Status::Failed => {}
            }
        }
        let mut held = Vec::new();
        let mut owed = self.jobs_out() > 0;
        for (worker, debt) in debts.iter_mut().enumerate() {
            let Some(pid) = self.staff.pid(worker) else {
                continue;
            };
            if self.watch.is_condemned(worker) {
                held.extend(self.staff.is_held(worker).then_some(worker));
                owed = true;
                continue;
            }
            if !self.staff.is_ready(worker) {
                *debt = Debt::Start;
                owed = true;
            } else if *debt == Debt::Nothing && queued {
                *debt = Debt::Take;
            }
            let ticks = processes::processor_ticks(pid);
            if let Some(why) = self.watch.look(worker, *debt, ticks, since) {
                tracing::warn!("worker {worker} (process {pid}) is killed: {why}");
                self.staff.condemn(worker);
            }
        }
        if !owed {
            self.watch.end();
        }
        held
    }

    fn bury(&mut self, dead: &[usize]) {
        for &worker in dead {
            self.staff.reap(worker);
            self.watch.forget(worker);
            self.watch.begin();
            self.jobs.bury(worker);
            // It may have taken a token and no job.
            self.staff.ring(self.jobs.queued() as u64);
        }
    }

    /// The statistics of all workers, dead ones included.
    pub fn statistics(&self) -> Vec<Worker> {
        self.staff.statistics()
    }

    /// The tasks that were computed so far, each with the time that it took.
    pub fn work(&self) -> Vec<TaskWork> {
        let done = self.work.iter().filter(|w| w.jobs > 0);
        done.copied().collect()
    }

    /// Ends the workers, which have one second to finish their jobs. The pool does not report jobs that
    /// are still out. Returns the workers' statistics.
    pub fn stop(mut self) -> Vec<Worker> {
        self.jobs.withdraw();
        (0..self.out.len()).for_each(|entry| self.wait_no_more(entry));
        self.staff.dismiss();
        let end = std::time::Instant::now() + GRACE;
        while self.staff.any() {
            let left = end.saturating_duration_since(std::time::Instant::now());
            match self.look(left) {
                Ok(dead) if !left.is_zero() => dead.iter().for_each(|w| self.staff.reap(*w)),
                _ => break,
            }
        }
        self.staff.kill();
        self.staff.statistics()
    }
}

impl AsFd for Workers {
    /// The descriptor that becomes readable when [`Workers::drain`] has work to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
