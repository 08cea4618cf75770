//! Home boards: every task goes to the board that the plan names, as soon as the task is ready.
//!
//! Edge `id` is board `(id - source's id) mod boards`, so every source is its own board 0 and no table travels.
//! Where ids are not 1 to `boards`, several edges are one board, or none is.
//!
//! A task that is *late* goes to any node that has nothing to do. A task is late
//! - when its home is missing: nobody of that board has asked this source for work, or all are silent;
//! - when its board still has other tasks before it, and would come to its end long after the idle node;
//! - when its board has had it for several times as long as expected.
//!
//! A late task may be leased already. Then the new lease takes the place of the old one: both nodes compute, and
//! the first result counts. Leases that run out make tasks ready again, as with stealing, so homes that are dead or
//! slow never stop a frame.

use std::collections::BTreeMap;

use tessera_plan::dataflow::ObjectKey;

use super::{Backup, Choice, Grant, Situation, steal::sound};
use crate::{
    Micros, NodeId, NodeIncarnation, TaskId,
    edge::{
        own_frames::OwnFrame,
        peers::KnownPeer,
        task_table::{TaskState, TaskTable},
    },
    wire::LeaseGrant,
};

/// An idle node takes a task only if the task's board needs so many times as long.
const GUARD: f64 = 1.5;
/// A task may take so many times as long as expected.
const PATIENCE: f64 = 3.0;
/// Least time by which a task is late, in microseconds: messages and loss.
const MARGIN_US: f64 = 100_000.0;
/// Most late tasks to compare.
const CANDIDATES_MAX: usize = 512;
/// Tasks of programs with more tasks are given when they are ready, not before.
const EARLY_TASKS_MAX: usize = 1024;

/// The board that a node is for a source.
pub fn board(node: NodeId, source: NodeId, boards: u16) -> u16 {
    let boards = i32::from(boards.max(1));
    let offset = (i32::from(node.0) - i32::from(source.0)).rem_euclid(boards);
    u16::try_from(offset).unwrap_or(0)
}

/// Of the oldest frame with a ready task of this node, the first one.
pub fn next_own(s: &Situation<'_>) -> Option<Choice> {
    sound(s).find_map(|(number, f)| {
        let mine = |t: &TaskId| {
            let alone = !f.tasks.get(*t).givable() || has_many_holders(&f.tasks, s, *t);
            s.info.tasks[t.index()].home == 0 || alone
        };
        let task = f.tasks.ready().find(mine).or_else(|| early(s, f, 0))?;
        Some(Choice { number, task })
    })
}

/// The first task of a board whose inputs are still being made: the board can fetch each as soon as it is made.
/// Room for a task that can be computed is left.
fn early(s: &Situation<'_>, f: &OwnFrame, home: u16) -> Option<TaskId> {
    if s.info.tasks.len() > EARLY_TASKS_MAX {
        return None;
    }
    let waiting = s.jobs.saturating_sub(s.active);
    if home == 0 && waiting + 2 > s.config.jobs_max {
        return None;
    }
    let at_home = |t: &TaskId| {
        let home_of = s.info.tasks[t.index()].home;
        home_of == home && f.tasks.get(*t).givable()
    };
    f.tasks.coming(s.info).find(at_home)
}

/// A late task, when a worker has nothing else to do.
pub fn backup(s: &Situation<'_>) -> Backup {
    if s.active >= s.config.workers.max(1) {
        return Backup::No;
    }
    let lateness = Lateness::new(s);
    match lateness.first(s.me, |_, t| t.job.is_none()) {
        None => Backup::No,
        Some((at, _)) if at > s.now_us => Backup::NotBefore(at),
        Some((_, choice)) => Backup::Now(choice),
    }
}

/// A ready task whose home has room, else a late task for a board that is idle.
pub fn for_home(s: &Situation<'_>, fits: impl Fn(Choice) -> bool) -> Grant {
    let homes = Homes::new(s);
    for (number, f) in sound(s) {
        for task in f.tasks.ready() {
            let choice = Choice { number, task };
            let t = f.tasks.get(task);
            let home = s.info.tasks[task.index()].home;
            if home == 0 || !t.givable() {
                continue;
            }
            let may = |p: &&&KnownPeer| !t.distrusted.contains(&p.peer.who());
            if let Some(to) = homes.with_room(home).find(may)
                && fits(choice)
            {
                return Grant::Now {
                    choice,
                    to: to.peer,
                    late: false,
                };
            }
        }
    }
    if let Some(granted) = early_for_home(s, &homes, &fits) {
        return granted;
    }
    let idle: Vec<&KnownPeer> = (homes.present())
        .filter(|p| p.want.is_some_and(|w| w.idle && w.room() > 0))
        .collect();
    if idle.is_empty() {
        return Grant::No;
    }
    let lateness = Lateness::new(s);
    let mut soonest: Option<Micros> = None;
    for p in idle {
        let who = p.peer.who();
        let may = |choice: Choice, t: &TaskState| {
            t.givable() && !t.distrusted.contains(&who) && fits(choice)
        };
        match lateness.first(who, may) {
            Some((at, choice)) if at <= s.now_us => {
                return Grant::Now {
                    choice,
                    to: p.peer,
                    late: true,
                };
            }
            Some((at, _)) => soonest = Some(soonest.map_or(at, |s| s.min(at))),
            None => {}
        }
    }
    soonest.map_or(Grant::No, Grant::NotBefore)
}

/// A task whose inputs are being made, for a board that has room.
fn early_for_home(
    s: &Situation<'_>,
    homes: &Homes<'_>,
    fits: &impl Fn(Choice) -> bool,
) -> Option<Grant> {
    let roomy = |p: &&&KnownPeer| p.want.is_some_and(|w| w.room() > u32::from(w.idle));
    for (number, f) in sound(s) {
        for (&home, boards) in homes.by_board.iter().filter(|(h, _)| **h != 0) {
            let Some(to) = boards.iter().find(|p| roomy(p)) else {
                continue;
            };
            let Some(task) = early(s, f, home) else {
                continue;
            };
            let choice = Choice { number, task };
            if !f.tasks.get(task).distrusted.contains(&to.peer.who()) && fits(choice) {
                let (to, late) = (to.peer, false);
                return Some(Grant::Now { choice, to, late });
            }
        }
    }
    None
}

/// True when a task waits for a board that nobody is: nodes that do not know this source should hear of it.
pub fn offers_work(s: &Situation<'_>) -> bool {
    let homes = Homes::new(s);
    let nobody = |t: TaskId, table: &TaskTable| {
        table.get(t).givable() && homes.is_missing(s.info.tasks[t.index()].home)
    };
    sound(s).any(|(_, f)| f.tasks.ready().any(|t| nobody(t, &f.tasks)))
}

/// A node with nothing to do asks the gateway for sources.
pub fn wants_work(s: &Situation<'_>) -> bool {
    s.active == 0
        && s.foreign_bytes < s.config.foreign_bytes_max
        && !sound(s).any(|(_, f)| f.tasks.ready().next().is_some())
}

/// True when a lease cannot name all nodes that hold the task's inputs.
fn has_many_holders(tasks: &TaskTable, s: &Situation<'_>, task: TaskId) -> bool {
    let producers = &s.info.tasks[task.index()].producers;
    if producers.len() < LeaseGrant::HOLDERS_MAX {
        return false;
    }
    let holders = producers
        .iter()
        .filter_map(|p| tasks.get(*p).holders.first());
    let different: std::collections::BTreeSet<_> = holders.collect();
    different.len() >= LeaseGrant::HOLDERS_MAX
}

/// The nodes that this source can give tasks to, by board.
struct Homes<'a> {
    by_board: BTreeMap<u16, Vec<&'a KnownPeer>>,
    now_us: Micros,
    missing_after_us: Micros,
}

impl<'a> Homes<'a> {
    fn new(s: &Situation<'a>) -> Self {
        let mut by_board: BTreeMap<u16, Vec<&KnownPeer>> = BTreeMap::new();
        let silent = |p: &KnownPeer| s.now_us.saturating_sub(p.seen_us) > s.config.dead_after_us;
        for p in (s.peers.iter()).filter(|p| p.want.is_some() && !silent(p)) {
            let board = board(p.peer.id, s.me.id, s.info.boards);
            by_board.entry(board).or_default().push(p);
        }
        Self {
            by_board,
            now_us: s.now_us,
            missing_after_us: s.missing_after_us,
        }
    }

    fn of(&self, board: u16) -> impl Iterator<Item = &&'a KnownPeer> {
        self.by_board.get(&board).into_iter().flatten()
    }

    fn with_room(&self, board: u16) -> impl Iterator<Item = &&'a KnownPeer> {
        let room = |p: &&&KnownPeer| p.want.is_some_and(|w| w.room() > 0);
        self.of(board).filter(room)
    }

    fn present(&self) -> impl Iterator<Item = &'a KnownPeer> {
        self.by_board.values().flatten().copied()
    }

    fn is_missing(&self, board: u16) -> bool {
        board != 0 && self.now_us >= self.missing_after_us && self.of(board).next().is_none()
    }
}

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
struct Lateness<'a> {
    s: &'a Situation<'a>,
    /// Tasks of each node, in the order in which the node computes them.
    queues: BTreeMap<NodeIncarnation, Vec<Waiting>>,
    /// Ready tasks whose home is missing.
    homeless: Vec<Choice>,
}

impl<'a> Lateness<'a> {
    fn new(s: &'a Situation<'a>) -> Self {
        let homes = Homes::new(s);
        let mut all = Self {
            s,
            queues: BTreeMap::new(),
            homeless: Vec::new(),
        };
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
    fn first(
        &self,
        node: NodeIncarnation,
        may: impl Fn(Choice, &TaskState) -> bool,
    ) -> Option<(Micros, Choice)> {
        let state = |c: &Choice| Some(self.s.frames.live(c.number)?.tasks.get(c.task));
        let allowed = |c: &Choice| state(c).is_some_and(|t| may(*c, t));
        let now = |c: &Choice| (self.s.now_us, *c);
        let homeless = self.homeless.iter().filter(|c| allowed(c)).map(now);
        let queues = self.queues.iter().filter(|(n, _)| **n != node);
        let late = queues.flat_map(|(n, queue)| {
            let each = (0..queue.len()).filter(|k| allowed(&queue[*k].choice));
            each.filter_map(|k| Some((self.late_at(*n, queue, k, node)?, queue[k].choice)))
        });
        let order = |(at, c): &(Micros, Choice)| {
            let taken = state(c).is_some_and(TaskState::is_coming);
            let there = std::cmp::Reverse(self.input_at(node, *c));
            ((*at).max(self.s.now_us), taken, c.number, there, c.task)
        };
        homeless.chain(late).take(CANDIDATES_MAX).min_by_key(order)
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

    /// When the `k`th task of a node's queue is late for an `idle` node; `None` while nobody knows how long tasks of
    /// its stage take.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of positive times"
    )]
    fn late_at(
        &self,
        node: NodeIncarnation,
        queue: &[Waiting],
        k: usize,
        idle: NodeIncarnation,
    ) -> Option<Micros> {
        let s = self.s;
        let expected = |w: &Waiting, node| s.paces.expected_us(s.info, w.choice.task, node);
        let first = &queue[0];
        let begun_us = (first.since_us).max(s.paces.ended_us(node).min(s.now_us));
        let (Some(running_us), Some(idle_us)) = (expected(first, node), expected(&queue[k], idle))
        else {
            return queue[k].since_us.checked_add(s.config.backup_after_us);
        };
        let overdue_us = PATIENCE * running_us + MARGIN_US;
        let after = |us: f64| begun_us.saturating_add(us.min(1e15) as Micros);
        if k == 0 {
            return Some(after(overdue_us));
        }
        let behind_us: f64 = (queue[1..=k].iter())
            .filter_map(|w| expected(w, node))
            .sum();
        let elapsed_us = s.now_us.saturating_sub(begun_us) as f64;
        // A node whose task takes longer than expected will take longer for the next ones too.
        let slower = (elapsed_us / running_us).max(1.0);
        let left_us = (running_us - elapsed_us).max(0.0) + behind_us * slower;
        let bound_us = GUARD * idle_us + MARGIN_US;
        if left_us > bound_us {
            return Some(s.now_us);
        }
        let slow_us = bound_us * running_us / behind_us.max(1.0);
        Some(after(slow_us.max(running_us).min(overdue_us)))
    }
}
