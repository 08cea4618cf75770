//! The tasks of one own frame: waiting, ready, out or done; and the holders of their outputs.
//!
//! A task is *done* while some node holds its outputs. When the last holder is lost the task becomes *undone*,
//! and runs again if a task that is not done, or the gateway, needs the outputs.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    JobId, Micros, NodeId, NodeIncarnation, ProgramInfo, RequestId, TaskId,
    edge::verify::check::Check, peer::Peer, retry::Retry,
};
use tessera_plan::dataflow::TaskInfo;

/// The state of a task of an own frame.
#[derive(Clone, Debug, Default)]
pub struct TaskState {
    /// Number of inputs that are not there: producers that are not done and, with work sharing, producers and the frame
    /// of which the gateway does not have all that it passes on.
    pub missing: u32,
    /// The lease under which another node has the task, if any.
    pub lease: Option<IssuedLease>,
    /// The last leases that were given for the task: only their holders' reports of it count.
    given: VecDeque<(NodeIncarnation, RequestId)>,
    /// When the last of the inputs was made.
    pub inputs_us: Micros,
    /// When this node first saw that the task was ready, while it is ready.
    pub ready_us: Option<Micros>,
    /// The job of this node that runs the task, if any.
    pub job: Option<JobId>,
    /// When this node began that job.
    pub job_since_us: Micros,
    /// Nodes that hold the outputs.
    pub holders: Vec<NodeIncarnation>,
    /// Former holders that did not have the outputs or did not answer. Their word on this task counts
    /// no more: two nodes that cannot hear each other would repeat the word for ever.
    pub distrusted: Vec<NodeIncarnation>,
    /// Number of workers that failed the task.
    pub failures: u8,
    /// Number of leases of the task that ended without a result.
    pub returned: u8,
    /// Number of leases that were given back at once.
    pub declined: u8,
    /// How often the task became undone.
    pub generation: u16,
    /// The gateway's knowledge of the outputs.
    pub result: ResultState,
    /// The node of which the gateway was told that it makes the outputs, and whether the gateway has answered.
    pub announced: Option<(NodeIncarnation, bool)>,
    /// The node that finished the task first.
    pub first: Option<NodeId>,
    /// True if the task is checked when another node has finished it.
    pub chosen: bool,
    /// The check of what another node has made, while it lasts: the task is not done.
    pub check: Option<Check>,
    /// True when nothing can need the outputs again, so that the owner has freed its own.
    pub settled: bool,
    /// How often the node that is to finish the task changed.
    assignments: u32,
    /// For a task that a node got before its inputs were made: [`TaskTable::assignments_of`] at that time.
    pub early: Option<u32>,
    /// True when anything that is not done needs the task.
    needed: bool,
    /// The task that is expected to make the outputs: this one stands in for it.
    pub instead_of: Option<TaskId>,
    /// Tasks whose outputs this one makes as well.
    gives: Vec<TaskId>,
    /// True when a task that stands in for another may run: the other one is late, or was lost.
    released: bool,
}

/// A lease that this node has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedLease {
    /// The node that holds the lease.
    pub thief: Peer,
    /// Number of the thief's request.
    pub request: RequestId,
    /// When this node gave the lease.
    pub since_us: Micros,
    /// When the lease becomes void.
    pub until_us: Micros,
    /// When to repeat the lease; `None` once the thief is known to have it, or if the thief asks again itself.
    pub again: Option<Retry>,
}

impl IssuedLease {
    /// True when this lease answers the thief's request.
    pub fn answers(&self, thief: Peer, request: RequestId) -> bool {
        (self.thief.who(), self.request) == (thief.who(), request)
    }
}

/// The gateway's knowledge of a task's outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultState {
    /// The owner must tell the gateway, for the first time or again.
    #[default]
    Unsent,
    /// The owner has told the gateway, and the gateway has not answered.
    Sent,
    /// The gateway knows the holder of the outputs.
    Acknowledged,
    /// The gateway has merged the outputs.
    Merged,
}

/// The tasks of one frame.
#[derive(Clone, Debug)]
pub struct TaskTable {
    tasks: Vec<TaskState>,
    ready: BTreeSet<TaskId>,
    /// True when a task became undone: the set of needed tasks may have changed.
    undone: bool,
    /// With work sharing, the gateway's knowledge of the frame.
    pub frame: ResultState,
}

impl TaskState {
    /// True when some node holds the outputs.
    pub fn done(&self) -> bool {
        !self.holders.is_empty()
    }

    /// A task may be declined so many times before its owner runs it: several sources fill the same room, and the board
    /// asks again when a task ends. A board that has no memory counts for all of them.
    pub const DECLINED_MAX: u8 = 32;

    /// True when the task may be given to a board that waits.
    pub fn givable(&self) -> bool {
        self.leasable() && self.declined < Self::DECLINED_MAX
    }

    /// True when the task is not done, and anything that is not done needs it.
    pub const fn needed(&self) -> bool {
        self.needed
    }

    /// True when the outputs are there, or some node is to make them.
    pub fn is_coming(&self) -> bool {
        self.done() || self.lease.is_some() || self.job.is_some()
    }

    /// The node that makes the outputs, or will; of several the one that was announced. `me` is this node.
    pub fn maker(&self, me: NodeIncarnation) -> Option<NodeIncarnation> {
        let thief = self.lease.map(|l| l.thief.who());
        let here = self.job.map(|_| me);
        let announced = self.announced.map(|(who, _)| who);
        announced
            .filter(|a| thief == Some(*a) || here == Some(*a))
            .or(thief)
            .or(here)
    }

    /// Leases that are remembered. Who reports after so many later ones has computed in vain.
    const GIVEN_MAX: usize = 8;

    /// Notes that a node gets a lease of the task.
    pub fn give(&mut self, lease: IssuedLease) {
        if self.given.len() >= Self::GIVEN_MAX {
            self.given.pop_front();
        }
        self.given.push_back((lease.thief.who(), lease.request));
        self.lease = Some(lease);
    }

    /// True when the node has or had a lease of the task by this request.
    pub fn was_given(&self, who: NodeIncarnation, request: RequestId) -> bool {
        self.given.contains(&(who, request))
    }

    /// Notes that another node than before is to finish the task.
    pub const fn reassigned(&mut self) {
        self.assignments = self.assignments.wrapping_add(1);
    }

    /// True when another node may receive the task. After several leases without a result the owner runs the
    /// task itself.
    pub fn leasable(&self) -> bool {
        self.returned < 3 && self.check.is_none_or(|c| c.is_for_others())
    }

    /// Notes that a node's word on this task counts no more.
    pub fn distrust(&mut self, who: NodeIncarnation) {
        if !self.distrusted.contains(&who) {
            self.distrusted.truncate(TaskTable::HOLDERS_MAX - 1);
            self.distrusted.insert(0, who);
        }
    }

    /// True when this node may receive the task.
    pub fn may_go_to(&self, thief: NodeIncarnation) -> bool {
        self.leasable() && !self.distrusted.contains(&thief)
    }
}

impl TaskTable {
    /// Most holders remembered per task, and most distrusted nodes.
    const HOLDERS_MAX: usize = 8;

    /// A table in which no task is done.
    pub fn new(info: &ProgramInfo) -> Self {
        let state = |t: &TaskInfo| TaskState {
            instead_of: t.instead_of,
            gives: t.gives.clone(),
            ..TaskState::default()
        };
        let mut all = Self {
            tasks: info.tasks.iter().map(state).collect(),
            ready: BTreeSet::new(),
            undone: false,
            frame: ResultState::Unsent,
        };
        all.count_missing(info);
        all.reconsider(info);
        all
    }

    /// Counts again what is missing, after the gateway has got, or lost, what it passes on.
    pub fn recount(&mut self, info: &ProgramInfo) {
        if info.is_shared() {
            self.count_missing(info);
            (0..self.tasks.len() as u32).for_each(|k| self.refresh(TaskId(k)));
        }
    }

    fn count_missing(&mut self, info: &ProgramInfo) {
        for (k, spec) in info.tasks.iter().enumerate() {
            let undone = spec.producers.iter().filter(|p| !self.get(**p).done());
            let mut missing = undone.count();
            if info.is_shared() {
                let makers = spec.producers.iter().map(|p| Some(*p));
                let frame = info.reads_frame(TaskId(k as u32)).then_some(None);
                let at_gateway = |m: &Option<TaskId>| self.is_at_gateway(info, *m);
                missing += makers.chain(frame).filter(|m| !at_gateway(m)).count();
            }
            self.tasks[k].missing = missing as u32;
        }
    }

    /// True if the gateway has all that it passes on of what a task made (`None`: of the frame).
    pub fn is_at_gateway(&self, info: &ProgramInfo, maker: Option<TaskId>) -> bool {
        let known = maker.map_or(self.frame, |t| self.get(t).result);
        known == ResultState::Merged || !info.is_relayed(maker)
    }

    /// True if the gateway should hear who holds a task's outputs (`None`: the frame): the tail reads them, or the gateway is
    /// to pass them on to tasks that are not done.
    pub fn is_for_gateway(&self, info: &ProgramInfo, maker: Option<TaskId>) -> bool {
        let needed = |t: &TaskId| self.get(*t).needed;
        match maker {
            Some(task) => {
                let spec = &info.tasks[task.index()];
                let relayed = || info.is_relayed(maker) && spec.consumers.iter().any(needed);
                spec.for_tail || relayed()
            }
            None => {
                let all = (0..self.tasks.len() as u32).map(TaskId);
                info.is_relayed(None) && { all }.any(|t| info.reads_frame(t) && needed(&t))
            }
        }
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

    /// Tasks that can run now and that no node has.
    pub fn ready(&self) -> impl DoubleEndedIterator<Item = TaskId> + '_ {
        self.ready.iter().copied()
    }

    /// True when a task can run now and no node has it.
    pub fn is_ready(&self, task: TaskId) -> bool {
        self.ready.contains(&task)
    }

    /// True when another node may receive at least one task.
    pub fn any_leasable(&self) -> bool {
        self.ready().any(|t| self.get(t).leasable())
    }

    /// Updates whether a task, and those that stand in for it, are among the ready tasks.
    pub fn refresh(&mut self, task: TaskId) {
        self.refresh_one(task);
        for k in 0..self.tasks[task.index()].gives.len() {
            self.refresh_one(self.tasks[task.index()].gives[k]);
        }
    }

    fn refresh_one(&mut self, task: TaskId) {
        let t = &self.tasks[task.index()];
        let ready = t.needed
            && t.missing == 0
            && !t.done()
            && t.lease.is_none()
            && t.job.is_none()
            && !t.check.is_some_and(|c| c.waits())
            && !self.waits_for_other(task);
        if ready {
            self.ready.insert(task);
        } else {
            self.ready.remove(&task);
            self.tasks[task.index()].ready_us = None;
        }
    }

    /// True while a task stands in for another that will run, and is not late: its outputs come from there.
    pub fn waits_for_other(&self, task: TaskId) -> bool {
        let t = self.get(task);
        let other = t.instead_of.filter(|_| !t.released);
        other.is_some_and(|o| self.get(o).needed)
    }

    /// Lets a task run that stands in for another.
    pub fn release(&mut self, task: TaskId) {
        let t = &mut self.tasks[task.index()];
        t.released = true;
        t.reassigned();
        self.refresh(task);
    }

    /// The state of the task that makes a task's outputs, or will: its own, or that of the one that it stands in for. What
    /// that one has made besides and is lost does not come from there again.
    pub fn maker_of(&self, task: TaskId) -> &TaskState {
        let t = self.get(task);
        let other = t.instead_of.filter(|_| !t.is_coming());
        let other = other.map(|o| self.get(o)).filter(|o| !o.done());
        other.unwrap_or(t)
    }

    /// True when a task's outputs are there, or some node is to make them.
    pub fn is_coming(&self, task: TaskId) -> bool {
        self.maker_of(task).is_coming()
    }

    /// A number that changes when another node is to make an input of the task.
    pub fn assignments_of(&self, info: &ProgramInfo, task: TaskId) -> u32 {
        let producers = info.tasks[task.index()].producers.iter();
        let of = |p: &TaskId| {
            let t = self.get(*p);
            let other = t.instead_of.map_or(0, |o| self.get(o).assignments);
            t.assignments.wrapping_add(other)
        };
        producers.fold(0, |sum: u32, p| sum.wrapping_add(of(p)))
    }

    /// Tasks that no node has yet and whose inputs are all made or being made, some of them still being made.
    pub fn coming<'a>(&'a self, info: &'a ProgramInfo) -> impl Iterator<Item = TaskId> + 'a {
        let free = |t: &TaskState| t.needed && t.missing > 0 && !t.is_coming();
        let all = self.iter().filter(move |(_, t)| free(t));
        let all = all.filter(|(task, _)| !self.waits_for_other(*task));
        let made = |task: TaskId| {
            let producers = &info.tasks[task.index()].producers;
            // What is to be checked is not there before it has been.
            let comes = |p: &TaskId| {
                let unchecked = self.get(*p).done() || !self.is_chosen(info, *p);
                unchecked && self.is_coming(*p)
            };
            producers.iter().all(comes)
        };
        all.map(|(task, _)| task).filter(move |task| made(*task))
    }

    /// True if a task, or the one that makes its outputs besides, is checked when another node has finished it.
    fn is_chosen(&self, info: &ProgramInfo, task: TaskId) -> bool {
        let other = info.tasks[task.index()].instead_of;
        self.get(task).chosen || other.is_some_and(|o| self.get(o).chosen)
    }

    /// Says which tasks are checked when another node has finished them, and which nodes' word on them does not count.
    pub fn choose(&mut self, chosen: impl Fn(TaskId) -> bool, without: &[NodeIncarnation]) {
        for (task, t) in self.iter_mut() {
            t.chosen = chosen(task);
            without.iter().for_each(|who| t.distrust(*who));
        }
    }

    /// True while other nodes may compute a ready task, and this one should not yet.
    pub fn is_for_others(&self, task: TaskId) -> bool {
        self.get(task).check.is_some_and(|c| c.is_for_others())
    }

    /// Tasks that nodes got early and whose inputs come from elsewhere by now.
    pub fn misled(&self, info: &ProgramInfo) -> Vec<TaskId> {
        let wrong = |(task, t): &(TaskId, &TaskState)| {
            t.early
                .is_some_and(|e| e != self.assignments_of(info, *task))
        };
        self.iter().filter(wrong).map(|(task, _)| task).collect()
    }

    /// Notes the time at which tasks became ready.
    pub fn note_ready(&mut self, now_us: Micros) {
        for task in &self.ready {
            self.tasks[task.index()].ready_us.get_or_insert(now_us);
        }
    }

    /// Recomputes the needed tasks: outputs that the gateway lacks, and the producers of those outputs.
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

    /// Notes that a node holds a task's outputs. Returns true when the task was not done before.
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

    /// Notes that a holder is lost. Returns true when the task is undone now.
    pub fn lost(
        &mut self,
        info: &ProgramInfo,
        task: TaskId,
        holder: NodeIncarnation,
        distrust: bool,
    ) -> bool {
        let t = &mut self.tasks[task.index()];
        if distrust {
            t.distrust(holder);
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
        t.reassigned();
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
        // The output is merged and no task reads it any more.
        t.finished(&info, TaskId(5), ME);
        t.get_mut(TaskId(2)).result = ResultState::Merged;
        assert!(t.lost(&info, TaskId(2), THIEF, false));
        assert!(ready(&t).is_empty());
        // The gateway has lost the output.
        t.get_mut(TaskId(2)).result = ResultState::Unsent;
        t.reconsider(&info);
        assert_eq!(ready(&t), [2]);
    }
}
