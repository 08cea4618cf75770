//! A worker process: leases jobs of its edge's segment, computes the jobs, and reports them.
//!
//! [`crate::workers::Workers`] starts the worker with a socket as standard input. The worker ends when that
//! socket ends, and the system kills the worker if its parent dies first.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write, stdin},
    os::{fd::AsFd, unix::fs::FileExt},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal},
    },
};

use super::{check_cpu, code};
use crate::{
    args::Args,
    error::NodeError,
    memory,
    shm::{
        BadJob, Handed, JobLease, Segment, ShmWords, Taker,
        entry::{Content, Spoiled},
        worker_line::WorkerLine,
    },
    workers::handover,
};
use tessera_runtime::{
    arena::ArenaMemory,
    program::Program,
    team::Team,
    weights::{Use, Weights, WeightsError, WeightsFile},
};

/// Most looks at the deque before going to sleep.
const SPINS_MAX: u32 = 64;
/// Between two notes of the peak memory while jobs come without pause.
const NOTE_EVERY: Duration = Duration::from_millis(50);
/// Idle milliseconds after which it is noted: not in the way of the next job.
const NOTE_IDLE_MS: u16 = 5;

/// Bytes of slots that jobs may read and write before their pages are let go. The system maps 64 KiB
/// around every touched page; slots of many small jobs would add up, and mapping these again takes less
/// than a hundredth of the time of tasks on them.
const LET_GO_BYTES: usize = 128 << 10;

/// Runs the worker role until the edge closes the socket.
pub fn run(program: &'static Program, a: &Args) -> Result<(), NodeError> {
    if a.socket != Some(0) {
        return Err(NodeError::Usage(
            "workers are started by their edge, with a socket as standard input".into(),
        ));
    }
    let sys = |e: Errno| NodeError::io("cannot set up the worker")(e.into());
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(sys)?;
    // Signals to a whole process group (Ctrl-C, a service manager) reach workers too; the edge
    // decides when they leave.
    let mut theirs = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        theirs.add(signal);
    }
    theirs.thread_block().map_err(sys)?;
    offer();
    // What `ps` shows; the command is /proc/self/exe.
    prctl::set_name(c"tessera-worker").map_err(sys)?;
    check_cpu(program)?;
    let from = handover::receive(stdin()).map_err(NodeError::io("no segment from the edge"))?;
    let segment = Segment::from_fd(from.segment, &program.plan_hash)?;
    if from.worker >= segment.layout().workers {
        return Err(NodeError::Usage(format!(
            "there is no worker {}",
            from.worker
        )));
    }
    WorkerLine::new(&segment.workers(), from.worker).set_pid(std::process::id());
    // The file that the edge opened: what lies under its path now may be another.
    let weights = WeightsFile::from_fd(from.weights, &a.weights).map(program, Use::Stages)?;
    let floats = program.tasks.iter().map(|t| t.arena_floats).max();
    let team = Team::new(a.threads).map_err(NodeError::Threads)?;
    let mut worker = Worker {
        program,
        team,
        weights: &weights,
        arena: ArenaMemory::new(floats.unwrap_or(0)),
        taker: Taker::new(
            segment.deque(),
            segment.states(),
            segment.entries(),
            segment.layout(),
            from.worker,
        ),
        lines: segment.workers(),
        number: from.worker,
        segment,
        jobs: from.jobs.into(),
        finished: from.finished.into(),
        content: Content::default(),
        status: File::open("/proc/self/status").ok(),
        noted: Instant::now(),
        news: false,
        touched_bytes: 0,
    };
    code::let_go();
    worker.serve()
}

/// Offers this process to a kernel that is short of memory, before the edge's: a worker is replaced, and
/// costs one task. Raising the value needs no privilege; where it fails, everything else works.
fn offer() {
    if let Err(e) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!("the system does not let workers be killed first: {e}");
    }
}

/// Why a job has no outputs.
#[derive(Debug, thiserror::Error)]
enum JobFailure {
    #[error(transparent)]
    Spoiled(#[from] Spoiled),
    #[error(transparent)]
    Bad(#[from] BadJob),
    #[error("task {0} panicked")]
    Panic(u32),
    #[error("the weights were written to, and rows of task {0} had left")]
    Left(u32),
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

struct Worker<'w> {
    program: &'static Program,
    team: Team,
    weights: &'w Weights,
    arena: ArenaMemory,
    segment: Segment,
    taker: Taker<ShmWords>,
    lines: ShmWords,
    number: usize,
    jobs: File,
    finished: File,
    content: Content,
    status: Option<File>,
    /// When the peak memory was noted.
    noted: Instant,
    /// Whether jobs were computed since.
    news: bool,
    /// Bytes of slots that jobs used since these were let go.
    touched_bytes: usize,
}

impl Worker<'_> {
    fn serve(&mut self) -> Result<(), NodeError> {
        self.note();
        WorkerLine::new(&self.lines, self.number).set_ready();
        while self.wait()? {
            // A token without a job: another worker was there first, or the job was taken back.
            let Some(mut lease) = self.taker.lease() else {
                continue;
            };
            let began = Instant::now();
            let done = self.compute(&mut lease);
            // Weights that cannot be used end the worker, with that message.
            if let Err(e) = &done
                && !matches!(e, JobFailure::Weights(_))
            {
                tracing::error!("worker {}: {e}; the job has failed", self.number);
            }
            self.news = true;
            if self.noted.elapsed() > NOTE_EVERY {
                self.note();
            }
            // Waiting for rows is no work.
            let took = began
                .elapsed()
                .saturating_sub(*done.as_ref().unwrap_or(&Duration::ZERO));
            let took_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
            if !self.taker.finish(lease, done.is_ok(), took_us) {
                return Err(NodeError::Usage(
                    "the edge took this worker for dead".into(),
                ));
            }
            let ring = self.finished.write(&1u64.to_ne_bytes());
            ring.map_err(NodeError::io("cannot tell the edge"))?;
            if let Err(JobFailure::Weights(e)) = done {
                return Err(e.into());
            }
            self.let_go();
        }
        self.note();
        Ok(())
    }

    /// Waits for a token that stands for a job; `false` when the edge wants no more.
    fn wait(&mut self) -> Result<bool, NodeError> {
        for _ in 0..SPINS_MAX {
            if !self.taker.is_idle() {
                break;
            }
            std::hint::spin_loop();
        }
        loop {
            let mut token = [0u8; 8];
            match self.jobs.read(&mut token) {
                Ok(_) => return Ok(true),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(NodeError::io("cannot wait for jobs")(e)),
            }
            let input = stdin();
            let idle = if self.news {
                NOTE_IDLE_MS.into()
            } else {
                PollTimeout::NONE
            };
            let mut fds = [
                PollFd::new(self.jobs.as_fd(), PollFlags::POLLIN),
                PollFd::new(input.as_fd(), PollFlags::POLLIN),
            ];
            let woken = match poll(&mut fds, idle) {
                Ok(n) => n,
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(NodeError::io("cannot wait for jobs")(e.into())),
            };
            // The edge sends nothing more on the socket: any event is its end.
            if fds[1].revents().is_some_and(|r| !r.is_empty()) {
                return Ok(false);
            }
            if woken == 0 {
                self.note();
            }
        }
    }

    /// Runs a leased job; returns for how long the task waited for rows of its inputs.
    fn compute(&mut self, lease: &mut JobLease) -> Result<Duration, JobFailure> {
        self.taker.read(lease, &mut self.content)?;
        let id = self.content.task;
        // SAFETY: `taker` takes leases from this segment's table, and the content was read from the
        // entry of this one. The table is filled by `Workers::submit` of the parent process, which
        // keeps the slots lent until the job is finished or this process is reaped.
        let handed = unsafe { Handed::new(lease, &self.segment, &self.content, self.program) };
        let mut handed = handed?;
        self.touched_bytes = self.touched_bytes.saturating_add(handed.bytes());
        loop {
            let (weights, arena, team) = (self.weights.floats(), self.arena.floats(), &self.team);
            // What a panic leaves behind is undefined content of the arena and of outputs that nobody
            // will read: the job fails.
            catch_unwind(AssertUnwindSafe(|| handed.run(weights, arena, team)))
                .map_err(|_| JobFailure::Panic(id))?;
            // Written to meanwhile, and still the right weights: once more.
            if !self.weights.recheck(self.program)? {
                return Ok(handed.waited());
            }
            if !handed.take_back() {
                return Err(JobFailure::Left(id));
            }
        }
    }

    /// Keeps the resident memory to what some jobs touch, not to all slots that jobs ever touched.
    fn let_go(&mut self) {
        if self.touched_bytes >= LET_GO_BYTES {
            self.touched_bytes = 0;
            self.segment.let_go();
        }
    }

    /// Publishes the peak memory.
    fn note(&mut self) {
        let mut text = [0u8; 4096];
        if let Some(n) = self
            .status
            .as_ref()
            .and_then(|f| f.read_at(&mut text, 0).ok())
        {
            let status = String::from_utf8_lossy(&text[..n]);
            WorkerLine::new(&self.lines, self.number)
                .set_peak_bytes(memory::parse(&status).peak_bytes);
        }
        (self.noted, self.news) = (Instant::now(), false);
    }
}
