//! Tasks without a home: whole frames, which run on the source's board or on any other.
//!
//! Such a task goes to the first of these that there is:
//! 1. this node, if one of its workers is free: the frame lies here;
//! 2. another node with a free worker, the fastest first;
//! 3. a node whose workers all compute, and which has nothing waiting: the one that is expected to be free first. It
//!    fetches the frame meanwhile. Of other nodes only those count that compute for this source, since of others nobody
//!    knows here when they end. So frames stay at home where every board has a camera.
//!
//! A task that waits moves to a node that becomes free, if it ends earlier there.
//!
//! A node has room for as many tasks as it has workers and [`FETCHED`] more, and tells sources of every change. So the room
//! that is left says whether a worker is free.

use tessera_plan::placement::ANYWHERE;

use super::{Choice, Situation, boards::Homes, steal::sound};
use crate::{
    EdgeConfig, NodeIncarnation, ProgramInfo, TaskId,
    edge::{
        peers::KnownPeer,
        pending_job::JobStage,
        task_table::{IssuedLease, TaskState},
    },
    peer::Peer,
};

/// Room of a node beyond its workers.
const FETCHED: u32 = EdgeConfig::FETCHED_AT_HOME as u32;
/// Multiply-adds per microsecond where no pace is known.
const MACS_PER_US: f64 = 1000.0;

/// Least time by which a task must end earlier on another node, and least wait, in microseconds: its inputs travel.
const GAIN_US: f64 = 500_000.0;

/// True when the program's tasks are whole frames.
pub fn has_whole_frames(info: &ProgramInfo) -> bool {
    info.tasks.first().is_some_and(|t| t.home == ANYWHERE)
}

/// True when a node has a free worker, by its room.
pub fn is_free(p: &KnownPeer) -> bool {
    p.want.is_some_and(|w| w.room() > FETCHED)
}

/// Where a task without a home goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// To this node.
    Here,
    /// To another one.
    At(Peer),
    /// Nobody has room.
    Nowhere,
}

/// True when a task belongs to no board.
pub fn has_no_home(info: &ProgramInfo, task: TaskId) -> bool {
    info.tasks[task.index()].home == ANYWHERE
}

/// Where a ready task goes; `fits` as in [`super::Policy::for_home`].
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn place(
    s: &Situation<'_>,
    homes: &Homes<'_>,
    choice: Choice,
    t: &TaskState,
    fits: impl Fn(Choice) -> bool,
) -> Place {
    let workers = s.config.workers.max(1);
    if s.jobs < workers || !t.givable() {
        return Place::Here;
    }
    let may = |p: &&KnownPeer| {
        p.peer.who() != s.me && !t.distrusted.contains(&p.peer.who()) && fits(choice)
    };
    let room = |p: &KnownPeer| p.want.map_or(0, |w| w.room());
    let takes_us = |node| expected_us(s, choice.task, node);
    let free = homes.present().filter(|p| is_free(p)).filter(may);
    let fastest = free.min_by(|a, b| {
        let [a, b] = [a, b].map(|p| (takes_us(p.peer.who()), p.peer.id));
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
    });
    if let Some(p) = fastest {
        return Place::At(p.peer);
    }
    let busy = homes.present().filter(|p| room(p) == FETCHED).filter(may);
    let others = busy.filter_map(|p| Some((ends_us(s, p.peer.who())?, Place::At(p.peer))));
    // Its own tasks end here sometime too, whoever brought them.
    let here = (s.jobs == workers).then(|| {
        let now_us = s.now_us as f64;
        let end = ends_us(s, s.me).unwrap_or(now_us + takes_us(s.me));
        (end, Place::Here)
    });
    let soonest = here.into_iter().chain(others);
    let soonest = soonest.min_by(|a, b| a.0.total_cmp(&b.0));
    soonest.map_or(Place::Nowhere, |(_, place)| place)
}

/// A task that waits at a node whose workers compute, and that `node`, which has a free worker, would end earlier; `may`
/// tells which tasks `node` may have.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn waiting(
    s: &Situation<'_>,
    node: NodeIncarnation,
    may: impl Fn(Choice, &TaskState) -> bool,
) -> Option<Choice> {
    if !has_whole_frames(s.info) {
        return None;
    }
    let all = sound(s).flat_map(|(number, f)| {
        let each = f.tasks.iter().filter(|(_, t)| !t.done());
        each.map(move |(task, t)| (Choice { number, task }, t))
    });
    let waits = all.filter(|(c, t)| has_no_home(s.info, c.task) && may(*c, t));
    let late = waits.filter_map(|(c, t)| {
        let holder = waits_at(s, t).filter(|h| *h != node)?;
        let takes_us = |n| expected_us(s, c.task, n);
        let free_us = ends_us(s, holder).unwrap_or(s.now_us as f64 + takes_us(holder));
        let gained_us = free_us + takes_us(holder) - (s.now_us as f64 + takes_us(node));
        (gained_us > GAIN_US && free_us > s.now_us as f64 + GAIN_US).then_some(c)
    });
    { late }.next()
}

/// The node at which a task waits for a worker; `None` if a worker may have it.
fn waits_at(s: &Situation<'_>, t: &TaskState) -> Option<NodeIncarnation> {
    if let Some(id) = t.job {
        let waits = s.pending.get(id)?.stage != JobStage::Running;
        return waits.then_some(s.me);
    }
    let lease = t.lease?;
    // Of a node that computes for other sources too, nobody knows here which tasks its workers have.
    if s.sources > 1 {
        return None;
    }
    let known = s.peers.get(lease.thief.who())?;
    let before = |o: &IssuedLease| {
        o.thief.who() == lease.thief.who()
            && (o.since_us, o.request) < (lease.since_us, lease.request)
    };
    let tasks = || s.frames.in_flight().flat_map(|(_, f)| f.tasks.iter());
    let leases = || {
        tasks()
            .filter(|(_, t)| !t.done())
            .filter_map(|(_, t)| t.lease)
    };
    let held = leases()
        .filter(|l| l.thief.who() == lease.thief.who())
        .count();
    let room = known.want.map_or(0, |w| w.room()) as usize;
    let workers = (room + held).saturating_sub(EdgeConfig::FETCHED_AT_HOME);
    let waits = leases().filter(before).count() >= workers.max(1);
    waits.then_some(lease.thief.who())
}

/// Microseconds that a node is expected to take for a task.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn expected_us(s: &Situation<'_>, task: TaskId, node: NodeIncarnation) -> f64 {
    let guess = || s.info.tasks[task.index()].macs as f64 / MACS_PER_US;
    s.paces
        .expected_us(s.info, task, node)
        .unwrap_or_else(guess)
}

/// When a node is expected to end the oldest of the tasks that it has of this source; `None` if it has none. A task that has
/// taken longer than expected is taken to be at two thirds: the paces of other nodes say little of this one.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn ends_us(s: &Situation<'_>, node: NodeIncarnation) -> Option<f64> {
    let tasks = s.frames.in_flight().flat_map(|(_, f)| f.tasks.iter());
    let since = tasks.filter(|(_, t)| !t.done()).filter_map(|(task, t)| {
        let since_us = match t.lease {
            Some(l) => (l.thief.who() == node).then_some(l.since_us),
            None => (node == s.me && t.job.is_some()).then_some(t.job_since_us),
        }?;
        Some((since_us, task))
    });
    let (since_us, task) = since.min()?;
    // A task that waited began when the one before it ended.
    let since_us = since_us.max(s.paces.ended_us(node)).min(s.now_us);
    let elapsed_us = (s.now_us - since_us) as f64;
    let left_us = (expected_us(s, task, node) - elapsed_us).max(elapsed_us / 2.0);
    Some(s.now_us as f64 + left_us)
}
