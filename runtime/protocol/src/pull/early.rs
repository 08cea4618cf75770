//! Pulls of objects that may not be made yet, or of which rows are made.
//!
//! The holder says which chunks are made. Those are requested, awaited and repeated like any others. Beyond them a few are
//! requested that are not made: the holder sends these when they are, so no timer waits for them. The receiver asks for
//! them again after a while, in case the holder's word was lost.

use super::{
    receiver::{Receiver, enqueue},
    transfer::Pull,
};
use crate::{
    Micros, PullId,
    wire::{Envelope, Later, NO_RUN, Reject},
};

impl<T: Copy> Receiver<T> {
    /// Microseconds after which the receiver asks again for an object that is being made.
    pub(super) const DEFER_US: u64 = 300_000;
    /// Microseconds after which the receiver asks again a holder that knows nothing of the object.
    pub(super) const UNKNOWN_US: u64 = 60_000;
    /// Microseconds after which the receiver asks again for the next rows of an object of which rows have come.
    pub(super) const STEP_US: u64 = 100_000;
    /// How often a holder may know nothing of an object that should be made there.
    pub(super) const UNKNOWN_MAX: u8 = 5;

    /// Notes that a pull's object may not be made yet.
    pub fn expect_later(&mut self, id: PullId) {
        if let Some(pull) = self.pulls.get_mut(&id) {
            pull.early = true;
        }
    }

    /// Notes that a pull's object is made. If its holder knew nothing of it, the holder is asked again at once.
    pub fn is_made(&mut self, now_us: Micros, id: PullId) {
        let pull = self.pulls.get_mut(&id);
        if let Some(pull) = pull.filter(|p| p.unknown > 0 && p.deferred_until_us.is_some()) {
            pull.deferred_until_us = Some(now_us);
            self.next_deferred_us = Some(now_us);
        }
    }

    /// Handles a holder's answer that the object is being made: the holder sends what was requested when it is made.
    ///
    /// # Errors
    /// [`Reject::Unexpected`] when the holder was not asked, or does not make what chunks are here of.
    pub fn on_later(
        &mut self,
        now_us: Micros,
        envelope: &Envelope,
        later: Later,
    ) -> Result<(), Reject> {
        let id = later.pull;
        let asked = self.pulls.get_mut(&id);
        let asked = asked.filter(|p| p.early && p.holder.id == envelope.from);
        let pull = asked.ok_or(Reject::Unexpected)?;
        pull.unknown = 0;
        if later.chunks > pull.chunks() {
            return Err(Reject::Range);
        }
        if later.chunks == 0 {
            if pull.made > 0 {
                // Rows that are made wait there for others that use the same channel.
                if let Some(line) = self.paths.get_mut(&pull.holder.who()) {
                    line.path.answered();
                }
                return Ok(());
            }
            self.defer(id, now_us + Self::DEFER_US);
            return Ok(());
        }
        if pull.run == NO_RUN {
            // What was requested before is requested again, of this run.
            pull.run = later.run;
            pull.ask_anew();
            if let Some(line) = self.paths.get_mut(&pull.holder.who()) {
                self.under_way -= line.path.under_way();
                line.path.forget(id);
                self.under_way += line.path.under_way();
            }
        } else if pull.run != later.run {
            return Err(Reject::Unexpected);
        }
        self.made(now_us, id, later.chunks);
        Ok(())
    }

    /// Notes that so many chunks of an early object are made: those that were requested are on their way, and others
    /// are not.
    pub(super) fn made(&mut self, now_us: Micros, id: PullId, chunks: u32) {
        let Some(pull) = self.pulls.get_mut(&id) else {
            return;
        };
        let Some(line) = self.paths.get_mut(&pull.holder.who()) else {
            return;
        };
        self.under_way -= line.path.under_way();
        let before = pull.made;
        pull.made = before.max(chunks);
        line.path.forget_from(id, pull.made);
        for chunk in pull.requested(before..pull.made) {
            if !line.path.waits_for(id, chunk) {
                // Their round trips say nothing.
                (line.path).ask(now_us, id, chunk, true, pull.chunk_len(chunk));
            }
        }
        line.path.answered();
        self.under_way += line.path.under_way();
        pull.early = pull.made < pull.chunks();
        pull.deferred_until_us = pull.early.then_some(now_us + Self::STEP_US);
        let next = pull.deferred_until_us.into_iter();
        self.next_deferred_us = next.chain(self.next_deferred_us).min();
        if pull.wanted() > 0 && !pull.queued {
            pull.queued = true;
            let ahead = pull.ahead;
            enqueue(&mut line.queue, &self.pulls, id, ahead, false);
        }
        self.settled = false;
    }

    /// Takes a pull's requests back until then; chunks may arrive before.
    pub(super) fn defer(&mut self, id: PullId, until_us: Micros) {
        let Some(pull) = self.pulls.get_mut(&id) else {
            return;
        };
        pull.deferred_until_us = Some(until_us);
        let next = self
            .next_deferred_us
            .map_or(until_us, |at| at.min(until_us));
        self.next_deferred_us = Some(next);
        if let Some(line) = self.paths.get_mut(&pull.holder.who()) {
            self.under_way -= line.path.under_way();
            line.path.forget(id);
            line.path.answered();
            self.under_way += line.path.under_way();
            if std::mem::take(&mut pull.queued) {
                line.queue.retain(|&p| p != id);
            }
        }
        self.settled = false;
    }

    /// Continues an early pull of which a chunk has come that was not known to be made. Of an object without a run, the
    /// others that were requested are under way.
    pub(super) fn resume(&mut self, now_us: Micros, id: PullId, chunk: u32) {
        let Some(pull) = self.pulls.get(&id) else {
            return;
        };
        let made = if pull.run == NO_RUN {
            pull.chunks()
        } else {
            chunk + 1
        };
        self.made(now_us, id, made);
    }

    /// Asks again for deferred objects whose time has come.
    pub(super) fn ask_deferred(&mut self, now_us: Micros) {
        if self.next_deferred_us.is_none_or(|at| at > now_us) {
            return;
        }
        let due = |p: &Pull<T>| p.deferred_until_us.is_some_and(|at| at <= now_us);
        let all = self.pulls.iter().filter(|(_, p)| due(p));
        for id in all.map(|(&id, _)| id).collect::<Vec<_>>() {
            let Some(pull) = self.pulls.get_mut(&id) else {
                continue;
            };
            if pull.unknown == 0 {
                pull.ask_one();
            } else {
                pull.ask_anew();
            }
            let was_queued = std::mem::replace(&mut pull.queued, true);
            let (holder, ahead) = (pull.holder.who(), pull.ahead);
            let line = self.paths.get_mut(&holder).filter(|_| !was_queued);
            if let Some(line) = line {
                enqueue(&mut line.queue, &self.pulls, id, ahead, false);
            }
            self.settled = false;
        }
        let left = self.pulls.values().filter_map(|p| p.deferred_until_us);
        self.next_deferred_us = left.min();
    }
}
