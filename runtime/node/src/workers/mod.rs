//! The worker processes of a node, as its network process sees them.
//!
//! ```no_run
//! # use tessera_node::{shm::*, workers::*};
//! # use tessera_protocol::{EdgeConfig, Job, ProgramInfo};
//! # use tessera_runtime::{program::Program, weights::WeightsFile};
//! # fn f(program: &'static Program, info: &ProgramInfo, config: &EdgeConfig, job: Job) -> Result<(), Box<dyn std::error::Error>> {
//! let slots = config.slots(info, 1);
//! let layout = Layout::new(info, &slots, config.jobs_max, config.workers);
//! let segment = Segment::create(&layout)?;
//! let mut store = SegmentStore::new(&segment, &slots)?;
//! let weights = WeightsFile::open("weights.bin".as_ref())?;
//! let mut workers = Workers::start(program, weights, &segment, &WorkersConfig::default())?;
//! workers.submit(&job, &mut store)?;
//! // Poll `workers.as_fd()` beside the sockets; when it is readable:
//! workers.drain(|id, end| println!("{id:?}: {end:?}"))?;
//! let statistics = workers.stop();
//! # Ok(()) }
//! ```
//!
//! A worker that dies costs the job that it had leased. The pool reports that job failed, once, and starts another
//! process. The pool kills a worker that stands still. Everything happens in [`Workers::drain`]: there is no thread.
//!
//! | file | is |
//! |---|---|
//! | `pool.rs` | jobs: handed out, reported |
//! | `staff.rs` | processes: started, seen off, replaced |
//! | `watch.rs`, `processes.rs` | which of them stand still |
//! | `launch.rs` | the command that starts one |
//! | `handover` | what a worker gets over its socket |

pub(crate) mod handover;
mod launch;
mod pool;
mod processes;
mod staff;
mod watch;

use std::{io, time::Duration};

pub use pool::Workers;

use crate::{log::Level, shm::jobs::Refused};
use tessera_protocol::JobId;

/// The number of workers and the limits of each.
#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// Number of worker processes.
    pub count: usize,
    /// Threads per worker, which share the layers of a task.
    pub threads: usize,
    /// Time without processor use after which a worker that owes a job, or its start, is replaced.
    pub stuck_after: Duration,
    /// Events that the workers report on standard error.
    pub log: Level,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        Self {
            count: 1,
            threads: 1,
            stuck_after: Duration::from_secs(10),
            log: Level::default(),
        }
    }
}

/// Why a node has no workers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkersError {
    /// A system call failed.
    #[error("workers: cannot {step}: {source}")]
    System {
        /// The failed step.
        step: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The segment was made for fewer workers.
    #[error("workers: {asked} asked for, the segment has places for {places}")]
    Count {
        /// Number of workers asked for.
        asked: usize,
        /// Number of workers that the segment has lines for.
        places: usize,
    },
    /// No worker is left, and none can be started.
    #[error("workers: given up after {times} starts in a row; the last one {why}")]
    Hopeless {
        /// Number of vain starts of each worker.
        times: u32,
        /// The reason for the last failed start.
        why: StartFailure,
    },
}

/// Why a worker process did not become ready.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartFailure {
    /// The process ended before it was ready.
    #[error("ended before it was ready ({0})")]
    Ended(std::process::ExitStatus),
    /// The system could not start the process.
    #[error("could not be started ({0})")]
    NotStarted(#[source] std::sync::Arc<WorkersError>),
}

/// Why the pool did not take a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The job table refused the job.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The job does not fit its task, which is an error of the job's author.
    #[error("job {job:?} of task {task}: {what}")]
    Malformed {
        /// The id of the job.
        job: JobId,
        /// The number of the job's task.
        task: u32,
        /// The mismatch, in words.
        what: &'static str,
    },
}

/// The end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// The job's outputs are complete.
    Done {
        /// Number of the worker that ran the job.
        worker: usize,
        /// Microseconds that the worker computed.
        took_us: u32,
    },
    /// The job's worker died, or its task panicked. Nobody writes the job's slots any more.
    Failed,
}

/// Wraps a failed step.
fn failed<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> WorkersError {
    move |e| WorkersError::System {
        step,
        source: e.into(),
    }
}
