//! Between this edge and the gateway: beats, and what the gateway answers.

use std::collections::BTreeSet;

use super::{Edge, Event};
use crate::{
    EdgeConfig, Epoch, FrameId, NodeId, Now, Refusal,
    store::Store,
    wire::{Beat, Envelope, FrameEntry, Message, Reject, Stand, State, Verdict},
};

/// What is known of the gateway, and what it was told.
#[derive(Debug)]
pub struct Link {
    /// The gateway's life, once it has spoken.
    pub gateway: Option<Epoch>,
    /// Whether no more frames will come.
    pub no_more: bool,
    /// Something changed that the gateway should know now.
    pub changed: bool,
    /// The gateway has ended the run.
    pub stopped: bool,
    seq: u32,
    /// Latest beat that was answered.
    answered: u32,
    /// First beat that said what the latest says: an answer to it is an answer to the latest.
    first: u32,
    /// When that was sent, and how long answers take.
    first_at: Now,
    rtt: u64,
    /// First beat that named the gateway's present life.
    named: Option<u32>,
    /// Whether this node belongs.
    verdict: Option<Verdict>,
    said_work: bool,
    last: Option<Now>,
    /// Pause before an unanswered beat is repeated.
    pause: u64,
    retry: [u64; 2],
    beat: u64,
    dead_after: u64,
    /// The node that was asked about last.
    turn: NodeId,
}

impl Link {
    /// Pause before a change that can wait is told: that there is no work any more.
    const LAZY: u64 = 20_000;

    /// Nothing was said yet.
    pub fn new(config: &EdgeConfig) -> Self {
        Self {
            gateway: None,
            no_more: false,
            changed: false,
            stopped: false,
            seq: 0,
            answered: 0,
            first: 0,
            first_at: 0,
            rtt: 0,
            named: None,
            verdict: None,
            said_work: false,
            last: None,
            pause: config.retry[0],
            // Several beats must be lost before this node counts as dead.
            retry: config.retry.map(|r| r.min(config.beat / 2).max(1)),
            beat: config.beat,
            dead_after: config.dead_after,
            turn: NodeId(0),
        }
    }

    /// Whether the gateway's present life has welcomed this node.
    pub fn joined(&self) -> bool {
        self.verdict == Some(Verdict::Welcome) && !self.stopped
    }

    /// When the next beat is due.
    pub fn next(&self, now: Now, has_work: bool) -> Now {
        let Some(last) = self.last else { return now };
        if self.stopped {
            return Now::MAX;
        }
        if matches!(self.verdict, Some(Verdict::Refused(_))) {
            return last + self.dead_after;
        }
        if self.changed || has_work && !self.said_work {
            return now;
        }
        let regular = if self.answered < self.first {
            last + self.pause.max(self.rtt * 2)
        } else {
            last + self.beat
        };
        if self.said_work && !has_work {
            regular.min(last + Self::LAZY)
        } else {
            regular
        }
    }

    /// A beat was answered.
    fn answer(&mut self, now: Now, seq: u32) {
        self.answered = seq;
        self.pause = self.retry[0];
        if seq == self.first {
            let sample = now.saturating_sub(self.first_at).min(self.dead_after / 8);
            self.rtt = if self.rtt == 0 {
                sample
            } else {
                (self.rtt * 3 + sample) / 4
            };
        }
    }

    /// A beat is about to be written; gives its number.
    fn count(&mut self, now: Now, has_work: bool) -> u32 {
        self.seq += 1;
        if self.answered < self.first && !self.changed && has_work == self.said_work {
            self.pause = (self.pause * 2).min(self.retry[1]);
        } else {
            (self.first, self.first_at) = (self.seq, now);
        }
        self.last = Some(now);
        self.changed = false;
        self.said_work = has_work;
        if self.gateway.is_some() {
            self.named.get_or_insert(self.seq);
        }
        self.seq
    }
}

impl Edge {
    /// Writes a beat.
    pub(super) fn write_beat(&mut self, now: Now) {
        let has_work = self.has_work();
        let seq = self.link.count(now, has_work);
        let frames: Vec<FrameEntry> = (self.frames.lives())
            .map(|(n, f)| FrameEntry::new(n, f.failed, f.meta))
            .collect();
        let ask: Vec<_> = (self.asking_about().into_iter())
            .map(|id| id.0.into())
            .collect();
        let beat = Beat {
            seq,
            has_work,
            no_more: self.link.no_more,
            floor: self.frames.floor(),
            next: self.frames.next(),
            plan_hash: self.info.plan_hash,
            model_digest: self.info.model_digest,
            frames: &frames,
            ask: &ask,
        };
        let envelope = self.me.to(self.link.gateway);
        Message::Beat(beat).encode(envelope, &mut self.out);
    }

    /// Nodes whose fate matters here: who has own tasks or their outputs, whose outputs are kept.
    /// Takes turns when there are too many for a beat.
    fn asking_about(&mut self) -> Vec<NodeId> {
        let mut all: BTreeSet<NodeId> = self.guests.owners();
        for (_, f) in self.frames.lives() {
            for (_, t) in f.tasks.iter() {
                all.extend(t.holders.iter().map(|h| h.0));
                all.extend(t.lease.map(|l| l.thief.id));
            }
        }
        all.remove(&self.config.id);
        let turn = self.link.turn;
        let (before, after): (Vec<_>, Vec<_>) = all.into_iter().partition(|&n| n <= turn);
        let list: Vec<NodeId> = (after.into_iter().chain(before))
            .take(Beat::MAX_ASK)
            .collect();
        if let Some(&last) = list.last() {
            self.link.turn = last;
        }
        list
    }

    /// Any datagram of the gateway's.
    ///
    /// # Errors
    /// [`Reject::Stale`] when it comes from an earlier life.
    pub(super) fn gateway_spoke(&mut self, envelope: &Envelope) -> Result<(), Reject> {
        match self.link.gateway {
            Some(known) if known > envelope.epoch => Err(Reject::Stale),
            Some(known) if known == envelope.epoch => Ok(()),
            _ => {
                self.link.gateway = Some(envelope.epoch);
                self.link.named = None;
                if self.link.joined() {
                    self.link.verdict = None;
                }
                // It does not know this node before it has heard a beat meant for it.
                self.link.changed = true;
                self.gateway_forgot();
                self.search_restart();
                Ok(())
            }
        }
    }

    pub(super) fn on_state(&mut self, now: Now, state: &State<'_>, store: &mut impl Store) {
        if state.seq > self.link.answered && state.seq <= self.link.seq {
            self.link.answer(now, state.seq);
            self.on_verdict(state);
            if state.work {
                self.work_somewhere(now);
            }
        }
        for note in state.frames {
            let number = note.number.get();
            match note.stand() {
                Stand::Waiting => {}
                Stand::Open => {
                    if let Some(f) = self.frames.live_mut(number)
                        && !f.open
                    {
                        f.open = true;
                        f.fresh = true;
                    }
                }
                Stand::Over(outcome) => self.frame_over(number, outcome, store),
            }
        }
        for entry in state.book {
            let book = entry.book();
            let over: Vec<FrameId> = (self.guests.frames()).filter(|&f| book.over(f)).collect();
            for frame in over {
                self.guest_over(frame, store);
            }
            // What an unasked one says of life and death may be old.
            if state.seq > 0 && state.seq == self.link.answered {
                let (id, epoch, alive) = (book.node.id(), book.node.epoch(), book.alive);
                if id != self.config.id {
                    self.lives_ended(|(n, e)| n == id && (e < epoch || e == epoch && !alive));
                }
            }
        }
    }

    fn on_verdict(&mut self, state: &State<'_>) {
        match state.verdict {
            Verdict::Welcome => {
                // The answer to a beat that did not name the gateway's life only tells it.
                if self.link.named.is_some_and(|n| n <= state.seq) {
                    self.link.verdict = Some(Verdict::Welcome);
                    self.stirred = true;
                } else {
                    if matches!(self.link.verdict, Some(Verdict::Refused(_))) {
                        self.link.verdict = None;
                    }
                    self.link.changed = true;
                }
            }
            Verdict::Refused(why) => self.refused(why),
        }
    }

    fn refused(&mut self, why: Refusal) {
        let verdict = Some(Verdict::Refused(why));
        if self.link.verdict != verdict {
            self.link.verdict = verdict;
            self.events.push_back(Event::Refused(why));
        }
    }

    /// Takes no part any more; the gateway is told once, and finds out by itself if that gets lost.
    pub(super) fn leave(&mut self) {
        if self.link.joined() {
            self.send(super::say::Post::Bye);
        }
        self.link.stopped = true;
    }

    pub(super) fn on_stop(&mut self) -> Result<(), Reject> {
        if !self.link.joined() && !self.link.stopped {
            return Err(Reject::Unexpected);
        }
        if !self.link.stopped {
            self.link.stopped = true;
            self.events.push_back(Event::Stopped);
        }
        self.send(super::say::Post::Bye);
        Ok(())
    }
}
