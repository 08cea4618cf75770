//! Boards that wait for tasks of this source, and the tasks that they are given.
//!
//! ```text
//! source ── Offer ──> board        once the gateway has told where the board is
//! source <── Want ─── board        room for so many tasks; repeated while there is room
//! source ── Lease ──> board        as soon as a task of the board is ready
//! ```
//!
//! A want stands until the next one. So a lease follows a ready task without a question, and a board that falls
//! silent is noticed.

use super::{
    Edge,
    peers::{KnownPeer, StandingWant},
    pending_job::JobStage,
    placement::{
        Choice, Grant, Paces,
        anywhere::{has_no_home, has_whole_frames},
    },
    send::Outgoing,
};
use crate::{
    Micros, NodeId, RequestId,
    peer::Peer,
    store::Store,
    wire::{Heartbeat, Reject, Want},
};

/// What a source knows of boards that wait.
#[derive(Debug, Default)]
pub struct Offers {
    /// How fast nodes finish tasks.
    pub paces: Paces,
    /// When the gateway first admitted this node.
    joined_us: Option<Micros>,
    /// When a task is late, if nothing happens before.
    next_late_us: Option<Micros>,
    /// When a lease is to be repeated.
    next_lease_us: Option<Micros>,
}

impl Offers {
    /// Microseconds within which the boards of a cluster have found a new source.
    const FIND_US: u64 = 300_000;

    /// Notes that the gateway has admitted this node.
    pub fn joined(&mut self, now_us: Micros) {
        self.joined_us.get_or_insert(now_us);
    }

    /// Time before which a board that has not asked yet does not count as missing.
    pub fn missing_after_us(&self) -> Micros {
        self.joined_us
            .map_or(Micros::MAX, |at| at.saturating_add(Self::FIND_US))
    }

    /// When a task may be late, or a lease is to be repeated.
    pub fn next(&self) -> Option<Micros> {
        self.next_late_us
            .into_iter()
            .chain(self.next_lease_us)
            .min()
    }

    /// True when a task may be late by now.
    pub fn is_due(&self, now_us: Micros) -> bool {
        self.next_late_us.is_some_and(|at| at <= now_us)
    }
}

impl Edge {
    /// Home boards that this source has not heard of yet.
    pub(super) fn homes_to_find(&self) -> Vec<NodeId> {
        let brings = !self.link.no_more || self.frames.len() > 0;
        if !self.policy().waits() || self.config.frames_max == 0 || !brings {
            return Vec::new();
        }
        let waits = |id: NodeId| (self.peers.iter()).any(|p| p.peer.id == id && self.waits(p));
        let boards = self.info.boards;
        let ids = (1..=boards).map(NodeId).filter(|id| !waits(*id));
        ids.take(Heartbeat::ASKED_MAX).collect()
    }

    /// Tells a board that this node is a source, if the board does not wait for tasks yet.
    pub(super) fn offer(&mut self, to: Peer) {
        let brings = self.config.frames_max > 0 && self.policy().waits();
        let waits = self.peers.get(to.who()).is_some_and(|k| self.waits(k));
        let out = (self.verifier.suspects).is_out(self.clock.unwrap_or(0), to.id);
        if brings && !waits && !out && to.id != self.config.id && to.id.0 <= self.info.boards {
            self.enqueue(Outgoing::Offer { to });
        }
    }

    /// True when a board has told what it wants, and is not silent since.
    fn waits(&self, board: &KnownPeer) -> bool {
        let silent_us = self.clock.unwrap_or(0).saturating_sub(board.seen_us);
        board.want.is_some() && silent_us <= self.config.dead_after_us
    }

    /// Handles a board's standing request.
    pub(super) fn on_want(&mut self, board: Peer, want: &Want<'_>) -> Result<(), Reject> {
        if !self.policy().waits() {
            return Err(Reject::Unexpected);
        }
        if self
            .verifier
            .suspects
            .is_out(self.clock.unwrap_or(0), board.id)
        {
            // It is answered, so that it does not ask again and again, and gets nothing.
            let request = want.request;
            self.enqueue(Outgoing::NoWork { to: board, request });
            return Ok(());
        }
        let under_way = self.note_held(board, want);
        let Some(known) = self.peers.get_mut(board.who()) else {
            return Err(Reject::Stranger);
        };
        let before = known.want.filter(|w| w.request == want.request);
        if known.want.is_some_and(|w| want.request < w.request) {
            return Err(Reject::Stale);
        }
        let first = want.request;
        known.full &= before.is_some();
        let after = |n: u32| RequestId(first.0.saturating_add(n));
        // Leases under way have the first numbers, and take room.
        let next = before.map_or(first, |w| w.next);
        let set_aside = before.map_or_else(|| after(want.room.into()), |w| w.set_aside);
        // A board that says that it is idle, and is, has room again for what was under way when it said so first.
        let is_idle = want.idle && under_way == 0;
        let full = before.filter(|w| !is_idle || w.next < w.end);
        let end = full.map_or(set_aside, |w| w.end);
        let free = u32::from(want.room).saturating_sub(under_way);
        known.want = Some(StandingWant {
            request: first,
            next,
            set_aside,
            end: end.min(RequestId(next.0.saturating_add(free))),
            idle: is_idle,
        });
        self.dirty = true;
        self.enqueue(Outgoing::NoWork {
            to: board,
            request: want.request,
        });
        Ok(())
    }

    /// Notes which leases a board has; returns the number of those that may still be under way to it.
    fn note_held(&mut self, board: Peer, want: &Want<'_>) -> u32 {
        let mut under_way = 0;
        let whole = has_whole_frames(&self.info);
        for (_, f) in self.frames.in_flight_mut() {
            for (_, t) in f.tasks.iter_mut().filter(|(_, t)| !t.done()) {
                let Some(l) = t.lease.as_mut().filter(|l| l.thief.who() == board.who()) else {
                    continue;
                };
                if want.held.iter().any(|h| h.get() == l.request) {
                    l.again = None;
                } else {
                    // A board that had a whole frame and has it no more has ended it: the report comes behind.
                    under_way += u32::from(!whole || l.again.is_some());
                }
            }
        }
        under_way
    }

    /// Queues leases again that boards may not have received.
    pub(super) fn repeat_leases(&mut self, now_us: Micros) {
        if self.offers.next_lease_us.is_none_or(|at| at > now_us) {
            return;
        }
        let most = self.config.retry_us[1];
        let (mut due, mut next) = (Vec::new(), None::<Micros>);
        for (number, f) in self.frames.in_flight_mut() {
            for (task, t) in f.tasks.iter_mut().filter(|(_, t)| !t.done()) {
                let Some(l) = &mut t.lease else { continue };
                let Some(again) = l.again else { continue };
                let after = if again.is_due(now_us) {
                    due.push((l.thief, Choice { number, task }, l.request));
                    again.repeat(now_us, most)
                } else {
                    again
                };
                l.again = Some(after);
                next = Some(next.map_or(after.at_us, |n| n.min(after.at_us)));
            }
        }
        self.offers.next_lease_us = next;
        for (to, Choice { number, task }, request) in due {
            self.enqueue(Outgoing::Lease {
                to,
                number,
                task,
                request,
            });
        }
    }

    /// Notes that a board has no room for a task that it was given; `full` when it has no memory either. Then the
    /// board's tasks go elsewhere until it asks again.
    pub(super) fn no_room_at(&mut self, board: Peer, full: bool) {
        if let Some(known) = self.peers.get_mut(board.who())
            && let Some(want) = &mut known.want
        {
            (want.set_aside, want.end) = (want.next, want.next);
            known.full |= full;
        }
    }

    /// Gives ready tasks to their home boards, and late tasks to idle ones.
    pub(super) fn give_home_tasks(&mut self, now_us: Micros, store: &mut impl Store) {
        self.offers.next_late_us = None;
        if !self.policy().waits() {
            return;
        }
        for (_, frame) in self.frames.in_flight_mut() {
            frame.tasks.note_ready(now_us);
        }
        // Terminates: every turn uses up a number that a board has set aside.
        loop {
            let situation = self.situation(now_us);
            let granted = (self.policy()).for_home(&situation, |c| self.lease_fits(c));
            match granted {
                Grant::Now { choice, to, late } => {
                    if late {
                        self.taken_over(now_us, choice, to.id);
                    }
                    if !self.give(now_us, choice, to) {
                        return;
                    }
                    self.stats.late_leases += u64::from(late);
                    self.leave_to_other(choice, store);
                }
                Grant::NotBefore(at) => {
                    self.offers.next_late_us = Some(at);
                    return;
                }
                Grant::No => return,
            }
        }
    }

    /// Gives up the own job of a whole frame that another board has now, unless a worker has begun it.
    fn leave_to_other(&mut self, Choice { number, task }: Choice, store: &mut impl Store) {
        let job = self.frames.live(number).and_then(|f| f.tasks.get(task).job);
        let Some(id) = job.filter(|_| has_no_home(&self.info, task)) else {
            return;
        };
        if self
            .jobs
            .get(id)
            .is_some_and(|j| j.stage != JobStage::Running)
        {
            self.give_up(id, store);
        }
    }

    fn give(&mut self, now_us: Micros, choice: Choice, to: Peer) -> bool {
        let Some(known) = self.peers.get_mut(to.who()) else {
            return false;
        };
        let Some(want) = known.want.as_mut().filter(|w| w.room() > 0) else {
            return false;
        };
        let request = want.next;
        want.next.0 += 1;
        let Choice { number, task } = choice;
        // A task whose inputs are not made keeps nobody busy.
        let frame = self.frames.live(number);
        want.idle &= frame.is_some_and(|f| f.tasks.get(task).missing > 0);
        self.give_lease(now_us, number, task, to, request);
        let again_us = now_us + self.config.retry_us[0];
        let next = self.offers.next_lease_us;
        self.offers.next_lease_us = Some(next.map_or(again_us, |n| n.min(again_us)));
        self.stats.leases_issued += 1;
        self.enqueue(Outgoing::Lease {
            to,
            number,
            task,
            request,
        });
        true
    }
}
