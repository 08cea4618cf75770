//! Work stealing: after DeepThings' WST, with data locality for plans of several stages; or, where the program says so, to
//! its letter: one queue of tasks in their order, of which all take the head ([`tessera_plan::placement::Placement::Queue`]).

use std::cmp::Reverse;

use tessera_plan::dataflow::{Need, ObjectKey};

use super::{Backup, Choice, Situation};
use crate::{
    FrameNumber, NodeIncarnation, ProgramInfo, TaskId,
    edge::{
        own_frames::OwnFrame,
        task_table::{TaskState, TaskTable},
    },
};

/// Most ready tasks of a frame to compare: enough for the largest useful grid of one stage.
const CANDIDATES_MAX: usize = 512;

/// Own frames whose tasks may run, oldest first.
pub(super) fn sound<'a>(s: &Situation<'a>) -> impl Iterator<Item = (FrameNumber, &'a OwnFrame)> {
    s.frames
        .in_flight()
        .filter(|(_, f)| !f.failed && f.restart.is_none())
}

/// Of the oldest frame with a ready task, the task with the least input elsewhere; ties go to the first task. With a queue,
/// its head.
pub fn next_own(s: &Situation<'_>) -> Option<Choice> {
    sound(s).find_map(|(number, f)| {
        let here = |t| f.outputs.contains_key(&t);
        let task = if s.info.placement.is_queue() {
            head(&f.tasks, s.info, |_| true)?
        } else {
            pick_own(&f.tasks, s.info, here)?
        };
        Some(Choice { number, task })
    })
}

/// Of the oldest frame with a ready task, the task with the most input at the thief and the least here;
/// ties go to the last task. With a queue, its head.
pub fn for_thief(
    s: &Situation<'_>,
    thief: NodeIncarnation,
    fits: impl Fn(Choice) -> bool,
) -> Option<Choice> {
    sound(s).find_map(|(number, f)| {
        let here = |t| f.outputs.contains_key(&t);
        let task = if s.info.placement.is_queue() {
            head(&f.tasks, s.info, |t| t.may_go_to(thief))?
        } else {
            pick_for(&f.tasks, s.info, thief, here)?
        };
        let choice = Choice { number, task };
        fits(choice).then_some(choice)
    })
}

/// The task that has been leased for longest, when a worker has nothing else to do.
pub fn backup(s: &Situation<'_>) -> Backup {
    if s.jobs >= s.config.workers.max(1) {
        return Backup::No;
    }
    let out = sound(s).flat_map(|(number, f)| {
        // An input may have been lost since the task was given away.
        let runnable = |t: &TaskState| t.job.is_none() && !t.done() && t.missing == 0;
        let out = f.tasks.iter().filter(move |(_, t)| runnable(t));
        out.filter_map(move |(task, t)| {
            let at = t.lease?.since_us.checked_add(s.config.backup_after_us)?;
            Some((at, number, task))
        })
    });
    match out.min() {
        None => Backup::No,
        Some((at, ..)) if at > s.now_us => Backup::NotBefore(at),
        Some((_, number, task)) => Backup::Now(Choice { number, task }),
    }
}

/// Every ready task may be stolen, unless too many leases of the task ended without a result.
pub fn offers_work(s: &Situation<'_>) -> bool {
    sound(s).any(|(_, f)| f.tasks.any_leasable())
}

/// A node asks when no own task is ready and the node has room for a job and the job's outputs.
pub fn wants_work(s: &Situation<'_>) -> bool {
    let waits = !s.info.placement.sources_steal() && s.config.frames_max > 0;
    !waits
        && s.jobs < s.config.jobs_max
        && s.foreign_bytes < s.config.foreign_bytes_max
        && !sound(s).any(|(_, f)| f.tasks.ready().next().is_some())
}

/// True with several stages: the victim's next task may read outputs that this node holds. With a queue, victims take turns.
pub fn keeps_victim(info: &ProgramInfo) -> bool {
    !info.placement.is_queue() && info.tasks.last().is_some_and(|t| t.stage > 0)
}

/// Chooses an own task. `here` tells whether a task's outputs lie on this node; the frame always does.
fn pick_own(
    tasks: &TaskTable,
    info: &ProgramInfo,
    here: impl Fn(TaskId) -> bool,
) -> Option<TaskId> {
    let elsewhere = |task: TaskId| -> usize {
        (info.tasks[task.index()].needs.iter())
            .filter(|n| n.key.task().is_some_and(|t| !here(t)))
            .map(|n| n.region.len())
            .sum()
    };
    // What stands in for others comes last: what it stands in for may still come.
    let mine = candidates(tasks).filter(|t| !tasks.is_for_others(*t));
    mine.min_by_key(|&t| (info.stands_in(t), elsewhere(t)))
}

/// Chooses a task for a thief. Ties go to the last task: a neighbour of the thief's earlier tasks.
fn pick_for(
    tasks: &TaskTable,
    info: &ProgramInfo,
    thief: NodeIncarnation,
    here: impl Fn(TaskId) -> bool,
) -> Option<TaskId> {
    let score = |task: TaskId| {
        let (mut theirs, mut ours) = (0, 0);
        for Need { key, region, .. } in &info.tasks[task.index()].needs {
            match *key {
                ObjectKey::Output { task, .. } if tasks.get(task).holders.contains(&thief) => {
                    theirs += region.len();
                }
                ObjectKey::Output { task, .. } if !here(task) => {}
                _ => ours += region.len(),
            }
        }
        // Others wait for borders: tiles that hand some over come first, and tasks that stand in for them last.
        let gives = !info.tasks[task.index()].gives.is_empty();
        (!info.stands_in(task), gives, theirs, Reverse(ours))
    };
    let may = |t: &TaskId| tasks.get(*t).may_go_to(thief);
    candidates(tasks).filter(may).max_by_key(|&t| score(t))
}

/// The first task of the queue that `may` be taken. Where borders are reused, tiles that hand some over have lower numbers than
/// those that take them, as in the paper. What stands in for others comes last.
fn head(tasks: &TaskTable, info: &ProgramInfo, may: impl Fn(&TaskState) -> bool) -> Option<TaskId> {
    let open = candidates(tasks).filter(|t| may(tasks.get(*t)));
    open.min_by_key(|&t| (info.stands_in(t), t))
}

fn candidates(tasks: &TaskTable) -> impl Iterator<Item = TaskId> {
    tasks.ready().take(CANDIDATES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId, testkit};

    const ME: NodeIncarnation = NodeIncarnation {
        id: NodeId(1),
        incarnation: Incarnation(1),
    };
    const THIEF: NodeIncarnation = NodeIncarnation {
        id: NodeId(2),
        incarnation: Incarnation(1),
    };

    #[test]
    fn nodes_take_what_lies_with_them_and_give_what_does_not() {
        let info = testkit::two_stages(3);
        let mut t = TaskTable::new(&info);
        // The frame lies here: the owner begins at the front, thieves at the back.
        assert_eq!(pick_own(&t, &info, |_| false), Some(TaskId(0)));
        assert_eq!(pick_for(&t, &info, THIEF, |_| false), Some(TaskId(8)));
        // Tiles of the last rows lie with the thief.
        for k in 0..9 {
            t.finished(&info, TaskId(k), if k < 6 { ME } else { THIEF });
        }
        assert_eq!(t.ready().collect::<Vec<_>>(), [9, 10, 11].map(TaskId));
        let here = |task: TaskId| task.0 < 6;
        assert_eq!(pick_own(&t, &info, here), Some(TaskId(9)));
        assert_eq!(pick_for(&t, &info, THIEF, here), Some(TaskId(11)));
        // A thief that holds nothing gets the task that costs the owner least.
        let other = NodeIncarnation {
            id: NodeId(3),
            incarnation: Incarnation(1),
        };
        assert_eq!(pick_for(&t, &info, other, here), Some(TaskId(11)));
        t.get_mut(TaskId(11)).returned = 3;
        assert_ne!(pick_for(&t, &info, THIEF, here), Some(TaskId(11)));
    }

    #[test]
    fn all_take_the_head_of_a_queue() {
        let info = testkit::two_stages(3);
        let mut t = TaskTable::new(&info);
        let thiefs = |t: &TaskTable| head(t, &info, |state| state.may_go_to(THIEF));
        assert_eq!(head(&t, &info, |_| true), Some(TaskId(0)));
        assert_eq!(thiefs(&t), Some(TaskId(0)));
        t.finished(&info, TaskId(0), THIEF);
        assert_eq!(thiefs(&t), Some(TaskId(1)));
        // What thieves have lost too often is the owner's.
        t.get_mut(TaskId(1)).returned = 3;
        assert_eq!(thiefs(&t), Some(TaskId(2)));
        assert_eq!(head(&t, &info, |_| true), Some(TaskId(1)));
        // Tasks of the next stage lie behind those that were there.
        for k in 1..6 {
            t.finished(&info, TaskId(k), ME);
        }
        assert_eq!(t.ready().collect::<Vec<_>>(), [6, 7, 8, 9].map(TaskId));
        assert_eq!(thiefs(&t), Some(TaskId(6)));
    }
}
