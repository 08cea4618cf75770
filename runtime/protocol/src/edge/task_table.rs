//! One own frame's tasks: waiting, ready, out, done; and where their outputs lie.
//!
//! A task is *done* while somebody holds its outputs. When the last holder is lost it is undone
//! again (*undone*), and is run again if anything that is not done needs it.

use std::collections::BTreeSet;

use crate::{JobId, Micros, NodeId, NodeIncarnation, ProgramInfo, RequestId, TaskId, peer::Peer};

/// A task of an own frame.
#[derive(Clone, Debug, Default)]
pub struct TaskState {
    /// Producers that are not done.
    pub missing: u32,
    /// Who was given it, if anybody.
    pub lease: Option<IssuedLease>,
    /// The job of this node that runs it, if any.
    pub job: Option<JobId>,
    /// Who has its outputs.
    pub holders: Vec<NodeIncarnation>,
    /// Who was said to have its outputs, and did not or could not be reached. Their word on this
    /// task counts no more: two nodes that cannot hear each other would repeat it for ever.
    pub distrusted: Vec<NodeIncarnation>,
    /// Workers that failed it.
    pub failures: u8,
    /// Leases of it that came to nothing.
    pub returned: u8,
    /// How often it was undone.
    pub generation: u16,
    /// What the gateway knows of its outputs.
    pub result: ResultState,
    /// Who finished it first.
    pub first: Option<NodeId>,
    /// Whether anything that is not done needs it.
    needed: bool,
}

/// A lease given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedLease {
    /// To whom.
    pub thief: Peer,
    /// Number of the thief's request.
    pub request: RequestId,
    /// When it was given.
    pub since_us: Micros,
    /// Void from then on.
    pub until_us: Micros,
}

impl IssuedLease {
    /// Whether it was given to `thief` in answer to this request.
    pub fn answers(&self, thief: Peer, request: RequestId) -> bool {
        (self.thief.who(), self.request) == (thief.who(), request)
    }
}

/// What the gateway knows of a task's outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultState {
    /// The gateway has not been told, or must be told again.
    #[default]
    Unsent,
    /// It was told and has not answered.
    Sent,
    /// The gateway knows where they are.
    Acknowledged,
    /// It has them.
    Merged,
}

/// The tasks of one frame.
#[derive(Clone, Debug)]
pub struct TaskTable {
    tasks: Vec<TaskState>,
    ready: BTreeSet<TaskId>,
    /// Something was undone: what is needed changes with what is done.
    undone: bool,
}

impl TaskState {
    /// Whether somebody has its outputs.
    pub fn done(&self) -> bool {
        !self.holders.is_empty()
    }

    /// Whether another node may be given it: after some leases that came to nothing its owner runs
    /// it itself.
    pub const fn leasable(&self) -> bool {
        self.returned < 3
    }
}

impl TaskTable {
    /// Holders that are remembered, and distrusted, per task.
    const HOLDERS_MAX: usize = 8;

    /// Nothing is done.
    pub fn new(info: &ProgramInfo) -> Self {
        let mut all = Self {
            tasks: vec![TaskState::default(); info.tasks.len()],
            ready: BTreeSet::new(),
            undone: false,
        };
        for (task, t) in all.tasks.iter_mut().zip(&info.tasks) {
            task.missing = t.producers.len() as u32;
        }
        all.reconsider(info);
        all
    }

    /// A task.
    pub fn get(&self, task: TaskId) -> &TaskState {
        &self.tasks[task.index()]
    }

    /// A task; call [`TaskTable::refresh`] after a change of lease or job.
    pub fn get_mut(&mut self, task: TaskId) -> &mut TaskState {
        &mut self.tasks[task.index()]
    }

    /// All tasks, by id.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, &TaskState)> {
        (0..).map(TaskId).zip(&self.tasks)
    }

    /// All tasks, by id.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (TaskId, &mut TaskState)> {
        (0..).map(TaskId).zip(&mut self.tasks)
    }

    /// Tasks that can be run now and that nobody has.
    pub fn ready(&self) -> impl DoubleEndedIterator<Item = TaskId> + '_ {
        self.ready.iter().copied()
    }

    /// Whether another node may have one.
    pub fn any_leasable(&self) -> bool {
        self.ready().any(|t| self.get(t).leasable())
    }

    /// Puts a task among the ready ones, or takes it out.
    pub fn refresh(&mut self, task: TaskId) {
        let t = &self.tasks[task.index()];
        let ready = t.needed && t.missing == 0 && !t.done() && t.lease.is_none() && t.job.is_none();
        if ready {
            self.ready.insert(task);
        } else {
            self.ready.remove(&task);
        }
    }

    /// Works out what is needed: what the gateway does not have, and what that is made of.
    pub fn reconsider(&mut self, info: &ProgramInfo) {
        for k in (0..self.tasks.len()).rev() {
            let spec = &info.tasks[k];
            let t = &self.tasks[k];
            let wanted = spec.for_tail && t.result != ResultState::Merged
                || (spec.consumers.iter()).any(|&c| self.tasks[c.index()].needed);
            self.tasks[k].needed = wanted && !t.done();
        }
        for k in 0..self.tasks.len() as u32 {
            self.refresh(TaskId(k));
        }
    }

    /// Somebody has a task's outputs. Says whether it was undone before.
    pub fn finished(&mut self, info: &ProgramInfo, task: TaskId, holder: NodeIncarnation) -> bool {
        let t = &mut self.tasks[task.index()];
        let first = !t.done();
        if !t.holders.contains(&holder) && t.holders.len() < Self::HOLDERS_MAX {
            t.holders.push(holder);
        }
        t.lease = None;
        t.first.get_or_insert(holder.id);
        self.refresh(task);
        if first {
            for &c in &info.tasks[task.index()].consumers {
                self.tasks[c.index()].missing -= 1;
                self.refresh(c);
            }
            if self.undone {
                self.reconsider(info);
            }
        }
        first
    }

    /// A holder is lost. Says whether the task is undone now.
    pub fn lost(
        &mut self,
        info: &ProgramInfo,
        task: TaskId,
        holder: NodeIncarnation,
        distrust: bool,
    ) -> bool {
        let t = &mut self.tasks[task.index()];
        if distrust && !t.distrusted.contains(&holder) {
            t.distrusted.truncate(Self::HOLDERS_MAX - 1);
            t.distrusted.insert(0, holder);
        }
        let before = t.holders.len();
        t.holders.retain(|h| *h != holder);
        if t.holders.len() == before {
            return false;
        }
        if t.result != ResultState::Merged {
            t.result = ResultState::Unsent;
        }
        if t.done() {
            return false;
        }
        t.generation = t.generation.saturating_add(1);
        for &c in &info.tasks[task.index()].consumers {
            self.tasks[c.index()].missing += 1;
        }
        self.undone = true;
        self.reconsider(info);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, testkit};

    const ME: NodeIncarnation = NodeIncarnation {
        id: NodeId(1),
        incarnation: Incarnation(1),
    };
    const THIEF: NodeIncarnation = NodeIncarnation {
        id: NodeId(2),
        incarnation: Incarnation(1),
    };

    fn ready(t: &TaskTable) -> Vec<u32> {
        t.ready().map(|t| t.0).collect()
    }

    #[test]
    fn tasks_become_ready_when_their_producers_are_done() {
        let info = testkit::two_stages(2);
        let mut t = TaskTable::new(&info);
        assert_eq!(ready(&t), [0, 1, 2, 3]);
        for k in 0..3 {
            assert!(t.finished(&info, TaskId(k), ME));
            assert!(!t.finished(&info, TaskId(k), THIEF));
        }
        // A band reads one row beyond its half, so all four tiles.
        assert_eq!(ready(&t), [3]);
        t.finished(&info, TaskId(3), ME);
        assert_eq!(ready(&t), [4, 5]);
    }

    #[test]
    fn lost_outputs_are_made_again_if_anything_needs_them() {
        let info = testkit::two_stages(2);
        let mut t = TaskTable::new(&info);
        for k in 0..4 {
            t.finished(&info, TaskId(k), THIEF);
        }
        t.finished(&info, TaskId(4), ME);
        assert!(t.lost(&info, TaskId(0), THIEF, false));
        assert_eq!((ready(&t), t.get(TaskId(0)).generation), (vec![0], 1));
        t.finished(&info, TaskId(0), ME);
        assert_eq!(ready(&t), [5]);
        // Another holder is left.
        t.finished(&info, TaskId(1), ME);
        assert!(!t.lost(&info, TaskId(1), THIEF, true));
        assert!(t.get(TaskId(1)).distrusted.contains(&THIEF) && t.get(TaskId(1)).done());
        // Merged and read by nobody any more.
        t.finished(&info, TaskId(5), ME);
        t.get_mut(TaskId(2)).result = ResultState::Merged;
        assert!(t.lost(&info, TaskId(2), THIEF, false));
        assert!(ready(&t).is_empty());
        // The gateway forgot.
        t.get_mut(TaskId(2)).result = ResultState::Unsent;
        t.reconsider(&info);
        assert_eq!(ready(&t), [2]);
    }
}
