//! Home boards: every task goes to the board that the plan names, as soon as the task is ready.
//!
//! Edge `id` is board `(id - source's id) mod boards`, so every source is its own board 0 and no table travels.
//! Where ids are not 1 to `boards`, several edges are one board, or none is.
//!
//! A task that is *late* ([`super::late`]) goes to any node that has nothing to do. It may be leased already. Then the new lease takes the place of the old one: both nodes compute, and
//! the first result counts. With work sharing, only tasks that are overdue or whose board is missing are late: the gateway's
//! shares stay as they are. Leases that run out make tasks ready again, as with stealing, so homes that are dead or
//! slow never stop a frame.

use std::{
    cell::{LazyCell, RefCell},
    collections::BTreeMap,
};

use tessera_plan::placement::board;

use super::{
    Backup, Choice, Grant, Situation,
    anywhere::{self, Place},
    boards::Homes,
    late::Lateness,
    steal::sound,
    turns::Turns,
};
use crate::{
    FrameNumber, Micros, TaskId,
    edge::{
        own_frames::OwnFrame,
        peers::KnownPeer,
        task_table::{TaskState, TaskTable},
    },
    wire::LeaseGrant,
};

/// Tasks of programs with more tasks are given when they are ready, not before.
const EARLY_TASKS_MAX: usize = 1024;

/// Of the oldest frame with a ready task of this node, the first one.
pub fn next_own(s: &Situation<'_>) -> Option<Choice> {
    let (turns, homes) = (Turns::new(s), Homes::new(s));
    let frames = sound(s).take_while(|(number, _)| turns.allow(0, *number));
    let found = |(number, f): (FrameNumber, &OwnFrame)| {
        let mine = |task: &TaskId| {
            let t = f.tasks.get(*task);
            if f.tasks.is_for_others(*task) {
                return false;
            }
            let alone = !t.givable() || has_many_holders(&f.tasks, s, *task);
            if anywhere::has_no_home(s.info, *task) && !alone {
                let (choice, fits) = (
                    Choice {
                        number,
                        task: *task,
                    },
                    |_| true,
                );
                return anywhere::place(s, &homes, choice, t, fits) == Place::Here;
            }
            s.info.tasks[task.index()].home == 0 || alone
        };
        let task = f.tasks.ready().find(mine).or_else(|| early(s, f, 0))?;
        Some(Choice { number, task })
    };
    { frames }.find_map(found)
}

/// The first task of a board whose inputs are still being made: the board can fetch each as soon as it is made.
/// Room for a task that can be computed is left, and for one whose inputs are fetched meanwhile.
fn early(s: &Situation<'_>, f: &OwnFrame, home: u16) -> Option<TaskId> {
    // With work sharing, what a task reads must be at the gateway first.
    if s.info.tasks.len() > EARLY_TASKS_MAX || s.info.is_shared() {
        return None;
    }
    if home == 0 && s.jobs + 2 + usize::from(s.active == 0) > s.config.jobs_max {
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
    let (lateness, turns) = (Lateness::new(s), Turns::new(s));
    let may = |c: Choice, t: &TaskState| t.job.is_none() && turns.allow(0, c.number);
    if let Some(choice) = anywhere::waiting(s, s.me, may) {
        return Backup::Now(choice);
    }
    match lateness.first(s.me, may) {
        None => Backup::No,
        Some((at, _)) if at > s.now_us => Backup::NotBefore(at),
        Some((_, choice)) => Backup::Now(choice),
    }
}

/// A ready task whose home has room, else a late task for a board that is idle.
pub fn for_home(s: &Situation<'_>, fits: impl Fn(Choice) -> bool) -> Grant {
    let (homes, turns) = (Homes::new(s), Turns::new(s));
    for (number, f) in sound(s) {
        for task in f.tasks.ready() {
            let choice = Choice { number, task };
            let t = f.tasks.get(task);
            let home = s.info.tasks[task.index()].home;
            if home == 0 || !t.givable() || !turns.allow(home, number) {
                continue;
            }
            if anywhere::has_no_home(s.info, task) {
                match anywhere::place(s, &homes, choice, t, &fits) {
                    Place::At(to) => {
                        let late = false;
                        return Grant::Now { choice, to, late };
                    }
                    Place::Here | Place::Nowhere => continue,
                }
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
    if let Some(granted) = early_for_home(s, &homes, &turns, &fits) {
        return granted;
    }
    for p in homes.present().filter(|p| anywhere::is_free(p)) {
        let may = |c: Choice, t: &TaskState| {
            t.givable() && !t.distrusted.contains(&p.peer.who()) && fits(c)
        };
        if let Some(choice) = anywhere::waiting(s, p.peer.who(), may) {
            let (to, late) = (p.peer, true);
            return Grant::Now { choice, to, late };
        }
    }
    let idle: Vec<&KnownPeer> = (homes.present())
        .filter(|p| p.want.is_some_and(|w| w.idle && w.room() > 0))
        .collect();
    if idle.is_empty() {
        return Grant::No;
    }
    let lateness = Lateness::new(s);
    // Every idle node is asked about the same tasks.
    let known = RefCell::new(BTreeMap::new());
    let fits = |c: Choice| {
        let mut known = known.borrow_mut();
        *known.entry(c).or_insert_with(|| fits(c))
    };
    let mut soonest: Option<Micros> = None;
    for p in idle {
        let who = p.peer.who();
        let board = board(who.id.0, s.me.id.0, s.info.boards);
        let may = |choice: Choice, t: &TaskState| {
            let turn = turns.allow(board, choice.number);
            turn && t.givable() && !t.distrusted.contains(&who) && fits(choice)
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
    turns: &Turns,
    fits: &impl Fn(Choice) -> bool,
) -> Option<Grant> {
    let roomy = |p: &&&KnownPeer| p.want.is_some_and(|w| w.room() > 1 + u32::from(w.idle));
    for (number, f) in sound(s) {
        for (&home, boards) in homes.others() {
            if !turns.allow(home, number) {
                continue;
            }
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
    // Asked after every datagram, and mostly no task waits: then nobody looks for boards.
    let homes = LazyCell::new(|| Homes::new(s));
    let nobody = |t: TaskId, table: &TaskTable| {
        let home = s.info.tasks[t.index()].home;
        home != 0 && table.get(t).givable() && homes.is_missing(home)
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
