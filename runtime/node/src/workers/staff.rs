//! Worker processes: starts them, reaps them, replaces them.

use std::{
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    process::{Child, ExitStatus},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::{Epoll, EpollEvent, EpollFlags},
    eventfd::EventFd,
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

use super::{JobEnd, StartFailure, WorkersError, failed, handover, launch::Launch, processes};
use crate::shm::{Segment, ShmWords, worker_line::WorkerLine};
use tessera_plan::files::statistics::Worker;
use tessera_runtime::weights::WeightsFile;

/// Shortest time between two starts of one worker; doubles after every start that ends before the worker is ready.
const RESTART_AFTER: Duration = Duration::from_millis(50);
/// Number of consecutive ends before readiness after which the node gives up a worker.
const BARREN_MAX: u32 = 5;
/// The time that a killed process has to end once its files are closed.
const END_WITHIN: Duration = Duration::from_millis(200);
/// Most processes that the kernel does not let go and that the node waits for.
const HELD_MAX: usize = 64;

#[derive(Debug)]
struct Running {
    child: Child,
    /// The socket ends when the worker ends, and the worker ends when the socket ends.
    socket: UnixStream,
}

#[derive(Debug)]
struct Member {
    running: Option<Running>,
    statistics: Worker,
    started: Option<Instant>,
    /// Consecutive ends before the worker was ready.
    barren: u32,
    failure: Option<StartFailure>,
}

/// All worker processes of a node.
#[derive(Debug)]
pub(super) struct Staff {
    launch: Launch,
    segment: Segment,
    lines: ShmWords,
    jobs: EventFd,
    finished: EventFd,
    timer: TimerFd,
    members: Vec<Member>,
    /// Whether the node starts no further processes.
    dismissed: bool,
    /// Killed processes that the kernel does not let go; at most [`HELD_MAX`].
    held: Vec<Child>,
}

impl Staff {
    pub(super) fn new(
        launch: Launch,
        segment: &Segment,
        jobs: EventFd,
        finished: EventFd,
        count: usize,
    ) -> Result<Self, WorkersError> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags);
        Ok(Self {
            launch,
            segment: segment.clone(),
            lines: segment.workers(),
            jobs,
            finished,
            timer: timer.map_err(failed("make a timer"))?,
            members: (0..count)
                .map(|worker| Member {
                    running: None,
                    statistics: Worker {
                        worker,
                        ..Worker::default()
                    },
                    started: None,
                    barren: 0,
                    failure: None,
                })
                .collect(),
            dismissed: false,
            held: Vec::new(),
        })
    }

    pub(super) fn weights(&self) -> &WeightsFile {
        &self.launch.weights
    }

    pub(super) fn finished(&self) -> &EventFd {
        &self.finished
    }

    pub(super) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Rings the workers' bell for `jobs` jobs that wait.
    pub(super) fn ring(&self, jobs: u64) {
        if jobs > 0 {
            // Fails only when 2^64 - 2 tokens lie there.
            let _ = self.jobs.write(jobs);
        }
    }

    /// Clears the bell of finished jobs, so that workers may ring the bell again.
    pub(super) fn hush(&self) {
        let _ = self.finished.read();
    }

    pub(super) fn timer_rang(&self) {
        // Not blocking; whether it rang is seen from the clock.
        let _ = self.timer.wait();
    }

    /// Starts every missing worker whose start is due; sets the timer for the others.
    ///
    /// # Errors
    /// When no worker is left and none can be started.
    pub(super) fn fill(&mut self, epoll: &Epoll) -> Result<(), WorkersError> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for worker in 0..self.members.len() {
            let m = &self.members[worker];
            if m.running.is_some() || m.barren >= BARREN_MAX || self.dismissed {
                continue;
            }
            let pause = RESTART_AFTER * 2u32.pow(m.barren);
            let due = m.started.map_or(now, |s| s + pause);
            if due > now {
                next = Some(next.map_or(due, |n| n.min(due)));
            } else if let Err(e) = self.start(worker, epoll) {
                // Short of processes or memory, say: that passes, or does not.
                let m = &mut self.members[worker];
                m.started = Some(now);
                m.barren += 1;
                m.failure = Some(StartFailure::NotStarted(Arc::new(e)));
                let again = now + pause;
                next = Some(next.map_or(again, |n| n.min(again)));
            }
        }
        if let Some(due) = next {
            let wait = due
                .saturating_duration_since(now)
                .max(Duration::from_millis(1));
            let once = Expiration::OneShot(TimeSpec::from_duration(wait));
            let set = self.timer.set(once, TimerSetTimeFlags::empty());
            set.map_err(failed("set a timer"))?;
        }
        self.hope()
    }

    /// Checks that a worker runs or may still be started.
    fn hope(&self) -> Result<(), WorkersError> {
        let given_up = |m: &Member| m.running.is_none() && m.barren >= BARREN_MAX;
        match self.members.iter().find_map(|m| m.failure.clone()) {
            Some(why) if self.members.iter().all(given_up) => Err(WorkersError::Hopeless {
                why,
                times: BARREN_MAX,
            }),
            _ => Ok(()),
        }
    }

    /// Starts all workers for the first time.
    ///
    /// # Errors
    /// When one worker cannot be started; the others are killed when `self` is dropped.
    pub(super) fn start_all(&mut self, epoll: &Epoll) -> Result<(), WorkersError> {
        (0..self.members.len()).try_for_each(|worker| self.start(worker, epoll))
    }

    fn start(&mut self, worker: usize, epoll: &Epoll) -> Result<(), WorkersError> {
        WorkerLine::new(&self.lines, worker).clear();
        let (ours, theirs) = UnixStream::pair().map_err(failed("make a socket"))?;
        let fds = [
            self.segment.fd(),
            self.jobs.as_fd(),
            self.finished.as_fd(),
            self.launch.weights.fd(),
        ];
        handover::send(&ours, worker, fds).map_err(failed("hand the segment over"))?;
        // Hanging up is always told; there is nothing to read.
        let event = EpollEvent::new(EpollFlags::EPOLLRDHUP, worker as u64);
        epoll.add(&ours, event).map_err(failed("watch a worker"))?;
        // Its end of the pair is now the child's alone; on failure ours closes and is forgotten.
        let child = self
            .launch
            .start(theirs)
            .map_err(failed("start a worker"))?;
        let m = &mut self.members[worker];
        m.started = Some(Instant::now());
        m.statistics.pid = Some(child.id());
        m.statistics.starts += 1;
        m.running = Some(Running {
            child,
            socket: ours,
        });
        Ok(())
    }

    /// Reaps a worker whose socket has ended: the worker is dead or dying.
    pub(super) fn reap(&mut self, worker: usize) {
        self.reap_until(worker, Instant::now() + END_WITHIN);
    }

    fn reap_until(&mut self, worker: usize, until: Instant) {
        let Some(m) = self.members.get_mut(worker) else {
            return;
        };
        // Closing its socket takes it out of the watch.
        let Some(mut r) = m.running.take() else {
            return;
        };
        // A worker never closes its socket while it lives; should it, it ends here. The process is
        // not reaped before it is waited for, so the id is still its own.
        let _ = r.child.kill();
        let status = ended(&mut r.child, until);
        let line = WorkerLine::new(&self.lines, worker);
        m.barren = if line.is_ready() { 0 } else { m.barren + 1 };
        m.statistics.peak_bytes = m.statistics.peak_bytes.max(line.peak_bytes());
        m.statistics.pid = None;
        match status {
            Some(status) => {
                if !self.dismissed {
                    tracing::warn!("worker {worker} (process {}) ended: {status}", r.child.id());
                }
                m.failure = Some(StartFailure::Ended(status));
            }
            None => {
                tracing::warn!(
                    "worker {worker} (process {}) is killed, and held by the system",
                    r.child.id()
                );
                self.held
                    .retain_mut(|c| !matches!(c.try_wait(), Ok(Some(_))));
                if self.held.len() < HELD_MAX {
                    self.held.push(r.child);
                }
            }
        }
    }

    /// Number of workers, running or not.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Process id of a running worker: the worker's own id, once the worker has written it.
    pub(super) fn pid(&self, worker: usize) -> Option<u32> {
        let running = self.members.get(worker)?.running.as_ref()?;
        let told = WorkerLine::new(&self.lines, worker).pid();
        Some(told.unwrap_or_else(|| running.child.id()))
    }

    /// Whether a worker has begun to wait for jobs.
    pub(super) fn is_ready(&self, worker: usize) -> bool {
        WorkerLine::new(&self.lines, worker).is_ready()
    }

    /// Kills a worker. The worker's end is handled like any other end.
    pub(super) fn condemn(&mut self, worker: usize) {
        let member = self.members.get_mut(worker);
        if let Some(r) = member.and_then(|m| m.running.as_mut()) {
            let _ = r.child.kill();
        }
    }

    /// Whether the kernel still holds a worker that was killed some time ago.
    pub(super) fn is_held(&self, worker: usize) -> bool {
        self.pid(worker).is_some_and(processes::is_held_by_kernel)
    }

    /// Counts the end of a job.
    pub(super) fn note(&mut self, end: JobEnd) {
        if let JobEnd::Done { worker, took_us } = end
            && let Some(m) = self.members.get_mut(worker)
        {
            m.statistics.jobs += 1;
            m.statistics.busy_us += u64::from(took_us);
        }
    }

    /// Asks all workers to leave.
    pub(super) fn dismiss(&mut self) {
        self.dismissed = true;
        for r in self.members.iter().filter_map(|m| m.running.as_ref()) {
            let _ = r.socket.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Whether a worker process runs.
    pub(super) fn any(&self) -> bool {
        self.members.iter().any(|m| m.running.is_some())
    }

    /// Kills all worker processes.
    pub(super) fn kill(&mut self) {
        self.dismissed = true;
        // All first, then one after the other: they end at the same time.
        (0..self.members.len()).for_each(|worker| self.condemn(worker));
        let until = Instant::now() + END_WITHIN;
        for worker in 0..self.members.len() {
            self.reap_until(worker, until);
        }
    }

    pub(super) fn statistics(&self) -> Vec<Worker> {
        let with_peak = |m: &Member| {
            let mut s = m.statistics;
            if m.running.is_some() {
                let peak = WorkerLine::new(&self.lines, s.worker).peak_bytes();
                s.peak_bytes = s.peak_bytes.max(peak);
            }
            s
        };
        self.members.iter().map(with_peak).collect()
    }
}

/// Waits for the end of a killed process.
fn ended(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => return None,
        }
    }
}

impl Drop for Staff {
    fn drop(&mut self) {
        self.kill();
    }
}
