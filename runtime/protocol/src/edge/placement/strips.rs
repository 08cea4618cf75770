//! How long tasks wait for strips of their neighbours, where borders are reused.
//!
//! A task that stands in for a tile makes the strips that the tile is expected to make. It may run
//! - when the tile's task was lost: a lease ran out, a worker failed, or a node that had the strips is gone;
//! - when the tile has taken longer than is usual for it and for what its node has to compute before, by half and
//!   [`MARGIN_US`]. Where no pace is known, the board gets the time of a very slow one, and half of
//!   [`EdgeConfig::backup_after_us`](crate::EdgeConfig::backup_after_us).
//!
//! To compute the strips takes less than the tile, so what is still expected of a tile that is late is later than that. Every
//! wait ends, before the tile itself counts as late, and each pair of neighbours is decided by itself.

use super::{MACS_PER_US_MIN, Situation};
use crate::{FrameNumber, Micros, NodeIncarnation, TaskId, edge::own_frames::OwnFrame};

/// A tile may take so many times as long as expected.
const GUARD: f64 = 1.5;
/// Least time by which a tile is late, in microseconds.
const MARGIN_US: f64 = 200_000.0;

/// When a task may run that stands in for another, and waits for it; `None` for all others.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of positive times"
)]
fn due_us(s: &Situation<'_>, frame: &OwnFrame, task: TaskId) -> Option<Micros> {
    let t = frame.tasks.get(task);
    let waits = frame.tasks.waits_for_other(task) && t.needed() && !t.is_coming();
    let other = t.instead_of.filter(|_| waits && t.missing == 0)?;
    let maker = frame.tasks.get(other);
    if maker.returned > 0 || maker.failures > 0 || maker.generation > 0 {
        return Some(s.now_us);
    }
    let (since_us, node, before) = match (maker.lease, maker.job) {
        (Some(l), _) => (
            l.since_us,
            l.thief.who(),
            begun_before(s, l.thief.who(), l.since_us),
        ),
        (None, Some(_)) => (
            maker.job_since_us,
            s.me,
            begun_before(s, s.me, maker.job_since_us),
        ),
        (None, None) => (maker.ready_us?, s.me, ready_before(s, frame, other)),
    };
    let all = || before.iter().copied().chain([other]);
    let expected = all().map(|t| s.paces.expected_us(s.info, t, node));
    let wait_us = match expected.sum::<Option<f64>>() {
        Some(us) => GUARD * s.sources.max(1) as f64 * us + MARGIN_US,
        None => {
            let macs: u64 = all().map(|t| s.info.tasks[t.index()].macs).sum();
            (s.config.backup_after_us / 2 + macs / MACS_PER_US_MIN) as f64
        }
    };
    let since_us = since_us.max(maker.inputs_us);
    Some(since_us.saturating_add(wait_us.min(1e15) as Micros))
}

/// Tasks of own frames that a node has got before a time, and has not ended.
fn begun_before(s: &Situation<'_>, node: NodeIncarnation, since_us: Micros) -> Vec<TaskId> {
    let tasks = s.frames.in_flight().flat_map(|(_, f)| f.tasks.iter());
    let before = tasks.filter(|(_, t)| {
        let leased = t
            .lease
            .is_some_and(|l| l.thief.who() == node && l.since_us < since_us);
        let here = node == s.me && t.job.is_some() && t.job_since_us < since_us;
        !t.done() && (leased || here)
    });
    before.map(|(task, _)| task).collect()
}

/// Tasks of a frame that are likely to run before one that nobody has yet.
fn ready_before(s: &Situation<'_>, frame: &OwnFrame, task: TaskId) -> Vec<TaskId> {
    let home = s.info.tasks[task.index()].home;
    let before = frame.tasks.iter().take_while(|(t, _)| *t < task);
    let before = before.filter(|(t, state)| {
        let same = !s.info.placement.has_homes() || s.info.tasks[t.index()].home == home;
        same && state.needed() && !s.info.stands_in(*t)
    });
    before.map(|(t, _)| t).collect()
}

/// Tasks that stand in for others and may run now, and when the next one may.
pub fn late(s: &Situation<'_>) -> (Vec<(FrameNumber, TaskId)>, Option<Micros>) {
    let (mut now, mut next) = (Vec::new(), None::<Micros>);
    for (number, frame) in s.frames.in_flight() {
        for (task, _) in frame.tasks.iter().filter(|(_, t)| t.instead_of.is_some()) {
            match due_us(s, frame, task) {
                Some(at) if at <= s.now_us => now.push((number, task)),
                Some(at) => next = Some(next.map_or(at, |n| n.min(at))),
                None => {}
            }
        }
    }
    (now, next)
}
