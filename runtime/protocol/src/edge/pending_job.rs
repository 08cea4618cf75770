//! What is known of a task on its way to a worker.

use std::collections::BTreeMap;

use crate::{
    FrameId, Job, JobId, ProgramInfo, PullId, RequestId, TaskId, peer::Peer, store::SlotId,
};
use tessera_plan::region::Region;

/// What a pull is for: a need of a job's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPull {
    /// The job that waits for it.
    pub job: JobId,
    /// Which need of its task.
    pub need: usize,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStage {
    /// Inputs are on their way.
    Loading,
    /// Nothing is missing.
    Loaded,
    /// A worker has it.
    Running,
}

/// For whom a job runs, if not for an own frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// Who owns the frame.
    pub owner: Peer,
    /// Number of the request that the lease answered.
    pub request: RequestId,
    /// How long the lease holds without being renewed.
    pub lease_us: u64,
    /// Whether its owner no longer wants it.
    pub revoked: bool,
}

/// A task on its way.
#[derive(Debug)]
pub struct PendingJob {
    /// The frame that the task belongs to.
    pub frame: FrameId,
    /// The task.
    pub task: TaskId,
    /// The lease under which it runs; `None` for an own task.
    pub stolen: Option<HeldLease>,
    /// Loading, loaded or running.
    pub stage: JobStage,
    /// Per need of the task the piece that covers it.
    pub pieces: Vec<InputPiece>,
    /// Per need that is on its way: the pull and from whom.
    pub pulls: BTreeMap<usize, (PullId, Peer)>,
    /// Per output of the task its slot.
    pub outputs: Vec<SlotId>,
}

/// A piece of an input.
#[derive(Clone, Copy, Debug)]
pub struct InputPiece {
    /// Which input of the task.
    pub input: u16,
    /// The slot that holds it.
    pub slot: SlotId,
    /// The packed box that lies there.
    pub region: Region,
    /// Whether the slot is this job's own.
    pub copy: bool,
}

/// Where a need can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSource {
    /// In this slot, which holds this box.
    Local(SlotId, Region),
    /// With another node.
    Remote(Peer),
}

/// All jobs.
#[derive(Debug, Default)]
pub struct PendingJobs {
    jobs: BTreeMap<JobId, PendingJob>,
    next: u32,
}

impl PendingJobs {
    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// A name for another job.
    pub const fn next_id(&mut self) -> JobId {
        let id = JobId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    /// A new job.
    pub fn insert(&mut self, id: JobId, job: PendingJob) {
        self.jobs.insert(id, job);
    }

    /// A job by name.
    pub fn get_mut(&mut self, id: JobId) -> Option<&mut PendingJob> {
        self.jobs.get_mut(&id)
    }

    /// Takes a job out.
    pub fn remove(&mut self, id: JobId) -> Option<PendingJob> {
        self.jobs.remove(&id)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// All jobs, by id.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &PendingJob)> {
        self.jobs.iter().map(|(&id, j)| (id, j))
    }

    /// All jobs, by id.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (JobId, &mut PendingJob)> {
        self.jobs.iter_mut().map(|(&id, j)| (id, j))
    }
}

impl PendingJob {
    /// As a worker gets it.
    pub fn to_job(&self, id: JobId, info: &ProgramInfo) -> Job {
        let mut inputs = vec![Vec::new(); info.tasks[self.task.index()].inputs.len()];
        for p in &self.pieces {
            // One object may cover several needs of an input; its box is named once.
            let pieces: &mut Vec<(SlotId, Region)> = &mut inputs[usize::from(p.input)];
            if !pieces.contains(&(p.slot, p.region)) {
                pieces.push((p.slot, p.region));
            }
        }
        Job {
            id,
            task: self.task,
            frame: self.frame,
            stolen: self.stolen.is_some(),
            inputs,
            outputs: self.outputs.clone(),
        }
    }
}
