//! When workers computed what: the loop sees ends, and workers say how long they took.

use std::collections::BTreeMap;

use tessera_protocol::{FrameId, Job, JobId, Micros, TaskId};

use super::time::time;
use crate::workers::JobEnd;

/// Most jobs that are remembered; an edge has far fewer out.
const JOBS_MAX: usize = 4096;

/// A task that was computed.
pub struct Done {
    pub worker: u32,
    pub task: TaskId,
    pub frame: FrameId,
    pub begin: f64,
    pub end: f64,
    /// Microseconds from the job's queueing to its begin.
    pub waited_us: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct WorkerTracks {
    jobs: BTreeMap<JobId, (Micros, TaskId, FrameId)>,
    /// When each worker's last task ended, as it was told.
    free_at: BTreeMap<u32, Micros>,
}

impl WorkerTracks {
    /// A job goes to the workers.
    pub fn queued(&mut self, now: Micros, job: &Job) {
        if self.jobs.len() < JOBS_MAX {
            self.jobs.insert(job.id, (now, job.task, job.frame));
        }
    }

    /// A time of `took_us` that ends about now, behind the worker's last task.
    pub fn slot(&mut self, worker: u32, now: Micros, took_us: u64) -> (f64, f64) {
        let free = self.free_at.entry(worker).or_insert(0);
        let begin = now.saturating_sub(took_us).max(*free);
        *free = now.max(begin);
        (time(begin), time(*free))
    }

    /// Tells of jobs that have ended. Those of one worker ended one after the other; the loop sees them together when it was busy.
    pub fn ended(&mut self, now: Micros, over: &[(JobId, JobEnd)], mut tell: impl FnMut(Done)) {
        let mut left: BTreeMap<u32, u64> = BTreeMap::new();
        for (_, end) in over {
            if let JobEnd::Done { worker, took_us } = end {
                *left.entry(number(*worker)).or_default() += u64::from(*took_us);
            }
        }
        for (id, end) in over {
            let Some((queued, task, frame)) = self.jobs.remove(id) else {
                continue;
            };
            let JobEnd::Done { worker, took_us } = end else {
                continue;
            };
            let worker = number(*worker);
            let after = left.entry(worker).or_default();
            *after = after.saturating_sub((*took_us).into());
            let (begin, end) = self.slot(worker, now.saturating_sub(*after), (*took_us).into());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole microseconds, not below zero"
            )]
            let waited_us = (begin as u64).saturating_sub(queued);
            tell(Done {
                worker,
                task,
                frame,
                begin,
                end,
                waited_us,
            });
        }
    }
}

fn number(worker: usize) -> u32 {
    u32::try_from(worker).unwrap_or(u32::MAX)
}
