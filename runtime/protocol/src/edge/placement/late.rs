//! Tasks that are late at their home, and who should take them.
//!
//! An undisturbed frame needs none of this: a board that waits a little for its next inputs must not take another
//! board's task, since its own successors lie elsewhere, and the channel would carry what was sent before. So a source
//! compares a board with what it knows of that board's pace, counts every task that the board has before, of all
//! frames in flight, and asks whether the idle node would wait for long otherwise.
//!
//! A task is late
//! - when its home is missing ([`Homes::is_missing`]);
//! - when the home comes to its end long after the idle node would, and the idle node gets no task of its own before;
//! - when the home has taken several times as long as expected for it and for all tasks before it.

use std::{cell::LazyCell, collections::BTreeMap};

use tessera_plan::{
    dataflow::ObjectKey,
    placement::{ANYWHERE, board},
};

use super::{
    Choice, MACS_PER_US_MIN, Situation, anywhere::has_no_home, boards::Homes, steal::sound,
};
use crate::{Micros, NodeIncarnation, edge::task_table::TaskState};

/// An idle node takes a task only if the task's board needs so many times as long.
const GUARD: f64 = 1.5;
/// Tasks may take so many times as long as expected.
const PATIENCE: f64 = 3.0;
/// A board that the plan gives less is taken to be so many times slower at most.
const LIGHT_MAX: f64 = 4.0;
/// Least time by which a task is late, in microseconds: messages, loss, and the moods of a shared channel.
const MARGIN_US: f64 = 200_000.0;
/// Microseconds until the next look at a board that falls behind, in case the idle node must wait longer by then.
const AGAIN_US: u64 = 50_000;
/// Most late tasks to compare.
const CANDIDATES_MAX: usize = 512;

/// A task that a node has, or will get, and since when.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    choice: Choice,
    /// When the node got the task; when the task became ready if the node has not got it yet.
    since_us: Micros,
    /// True when the node has not got the task yet.
    ready: bool,
}

/// When tasks are late, for other nodes.
pub struct Lateness<'a> {
    s: &'a Situation<'a>,
    /// Tasks of each node, in the order in which the node computes them.
    queues: BTreeMap<NodeIncarnation, Vec<Waiting>>,
    /// Ready tasks whose home is missing.
    homeless: Vec<Choice>,
    /// Nodes that may keep a board busy: its tasks take longer by up to so many times.
    sources: f64,
    /// Multiply-adds of a frame's tasks at home, by board.
    macs: BTreeMap<u16, f64>,
}

/// The course of a node's queue up to one of its tasks, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// When the node began the first task.
    begun_us: Micros,
    /// Expected time of the first task.
    first_us: f64,
    /// Expected time of all tasks up to this one.
    expected_us: f64,
    /// The time from now to the end of this one, if the node goes on as it did.
    left_us: f64,
    /// True when tasks of all these stages have been measured.
    measured: bool,
}

impl Course {
    /// The time after the beginning when more than `bound_us` are left, if the first task does not end before.
    fn slow_after_us(&self, bound_us: f64) -> f64 {
        let behind_us = (self.expected_us - self.first_us).max(1.0);
        self.first_us.max(bound_us * self.first_us / behind_us)
    }

    /// The time so long after the beginning.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of positive times"
    )]
    const fn after(&self, us: f64) -> Micros {
        self.begun_us.saturating_add(us.min(1e15) as Micros)
    }
}

impl<'a> Lateness<'a> {
    /// The tasks of all own frames in flight.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn new(s: &'a Situation<'a>) -> Self {
        let homes = Homes::new(s);
        let mut all = Self {
            s,
            queues: BTreeMap::new(),
            homeless: Vec::new(),
            sources: s.sources as f64,
            macs: BTreeMap::new(),
        };
        for task in s.info.tasks.iter().filter(|t| t.instead_of.is_none()) {
            *all.macs.entry(task.home).or_default() += task.macs as f64;
        }
        for (number, f) in sound(s) {
            for (task, t) in f.tasks.iter().filter(|(_, t)| !t.done() && t.missing == 0) {
                all.note(Choice { number, task }, t, f.tasks.is_ready(task), &homes);
            }
        }
        for queue in all.queues.values_mut() {
            queue.sort_by_key(|w| (w.ready, w.since_us, w.choice.number, w.choice.task));
        }
        all
    }

    fn note(&mut self, choice: Choice, t: &TaskState, ready: bool, homes: &Homes<'_>) {
        let home = self.s.info.tasks[choice.task.index()].home;
        let ready_us = t.ready_us.unwrap_or(self.s.now_us);
        let mut at = |node, since_us, ready| {
            let waiting = Waiting {
                choice,
                since_us,
                ready,
            };
            self.queues.entry(node).or_default().push(waiting);
        };
        if let Some(l) = t.lease {
            at(l.thief.who(), l.since_us.max(t.inputs_us), false);
        } else if t.job.is_some() {
            at(self.s.me, t.job_since_us.max(t.inputs_us), false);
        } else if home == ANYWHERE {
            // Whoever has room gets it.
        } else if ready && home == 0 {
            at(self.s.me, ready_us, true);
        } else if ready && homes.is_missing(home) {
            if self.homeless.len() < CANDIDATES_MAX {
                self.homeless.push(choice);
            }
        } else if let Some(p) = homes.of(home).next().filter(|_| ready) {
            at(p.peer.who(), ready_us, true);
        }
    }

    /// The task that `node` should take first, of those that it `may` take, and when: the one that is late first; of
    /// tasks that are late now one that nobody has, and of these the one with most input at the node.
    pub fn first(
        &self,
        node: NodeIncarnation,
        may: impl Fn(Choice, &TaskState) -> bool,
    ) -> Option<(Micros, Choice)> {
        let state = |c: &Choice| Some(self.s.frames.live(c.number)?.tasks.get(c.task));
        let allowed = |c: &Choice| state(c).is_some_and(|t| may(*c, t));
        let now = |c: &Choice| (self.s.now_us, *c);
        let homeless = self.homeless.iter().filter(|c| allowed(c)).map(now);
        // Most nodes are not asked for it: few tasks are far behind.
        let waits_us = LazyCell::new(|| self.waits_us(node));
        let queues = self.queues.iter().filter(|(n, _)| **n != node);
        let late = queues.flat_map(|(n, queue)| {
            let each = (0..queue.len()).filter(|k| allowed(&queue[*k].choice));
            each.map(|k| (self.late_at(*n, queue, k, node, &waits_us), queue[k].choice))
        });
        let order = |(at, c): &(Micros, Choice)| {
            let taken = state(c).is_some_and(TaskState::is_coming);
            let there = std::cmp::Reverse(self.input_at(node, *c));
            ((*at).max(self.s.now_us), taken, c.number, there, c.task)
        };
        homeless.chain(late).take(CANDIDATES_MAX).min_by_key(order)
    }

    /// How much less than others the plan gives to a node: its board is slower, so that its tasks take longer.
    fn light(&self, node: NodeIncarnation) -> f64 {
        if self.macs.contains_key(&ANYWHERE) {
            return 1.0;
        }
        let board = board(node.id.0, self.s.me.id.0, self.s.info.boards);
        let most = self.macs.values().copied().fold(0.0, f64::max);
        let own = self.macs.get(&board).copied().unwrap_or(0.0);
        (most / own.max(1.0)).clamp(1.0, LIGHT_MAX)
    }

    /// Values of a task's inputs that lie at a node.
    fn input_at(&self, node: NodeIncarnation, c: Choice) -> usize {
        let Some(frame) = self.s.frames.live(c.number) else {
            return 0;
        };
        let there = |key: &ObjectKey| match key.task() {
            None => node == self.s.me,
            Some(maker) => frame.tasks.get(maker).holders.contains(&node),
        };
        let needs = self.s.info.tasks[c.task.index()].needs.iter();
        needs
            .filter(|n| there(&n.key))
            .map(|n| n.region.len())
            .sum()
    }

    /// When the `k`th task of a node's queue is late for an `idle` node that gets no task of its own within `waits_us`.
    fn late_at(
        &self,
        node: NodeIncarnation,
        queue: &[Waiting],
        k: usize,
        idle: NodeIncarnation,
        waits_us: &LazyCell<f64, impl FnOnce() -> f64>,
    ) -> Micros {
        let s = self.s;
        let macs = s.info.tasks[queue[k].choice.task.index()].macs;
        let slow_us = (s.config.backup_after_us).saturating_add(macs / MACS_PER_US_MIN);
        let unknown_us = queue[k].since_us.saturating_add(slow_us);
        let Some(course) = self.course(node, queue, k) else {
            return unknown_us;
        };
        let overdue_us = PATIENCE * self.sources * course.expected_us + MARGIN_US;
        let overdue_at = course.after(overdue_us);
        let task = queue[k].choice.task;
        if has_no_home(s.info, task) && !s.paces.knows(node) {
            // Whole frames of other boards say little of this one.
            return overdue_at.max(unknown_us);
        }
        let Some(idle_us) = s.paces.expected_us(s.info, task, idle) else {
            return overdue_at.max(unknown_us);
        };
        if !course.measured || s.info.is_shared() {
            return overdue_at.max(unknown_us);
        }
        // The task in work ends sooner where it is than anywhere else, unless it is overdue.
        if k == 0 {
            return overdue_at;
        }
        // Of other sources' tasks, which a board may have before, a source knows nothing.
        let guard = if s.sources > 1 { PATIENCE } else { GUARD };
        let bound_us = guard * self.sources * self.light(node) * idle_us + MARGIN_US;
        if course.left_us > bound_us && **waits_us > bound_us {
            return s.now_us;
        }
        let slow_at = course.after(course.slow_after_us(bound_us));
        overdue_at.min(slow_at.max(s.now_us + AGAIN_US))
    }

    /// What is expected of a node's queue up to its `k`th task; `None` while nobody knows how long any task takes.
    #[expect(clippy::cast_precision_loss, reason = "an estimate of positive times")]
    fn course(&self, node: NodeIncarnation, queue: &[Waiting], k: usize) -> Option<Course> {
        let s = self.s;
        let mut measured = true;
        let mut expected = |w: &Waiting| {
            let task = w.choice.task;
            s.paces.expected_us(s.info, task, node).or_else(|| {
                measured = false;
                s.paces.at_most_us(s.info, task, node)
            })
        };
        let first = &queue[0];
        let begun_us = (first.since_us).max(s.paces.ended_us(node).min(s.now_us));
        let running_us = expected(first)?;
        let behind_us: f64 = queue[1..=k].iter().filter_map(expected).sum();
        let elapsed_us = s.now_us.saturating_sub(begun_us) as f64;
        // A node whose task takes longer than expected will take longer for the next ones too.
        let slower = (elapsed_us / running_us).max(1.0);
        Some(Course {
            begun_us,
            first_us: running_us,
            expected_us: running_us + behind_us,
            left_us: (running_us - elapsed_us).max(0.0) + behind_us * slower,
            measured,
        })
    }

    /// Microseconds until a node without work gets a task of its own again, in any frame in flight; infinity if it has
    /// none, or none whose inputs are being made by somebody whose pace is known.
    fn waits_us(&self, node: NodeIncarnation) -> f64 {
        let s = self.s;
        let mine = board(node.id.0, s.me.id.0, s.info.boards);
        let mut ends: BTreeMap<Choice, f64> = BTreeMap::new();
        for (n, queue) in &self.queues {
            for (k, w) in queue.iter().enumerate() {
                if let Some(course) = self.course(*n, queue, k) {
                    ends.insert(w.choice, course.left_us);
                }
            }
        }
        let mut soonest_us = f64::INFINITY;
        for (number, f) in sound(s) {
            // Tasks read what tasks with lower ids make.
            let coming = f.tasks.iter().filter(|(_, t)| t.needed() && t.missing > 0);
            for (task, _) in coming {
                let spec = &s.info.tasks[task.index()];
                let makers = spec.producers.iter();
                let makers = makers.filter(|p| !f.tasks.get(**p).done());
                let end = |p: &tessera_plan::dataflow::TaskId| {
                    let end = |task| ends.get(&Choice { number, task }).copied();
                    end(*p).or_else(|| end(f.tasks.get(*p).instead_of?))
                };
                let ready_us = makers.map(|p| end(p).unwrap_or(f64::INFINITY));
                let ready_us = ready_us.fold(0.0, f64::max);
                let usual_us = s.paces.expected_us(s.info, task, node).unwrap_or(0.0);
                ends.insert(Choice { number, task }, ready_us + usual_us);
                if spec.home == mine {
                    soonest_us = soonest_us.min(ready_us);
                }
            }
        }
        soonest_us
    }
}
