//! Workers that stand still: stopped by a signal, held by a dead card, caught in an endless loop.
//!
//! The watch looks at two things, so that it never takes a slow worker for a stuck one:
//!
//! - *Still.* A worker that owes something and uses no processor time at all for
//!   [`WorkersConfig::stuck_after`](super::WorkersConfig) is stuck. On a slow board, under an emulator or beside a busy
//!   neighbour a worker computes slowly, but it computes.
//! - *Endless.* A worker that computes one job for much longer than its task ever took here, or, before
//!   the task has run here, than the task's multiply-adds take on the slowest board there is.
//!
//! The watch counts only time during which this process itself ran: when a laptop wakes, or the whole node was
//! stopped, no worker has been still. The watch rests while no worker owes anything.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tessera_protocol::{JobId, TaskId};

use super::{WorkersError, failed};

/// Longest time between two looks.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Number of looks within the time after which a worker is stuck.
const LOOKS: u32 = 8;
/// Lower bound of a job's time limit.
const JOB_MIN: Duration = Duration::from_secs(60);
/// A job's time limit, as a multiple of the slowest run of its task.
const SLOWEST_TIMES: u64 = 20;
/// Multiply-adds per microsecond of the slowest board there is, which limit a task that has not run yet.
const MACS_PER_US_MIN: u64 = 10;
/// The time that a worker may compute before it is ready, while it reads its weights.
const START_MAX: Duration = Duration::from_secs(300);

/// The step that a worker owes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Debt {
    /// No step: the worker waits for jobs, and no job waits.
    #[default]
    Nothing,
    /// The worker has to become ready.
    Start,
    /// The worker has to take one of the jobs that wait.
    Take,
    /// No step: the worker waits for rows of its job's inputs, which this process has not brought yet.
    Rows,
    /// The worker has to finish a job.
    Job {
        /// The id of the job.
        id: JobId,
        /// The job's task.
        task: TaskId,
    },
}

/// Why the watch takes a worker for stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stuck {
    /// The worker has used no processor time for this long.
    #[error("it has stood still for {0:?}")]
    Still(Duration),
    /// The worker has owed one step for this long, more than the step's limit.
    #[error("it has not come to an end for {0:?}")]
    Endless(Duration),
}

#[derive(Clone, Debug, Default)]
struct Watched {
    debt: Debt,
    /// Time since the worker began to owe its debt.
    owing: Duration,
    /// Time since the worker last used the processor.
    still: Duration,
    ticks: Option<u64>,
    /// Whether the watch has reported the worker as stuck.
    condemned: bool,
}

/// The watch over all workers.
#[derive(Debug)]
pub(super) struct Watch {
    timer: TimerFd,
    /// Time of the last look; `None` while the timer is off.
    looked: Option<Instant>,
    stuck_after: Duration,
    watched: Vec<Watched>,
    /// Multiply-adds of every task.
    macs: Vec<u64>,
    /// Longest time of every task, in microseconds; 0 for a task that has not run yet.
    slowest_us: Vec<u64>,
}

impl Watch {
    pub(super) fn new(
        workers: usize,
        stuck_after: Duration,
        macs: Vec<u64>,
    ) -> Result<Self, WorkersError> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags);
        Ok(Self {
            timer: timer.map_err(failed("make a timer"))?,
            looked: None,
            stuck_after,
            watched: vec![Watched::default(); workers],
            slowest_us: vec![0; macs.len()],
            macs,
        })
    }

    /// The descriptor that becomes readable when a look is due.
    pub(super) fn timer(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.timer.as_fd()
    }

    fn look_every(&self) -> Duration {
        (self.stuck_after / LOOKS).clamp(Duration::from_millis(10), LOOK_MAX)
    }

    /// Starts the looks, because a worker owes a step.
    pub(super) fn begin(&mut self) {
        if self.looked.is_some() {
            return;
        }
        let every = Expiration::Interval(TimeSpec::from_duration(self.look_every()));
        // Without a timer there is no watch, and all else works.
        if self.timer.set(every, TimerSetTimeFlags::empty()).is_ok() {
            self.looked = Some(Instant::now());
        }
    }

    /// Stops the looks, because no worker owes a step.
    pub(super) fn end(&mut self) {
        self.looked = None;
        let _ = self.timer.unset();
        self.watched.fill(Watched::default());
    }

    /// Handles the timer; returns the time that counts since the last look.
    pub(super) fn rang(&mut self) -> Duration {
        // Not blocking; how often it rang does not matter.
        let _ = self.timer.wait();
        let now = Instant::now();
        let last = self.looked.replace(now).unwrap_or(now);
        (now - last).min(2 * self.look_every())
    }

    /// Forgets a worker whose process has ended.
    pub(super) fn forget(&mut self, worker: usize) {
        self.watched[worker] = Watched::default();
    }

    /// Notes the time of a task's run, in microseconds.
    pub(super) fn took(&mut self, task: TaskId, took_us: u32) {
        if let Some(slowest) = self.slowest_us.get_mut(task.index()) {
            *slowest = (*slowest).max(u64::from(took_us));
        }
    }

    fn limit(&self, debt: Debt) -> Duration {
        let Debt::Job { task, .. } = debt else {
            return if debt == Debt::Start {
                START_MAX
            } else {
                JOB_MIN
            };
        };
        let of = |all: &[u64]| all.get(task.index()).copied().unwrap_or(0);
        let us = match of(&self.slowest_us) {
            0 => of(&self.macs) / MACS_PER_US_MIN,
            slowest => slowest.saturating_mul(SLOWEST_TIMES),
        };
        JOB_MIN.max(self.stuck_after) + Duration::from_micros(us)
    }

    /// A look at a worker: what it owes, the processor time that it has used, and the time that counts since
    /// the last look. Says once that it is stuck.
    pub(super) fn look(
        &mut self,
        worker: usize,
        debt: Debt,
        ticks: Option<u64>,
        since: Duration,
    ) -> Option<Stuck> {
        let (limit, stuck_after) = (self.limit(debt), self.stuck_after);
        let w = &mut self.watched[worker];
        if w.debt != debt {
            *w = Watched {
                debt,
                ticks,
                condemned: w.condemned,
                ..Watched::default()
            };
            return None;
        }
        w.owing += since;
        w.still += since;
        if w.ticks != ticks {
            w.ticks = ticks;
            w.still = Duration::ZERO;
        }
        let stuck = match debt {
            Debt::Nothing | Debt::Rows => None,
            _ if w.still >= stuck_after => Some(Stuck::Still(w.still)),
            _ if w.owing >= limit => Some(Stuck::Endless(w.owing)),
            _ => None,
        };
        stuck.filter(|_| !std::mem::replace(&mut w.condemned, true))
    }

    /// Whether a worker was taken for stuck and has not ended yet.
    pub(super) fn is_condemned(&self, worker: usize) -> bool {
        self.watched[worker].condemned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch() -> Watch {
        Watch::new(1, 10 * SECOND, vec![600_000_000, 0]).unwrap()
    }

    fn job(id: u32, task: u32) -> Debt {
        Debt::Job {
            id: JobId(id),
            task: TaskId(task),
        }
    }

    /// Looks every second, at a worker whose processor time is `ticks`, until it is stuck.
    fn seconds(w: &mut Watch, debt: Debt, ticks: impl Fn(u64) -> u64) -> Option<(u64, Stuck)> {
        (0..2000).find_map(|s| Some((s, w.look(0, debt, Some(ticks(s)), SECOND)?)))
    }

    #[test]
    fn who_owes_and_does_nothing_stands_still() {
        for debt in [Debt::Start, Debt::Take, job(1, 0)] {
            let stuck = seconds(&mut watch(), debt, |_| 7);
            assert_eq!(stuck, Some((10, Stuck::Still(10 * SECOND))), "{debt:?}");
        }
        for debt in [Debt::Nothing, Debt::Rows] {
            assert_eq!(seconds(&mut watch(), debt, |_| 7), None);
        }
    }

    #[test]
    fn who_computes_slowly_is_left_alone() {
        // A tick every nine seconds, for as long as 600 million multiply-adds take a very slow board.
        let mut w = watch();
        let stuck = seconds(&mut w, job(1, 0), |s| s / 9);
        assert_eq!(stuck, Some((120, Stuck::Endless(120 * SECOND))));
        // Once a run has taken half a minute, another may take ten.
        let mut w = watch();
        w.took(TaskId(0), 30_000_000);
        let stuck = seconds(&mut w, job(1, 0), |s| s / 9);
        assert_eq!(stuck, Some((660, Stuck::Endless(660 * SECOND))));
        // One job after the other.
        let mut w = watch();
        let stuck = (0..2000).find_map(|s| w.look(0, job(s / 50, 1), Some(s.into()), SECOND));
        assert_eq!(stuck, None);
    }

    #[test]
    fn it_is_said_once() {
        let mut w = watch();
        assert!(seconds(&mut w, job(1, 0), |_| 7).is_some());
        assert!(w.is_condemned(0));
        assert_eq!(seconds(&mut w, job(1, 0), |_| 7), None);
        assert_eq!(seconds(&mut w, Debt::Take, |_| 7), None);
        w.forget(0);
        assert!(seconds(&mut w, job(2, 0), |_| 7).is_some());
    }

    #[test]
    fn time_that_nobody_watched_does_not_count() {
        let mut w = Watch::new(1, Duration::from_millis(80), vec![]).unwrap();
        w.begin();
        std::thread::sleep(Duration::from_millis(300));
        assert!(w.rang() <= Duration::from_millis(20));
    }
}
