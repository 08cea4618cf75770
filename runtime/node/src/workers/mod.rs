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
//! A worker that dies costs the job that it had leased, which is reported failed, once; another
//! process takes its place. One that stands still is killed. Everything happens in [`Workers::drain`]: there is no thread.
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

/// How workers are run.
#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// Processes.
    pub count: usize,
    /// Threads of each, which share the layers of a task.
    pub threads: usize,
    /// A worker that owes something and uses no processor time for so long is replaced.
    pub stuck_after: Duration,
    /// What they say on standard error.
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

/// Why there are no workers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkersError {
    /// The system refused a step.
    #[error("workers: cannot {step}: {source}")]
    System {
        /// Which step.
        step: &'static str,
        /// What the system answered.
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
        why: StartFailure,
    },
}

/// Why a worker process did not become ready.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartFailure {
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
pub enum JobEnd {
    /// Its outputs are complete.
    Done {
        /// Number of the worker.
        worker: usize,
        /// Time of computing.
        took_us: u32,
    },
    /// Its worker died, or its task panicked. Its slots are quiet again.
    Failed,
}

/// Wraps a failed step.
fn failed<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> WorkersError {
    move |e| WorkersError::System {
        step,
        source: e.into(),
    }
}
