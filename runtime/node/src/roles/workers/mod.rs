//! The worker processes of a node, as its network process sees them.
//!
//! ```no_run
//! # use tessera_runtime::{node::workers::*, program::Program, proto::*, shm::*};
//! # fn f(program: &'static Program, info: &ProgramInfo, config: &EdgeConfig, job: Job) -> Result<(), Box<dyn std::error::Error>> {
//! let slots = config.slots(info, 1);
//! let layout = Layout::new(info, &slots, config.max_jobs, config.workers);
//! let segment = Segment::create(&layout)?;
//! let mut store = SegmentStore::new(&segment, &slots)?;
//! let mut workers = Workers::start(program, "weights.bin".as_ref(), &segment, config.workers, 1)?;
//! workers.submit(&job, &mut store)?;
//! // Poll `workers.as_fd()` beside the sockets; when it is readable:
//! workers.drain(|id, finished| println!("{id:?}: {finished:?}"))?;
//! let stats = workers.stop();
//! # Ok(()) }
//! ```
//!
//! A worker that dies costs the job that it had leased, which is reported failed, once; another
//! process takes its place. Everything happens in [`Workers::drain`]: there is no thread.

mod staff;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
        eventfd::{EfdFlags, EventFd},
    },
};

pub use self::staff::WorkerStats;
use self::staff::{Launch, Staff};
use crate::shm::{
    Dispatcher, Segment, SegmentStore, ShmWords, SlotLoan, SlotView, Status,
    entry::{Content, PieceAt, PortIx},
    jobs::Refused,
};
use tessera_protocol::{Job, JobId};
use tessera_runtime::program::Program;

/// How long a worker may take to leave when it is asked to: it finishes its job first.
const GRACE: Duration = Duration::from_secs(2);

/// Why there are no workers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkersError {
    /// The system refused a step.
    #[error("workers: cannot {step}: {source}")]
    System {
        /// Which step.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// More workers than the segment was made for.
    #[error("workers: {asked} asked for, the segment has places for {places}")]
    Count {
        /// Workers asked for.
        asked: usize,
        /// The segment's.
        places: usize,
    },
    /// None is left, and none can be had.
    #[error("workers: given up after {times} starts in a row; the last one {why}")]
    Hopeless {
        /// How often each was started in vain.
        times: u32,
        /// What became of the last one.
        why: Failure,
    },
}

/// Why a worker process did not become ready.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It ended first.
    #[error("ended before it was ready ({0})")]
    Ended(std::process::ExitStatus),
    /// It could not be started.
    #[error("could not be started ({0})")]
    NotStarted(#[source] std::sync::Arc<WorkersError>),
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// As many jobs are out as the segment was made for.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The job does not fit its task: an error of whoever made it.
    #[error("job {job:?} of task {task}: {what}")]
    Malformed {
        /// The job.
        job: JobId,
        /// Its task.
        task: u32,
        /// What is wrong.
        what: &'static str,
    },
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Its outputs are complete.
    Done {
        /// Number of the worker.
        worker: usize,
        /// Microseconds of computing.
        took_us: u32,
    },
    /// Its worker died, or its task panicked. Its slots are quiet again.
    Failed,
}

/// A job that is out. Its slots stay lent until it is over.
#[derive(Debug)]
struct Out {
    id: JobId,
    _inputs: Vec<SlotView>,
    _outputs: Vec<SlotLoan>,
}

/// Worker processes and the jobs that they have.
#[derive(Debug)]
pub struct Workers {
    // Before `out`: dropped first, so no worker lives when its slots are given back.
    staff: Staff,
    program: &'static Program,
    segment: Segment,
    jobs: Dispatcher<ShmWords>,
    /// Per entry of the job table.
    out: Vec<Option<Out>>,
    epoll: Epoll,
    content: Content,
}

/// Names of what [`Workers::as_fd`] watches; workers have their numbers.
const FINISHED: u64 = 1 << 32;
const RESTART: u64 = FINISHED + 1;

fn failed<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> WorkersError {
    move |e| WorkersError::System {
        step,
        source: e.into(),
    }
}

impl Workers {
    /// Starts `count` workers of `threads` threads each, which share the layers of a task: this binary
    /// again, in its `worker` role, with the given weights.
    ///
    /// `TESSERA_RUNNER` names a command that is put before the binary (an emulator). Call it from a
    /// thread that lives as long as the workers should: they are killed when it ends. Only one set
    /// of workers per segment.
    ///
    /// # Errors
    /// When the system refuses. A worker that starts and cannot work shows up in
    /// [`Workers::drain`].
    pub fn start(
        program: &'static Program,
        weights: &Path,
        segment: &Segment,
        count: usize,
        threads: usize,
    ) -> Result<Self, WorkersError> {
        let places = segment.layout().workers;
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
        let launch = Launch::new(program.name, weights, threads);
        let jobs = bell(EfdFlags::EFD_SEMAPHORE)?;
        let finished = bell(EfdFlags::empty())?;
        let staff = Staff::new(launch, segment, jobs, finished, count)?;
        let watch = |fd: BorrowedFd<'_>, name| {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, name);
            epoll.add(fd, event).map_err(failed("watch"))
        };
        watch(staff.finished().as_fd(), FINISHED)?;
        watch(staff.timer(), RESTART)?;
        let mut workers = Self {
            staff,
            program,
            segment: segment.clone(),
            jobs: Dispatcher::new(
                segment.deque(),
                segment.states(),
                segment.entries(),
                segment.layout(),
            ),
            out: (0..segment.layout().jobs).map(|_| None).collect(),
            epoll,
            content: Content::default(),
        };
        workers.staff.start_all(&workers.epoll)?;
        Ok(workers)
    }

    /// Queues a job. Its slots are lent until it is reported.
    ///
    /// # Errors
    /// When too many jobs are out or the job does not fit its task; nothing has happened then.
    ///
    /// # Panics
    /// If the store is another segment's, or a slot of the job is free.
    pub fn submit(&mut self, job: &Job, store: &mut SegmentStore) -> Result<(), SubmitError> {
        assert!(store.segment().is(&self.segment), "the workers' own store");
        let wrong = |what| SubmitError::Malformed {
            job: job.id,
            task: job.task,
            what,
        };
        let task = self.program.tasks.get(job.task as usize);
        let task = task.ok_or_else(|| wrong("there is no such task"))?;
        if job.inputs.len() != task.inputs.len() || job.outputs.len() != task.outputs.len() {
            return Err(wrong("inputs or outputs are missing"));
        }
        self.content.task = job.task;
        self.content.pieces.clear();
        let mut lent_out = Vec::with_capacity(job.outputs.len());
        for (o, (&slot, port)) in job.outputs.iter().zip(task.outputs).enumerate() {
            let loan = store.lend_mut(slot);
            let loan = loan.ok_or_else(|| wrong("an output's slot is in use"))?;
            if loan.floats() < port.region.len() {
                return Err(wrong("an output's slot is too small"));
            }
            self.content.pieces.push(PieceAt {
                port: PortIx::Output(o as u32),
                place: loan.place(),
                region: port.region,
            });
            lent_out.push(loan);
        }
        let mut lent_in = Vec::new();
        for (i, (pieces, port)) in job.inputs.iter().zip(task.inputs).enumerate() {
            // Pieces may overlap, so this finds missing ones, not every hole.
            let mut covered = 0;
            for &(slot, region) in pieces {
                let view = store.lend(slot);
                let view = view.ok_or_else(|| wrong("an input's slot is being written"))?;
                if view.floats().len() < region.len() {
                    return Err(wrong("an input's slot is too small"));
                }
                covered += port.region.meet(region).len();
                self.content.pieces.push(PieceAt {
                    port: PortIx::Input(i as u32),
                    place: view.place(),
                    region,
                });
                lent_in.push(view);
            }
            if covered < port.region.len() {
                return Err(wrong("pieces of an input are missing"));
            }
        }
        let entry = self.jobs.submit(&self.content)?;
        self.out[entry] = Some(Out {
            id: job.id,
            _inputs: lent_in,
            _outputs: lent_out,
        });
        self.staff.ring(1);
        Ok(())
    }

    /// Jobs that are out.
    pub fn jobs_out(&self) -> usize {
        self.out.iter().flatten().count()
    }

    /// Jobs that no worker has leased yet.
    pub fn queued(&self) -> usize {
        self.jobs.queued()
    }

    /// Reports jobs that are over, each once, and looks after the workers: buries dead ones, starts
    /// others. Call it when [`Workers::as_fd`] is readable; at any other time it does no harm. When
    /// `report` is called the job's slots are no longer lent.
    ///
    /// # Errors
    /// When no worker is left and none can be had; all jobs have been reported failed then.
    pub fn drain(&mut self, mut report: impl FnMut(JobId, Finished)) -> Result<(), WorkersError> {
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
            let id = out.id;
            let finished = match self.jobs.status(entry) {
                Status::Queued | Status::Leased { .. } => continue,
                Status::Failed => Finished::Failed,
                Status::Done { worker, took_us } => Finished::Done { worker, took_us },
            };
            self.staff.count(finished);
            self.jobs.release(entry);
            self.out[entry] = None;
            report(id, finished);
        }
        hopeless.map_or(Ok(()), Err)
    }

    /// Waits for something to happen; gives the workers that ended.
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
                RESTART => self.staff.timer_rang(),
                worker => dead.push(worker as usize),
            }
        }
        Ok(dead)
    }

    fn bury(&mut self, dead: &[usize]) {
        for &worker in dead {
            self.staff.reap(worker);
            self.jobs.bury(worker);
            // It may have taken a token and no job.
            self.staff.ring(self.jobs.queued() as u64);
        }
    }

    /// What the workers did, dead ones included.
    pub fn stats(&self) -> Vec<WorkerStats> {
        self.staff.stats()
    }

    /// Ends the workers: they may finish their jobs, but only for two seconds. Jobs that are out
    /// are not reported any more.
    pub fn stop(mut self) -> Vec<WorkerStats> {
        self.jobs.withdraw();
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
        self.staff.stats()
    }
}

impl AsFd for Workers {
    /// Readable when [`Workers::drain`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
