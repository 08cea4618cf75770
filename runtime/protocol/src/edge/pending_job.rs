//! The state of tasks on their way to a worker.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    FrameId, Job, JobId, ProgramInfo, PullId, RequestId, TaskId, peer::Peer, store::SlotId,
};
use tessera_plan::{
    dataflow::{Need, ObjectKey},
    region::Region,
};

/// What a pull is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullTag {
    /// An input of a job.
    Input(InputPull),
    /// The comparison with this number.
    Check(u32),
}

/// The need of a job's task that a pull serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPull {
    /// The job that waits for the pull.
    pub job: JobId,
    /// Index of the need in the task's needs.
    pub need: usize,
    /// The part of the need's box that the pull fetches.
    pub part: Region,
}

/// A need of a job that is fetched from another node.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The node that has the object, or will have it.
    pub holder: Peer,
    /// The state of the fetch.
    pub state: FetchState,
}

/// The state of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchState {
    /// It starts when no other task of this node fetches a part of the same box.
    Waits,
    /// Pulls under way.
    UnderWay(Vec<FetchedPart>),
}

/// A pull under way for a need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedPart {
    /// The pull.
    pub pull: PullId,
    /// The part of the need's box that the pull fetches.
    pub region: Region,
    /// Number of rows of the part that are here, with all rows before them.
    pub rows: usize,
}

/// Why the outcome of a running job does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandoned {
    /// Nobody wants the outputs any more.
    Unwanted,
    /// A need could not be fetched.
    Starved {
        /// Index of the need in the task's needs.
        need: usize,
        /// The node that was to have the object.
        holder: Peer,
    },
}

/// The stage of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStage {
    /// Some inputs are still under way.
    Loading,
    /// All inputs are here.
    Loaded,
    /// A worker runs the job, or waits for rows of its inputs.
    Running,
}

/// A lease that this node holds as a thief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// The owner of the frame.
    pub owner: Peer,
    /// Number of the request that the lease answered.
    pub request: RequestId,
    /// Duration of the lease without a renewal, in microseconds.
    pub lease_us: u64,
    /// True when the owner no longer wants the task.
    pub revoked: bool,
}

/// A task on its way to a worker.
#[derive(Debug)]
pub struct PendingJob {
    /// The frame that the task belongs to.
    pub frame: FrameId,
    /// The task that the job runs.
    pub task: TaskId,
    /// The lease under which the job runs; `None` for an own task.
    pub stolen: Option<HeldLease>,
    /// The job's stage.
    pub stage: JobStage,
    /// For each need of the task, the piece that covers the need.
    pub pieces: Vec<InputPiece>,
    /// For each need that a job of this node is making, the task.
    pub awaits: BTreeMap<usize, TaskId>,
    /// Needs whose objects were not made when the job began.
    pub early_needs: BTreeSet<usize>,
    /// Needs that are fetched.
    pub fetches: BTreeMap<usize, Fetch>,
    /// For each object that the task [makes](tessera_plan::dataflow::TaskGraph::made), the slot.
    pub outputs: Vec<SlotId>,
    /// Set when the worker's outcome does not count.
    pub abandoned: Option<Abandoned>,
}

/// A slot that covers a part of an input.
#[derive(Clone, Copy, Debug)]
pub struct InputPiece {
    /// Index of the task's input.
    pub input: u16,
    /// The slot that holds the piece.
    pub slot: SlotId,
    /// The packed box in the slot.
    pub region: Region,
    /// True when the slot belongs to this job alone.
    pub copy: bool,
    /// While the need is fetched: number of rows of the box that are here, with all rows before them.
    pub rows: usize,
}

/// The place where a need can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSource {
    /// On this node, in this slot, which holds this box.
    Local(SlotId, Region),
    /// On this node, once a job of this node has made it: the job's slot, and its box.
    Coming(SlotId, Region),
    /// On another node.
    Remote(Peer),
    /// On another node, once that node has made it.
    Early(Peer),
}

/// All jobs of this node.
#[derive(Debug, Default)]
pub struct PendingJobs {
    jobs: BTreeMap<JobId, PendingJob>,
    next: u32,
}

impl PendingJobs {
    /// The job of this node that makes a task's outputs.
    pub fn making(&self, frame: FrameId, task: TaskId) -> Option<(JobId, &PendingJob)> {
        let mut all = self.iter();
        all.find(|(_, j)| j.frame == frame && j.task == task)
    }

    /// The job of this node that makes an object, and the object's slot.
    pub fn making_object(
        &self,
        info: &ProgramInfo,
        frame: FrameId,
        key: ObjectKey,
    ) -> Option<(JobId, &PendingJob, SlotId)> {
        let of_frame = self.iter().filter(|(_, j)| j.frame == frame);
        { of_frame }.find_map(|(id, j)| {
            let place = info.place_among(j.task, key)?;
            Some((id, j, *j.outputs.get(place)?))
        })
    }

    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Number of jobs without those that wait for objects that are not made yet.
    pub fn active(&self) -> usize {
        let waits = |j: &PendingJob| j.stage == JobStage::Loading && !j.early_needs.is_empty();
        self.jobs.values().filter(|j| !waits(j)).count()
    }

    /// The job that a worker should have next: of all that have their inputs the first, but of one source's frames the
    /// oldest, if `in_order`. A task of a later frame waits while one of an earlier frame is on its way here: it would keep the worker.
    /// Of tasks for which `one_each` is true, there are as many with workers as there are `workers`.
    pub fn next_loaded(
        &self,
        workers: usize,
        in_order: bool,
        one_each: impl Fn(TaskId) -> bool,
    ) -> Option<JobId> {
        let running = self.jobs.values().filter(|j| j.stage == JobStage::Running);
        let full = running.count() >= workers;
        let source = |j: &PendingJob| (j.frame.source, j.frame.incarnation);
        let first = |j: &PendingJob| {
            let before = |o: &PendingJob| source(o) == source(j) && o.frame.number < j.frame.number;
            let mut waiting = (self.jobs.values()).filter(|o| o.stage != JobStage::Running);
            !in_order || !waiting.any(before)
        };
        let may =
            |j: &PendingJob| j.stage == JobStage::Loaded && !(full && one_each(j.task)) && first(j);
        self.iter().find(|(_, j)| may(j)).map(|(id, _)| id)
    }

    /// A fresh id for a job.
    pub const fn next_id(&mut self) -> JobId {
        let id = JobId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    /// Adds a job.
    pub fn insert(&mut self, id: JobId, job: PendingJob) {
        self.jobs.insert(id, job);
    }

    /// A job by id.
    pub fn get(&self, id: JobId) -> Option<&PendingJob> {
        self.jobs.get(&id)
    }

    /// A job by id.
    pub fn get_mut(&mut self, id: JobId) -> Option<&mut PendingJob> {
        self.jobs.get_mut(&id)
    }

    /// Takes a job out.
    pub fn remove(&mut self, id: JobId) -> Option<PendingJob> {
        self.jobs.remove(&id)
    }

    /// True when there are no jobs.
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
    /// True while a worker makes outputs that will count when it is through.
    pub fn counts(&self) -> bool {
        let wanted = self.stolen.is_none_or(|s| !s.revoked);
        self.stage == JobStage::Running && self.abandoned.is_none() && wanted
    }

    /// Notes that all inputs are here, if they are.
    pub fn loaded_if_complete(&mut self) {
        let complete = self.fetches.is_empty() && self.awaits.is_empty();
        if complete && self.stage == JobStage::Loading {
            self.stage = JobStage::Loaded;
        }
    }

    /// True when the rows of all inputs are here or on their way, so that a worker may begin: of every part that is
    /// fetched, the first row has come.
    pub fn may_begin(&self) -> bool {
        self.stage == JobStage::Loading
            && self.awaits.is_empty()
            && self.fetches.keys().all(|k| self.has_rows(*k))
    }

    /// True when rows of all parts of a need that is fetched are here.
    pub fn has_rows(&self, need: usize) -> bool {
        match self.fetches.get(&need).map(|f| &f.state) {
            None => true,
            Some(FetchState::Waits) => false,
            Some(FetchState::UnderWay(parts)) => parts.iter().all(|p| p.rows > 0),
        }
    }

    /// Bytes of inputs that are made and not here.
    pub fn missing_bytes(&self, info: &ProgramInfo) -> usize {
        let needs = &info.tasks[self.task.index()].needs;
        let missing = self.fetches.iter().map(|(k, f)| match &f.state {
            FetchState::Waits => info.need_bytes(&needs[*k]),
            FetchState::UnderWay(parts) => parts
                .iter()
                .map(|p| {
                    let mut region = p.region;
                    region.y.lo += p.rows.min(region.h());
                    info.need_bytes(&Need {
                        region,
                        ..needs[*k]
                    })
                })
                .sum(),
        });
        missing.sum()
    }

    /// The slot and the rows of a need's piece, if more rows of the piece are here than before.
    pub fn more_rows(&mut self, need: usize) -> Option<(SlotId, usize)> {
        let piece = self.pieces.get_mut(need)?;
        let region = piece.region;
        let to = |p: &FetchedPart| p.region.y.lo + p.rows - region.y.lo;
        let rows = match self.fetches.get(&need).map(|f| &f.state) {
            None => region.h(),
            Some(FetchState::Waits) => 0,
            Some(FetchState::UnderWay(parts)) => {
                parts.iter().map(to).min().unwrap_or_else(|| region.h())
            }
        };
        // A transfer that begins again, with smaller datagrams, has fewer rows than before.
        let more = rows > piece.rows;
        piece.rows = piece.rows.max(rows);
        more.then_some((piece.slot, rows))
    }

    /// The job in the form that the shell receives.
    pub fn to_job(&self, id: JobId, info: &ProgramInfo) -> Job {
        let mut inputs = vec![Vec::new(); info.tasks[self.task.index()].inputs.len()];
        for p in &self.pieces {
            // One object may cover several needs of an input; the list names the object's box once.
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
            arriving: (self.fetches.keys())
                .map(|k| (self.pieces[*k].slot, self.pieces[*k].rows))
                .collect(),
        }
    }
}
