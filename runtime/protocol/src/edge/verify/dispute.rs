//! Disputes: two nodes made different outputs of one task, and a third computation decides who was wrong.

use super::{
    check::{Made, Step},
    suspects::Suspects,
};
use crate::{
    FrameNumber, Micros, NodeId, NodeIncarnation, Notice, TaskId,
    edge::{
        Edge,
        own_frames::OwnFrame,
        placement::{Choice, anywhere::has_no_home},
    },
    peer::Peer,
    store::Store,
};
use tessera_plan::dataflow::ObjectKey;

/// Microseconds for which other nodes are given the opportunity to compute a task for the third time.
const THIRD_US: u64 = 1_000_000;
/// Microseconds between two looks while another node computes it.
const LOOK_US: u64 = 250_000;

/// An output that two nodes made differently.
#[derive(Debug)]
pub struct Dispute {
    pub number: FrameNumber,
    pub task: TaskId,
    /// Index of the output among those that the task made.
    pub place: usize,
    key: ObjectKey,
    /// Who made `theirs`.
    of: Made,
    mine: Vec<u8>,
    theirs: Vec<u8>,
    /// When to see whether another node has taken the task.
    pub look_us: Micros,
}

impl Edge {
    pub(super) fn begin_dispute(
        &mut self,
        now_us: Micros,
        (number, task): (FrameNumber, TaskId),
        of: Made,
        (place, key): (usize, ObjectKey),
        theirs: Vec<u8>,
        store: &mut impl Store,
    ) {
        let others = self.is_another_there(now_us, of.by.id);
        let info = std::sync::Arc::clone(&self.info);
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        let mine = frame.find(&info, key);
        let mine = mine.map_or_else(Vec::new, |(slot, _)| store.bytes(slot).to_vec());
        // The next run here must be kept, so this one makes room.
        let mut gone = Vec::new();
        for made in [task].iter().chain(&info.tasks[task.index()].gives) {
            frame.runs.remove(made);
            gone.extend(frame.outputs.remove(made).into_iter().flatten());
        }
        let t = frame.tasks.get_mut(task);
        t.distrust(of.by.who());
        if let Some(check) = &mut t.check {
            check.step = if others { Step::Third } else { Step::ThirdHere };
        }
        frame.tasks.refresh(task);
        for slot in gone {
            self.slots.give(slot, store, &mut self.stats);
        }
        self.verifier.dispute = Some(Dispute {
            number,
            task,
            place,
            key,
            of,
            mine,
            theirs,
            look_us: now_us + THIRD_US,
        });
        self.dirty = true;
    }

    /// True if a node other than this one and `but` has spoken lately.
    fn is_another_there(&self, now_us: Micros, but: NodeId) -> bool {
        let lately = |us: Micros| now_us.saturating_sub(us) <= self.config.dead_after_us;
        let mut others = self.peers.iter().filter(|p| p.peer.id != but);
        others.any(|p| lately(p.seen_us) && !self.verifier.suspects.is_out(now_us, p.peer.id))
    }

    /// Computes a task here for the third time, if no other node has taken it.
    pub(in crate::edge) fn look_at_dispute(&mut self, now_us: Micros) {
        let Some(d) = self
            .verifier
            .dispute
            .as_mut()
            .filter(|d| d.look_us <= now_us)
        else {
            return;
        };
        d.look_us = now_us + LOOK_US;
        let Some(frame) = self.frames.live_mut(d.number) else {
            return;
        };
        let t = frame.tasks.get_mut(d.task);
        if let Some(check) = t.check.as_mut().filter(|c| c.is_for_others())
            && t.lease.is_none()
        {
            check.step = Step::ThirdHere;
            frame.tasks.refresh(d.task);
            self.dirty = true;
        }
    }

    /// Decides with what this node has computed once more.
    pub(super) fn judge_here(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        store: &mut impl Store,
    ) {
        let about = |d: &&Dispute| (d.number, d.task) == (number, task);
        let key = self.verifier.dispute.as_ref().filter(about).map(|d| d.key);
        let frame = self.frames.live(number);
        let slot = frame.zip(key).and_then(|(f, key)| f.find(&self.info, key));
        let Some((slot, _)) = slot else { return };
        let third = store.bytes(slot).to_vec();
        let me = Made {
            by: Peer {
                id: self.me.id,
                incarnation: self.me.incarnation,
                addr: self.config.gateway,
            },
            arithmetic: self.config.arithmetic,
        };
        self.judge(now_us, me, &third, store);
    }

    /// Decides who was wrong: the one whose output differs from that of the third computation.
    pub(super) fn judge(
        &mut self,
        now_us: Micros,
        third: Made,
        output: &[u8],
        store: &mut impl Store,
    ) {
        let Some(d) = self.verifier.dispute.take() else {
            return;
        };
        let is_like = |made: &[u8], arithmetic| {
            let likeness = self.likeness(d.key, made, output);
            self.passes(likeness, arithmetic, third.arithmetic)
        };
        let mine = is_like(&d.mine, self.config.arithmetic);
        let theirs = is_like(&d.theirs, d.of.arithmetic);
        let (number, task) = (d.number, d.task);
        match (mine, theirs) {
            (true, false) => self.is_wrong(d.of.by.who(), number, task),
            (false, true) => {
                // What this node computes is worth nothing, and it computes for this frame.
                self.stats.checks.own_wrong += 1;
                self.notices.add(Notice::OwnResultsDiffer { number, task });
                if let Some(frame) = self.frames.live_mut(number) {
                    frame.failed = true;
                    frame.tasks.get_mut(task).check = None;
                }
                self.link.changed = true;
                self.dirty = true;
            }
            _ => {
                self.stats.checks.undecided += 1;
                let without = [d.of.by.who(), third.by.who()];
                self.begin_anew(number, without);
            }
        }
        self.restart_frames(now_us, store);
    }

    /// Notes that a board has computed something wrong: frames that it had a part in begin anew without it, and the second
    /// time it gets no more tasks.
    fn is_wrong(&mut self, who: NodeIncarnation, number: FrameNumber, task: TaskId) {
        let times = self.verifier.suspects.wrong(who.id);
        *self.stats.checks.wrong.entry(who.id).or_insert(0) += 1;
        let left_out = times >= Suspects::WRONG_MAX;
        self.notices.add(Notice::ResultsDiffer {
            node: who.id,
            number,
            task,
            left_out,
        });
        if left_out {
            self.stats.checks.left_out.insert(who.id);
            self.takes_none(who.id);
        }
        let had_part = |f: &OwnFrame| {
            let made = |h: &NodeIncarnation| h.id == who.id;
            let mut tasks = f.tasks.iter();
            tasks.any(|(_, t)| t.holders.iter().any(made) || t.first == Some(who.id))
        };
        let parts = self.frames.in_flight().filter(|(_, f)| had_part(f));
        let parts: Vec<FrameNumber> = parts.map(|(n, _)| n).collect();
        for n in parts.into_iter().chain([number]) {
            if let Some(frame) = self.frames.live_mut(n) {
                frame.wrong = Some(who.id);
            }
            self.begin_anew(n, [who]);
        }
    }

    /// Notes that a board has not ended a task in time: it gets no others for a while.
    pub(in crate::edge) fn is_late(&mut self, now_us: Micros, board: NodeId) {
        self.verifier.suspects.late(now_us, board);
        self.peers.ended(|who| who.id == board);
    }

    /// Notes that `by` takes over a task that is late at the board that has it, where tasks have homes. A board of which four are
    /// taken over and that ends none meanwhile gets no others for a while, long before a lease of it runs out: each costs a frame the
    /// time until it is late.
    pub(in crate::edge) fn taken_over(&mut self, now_us: Micros, choice: Choice, by: NodeId) {
        let Choice { number, task } = choice;
        if !self.policy().waits() || has_no_home(&self.info, task) {
            return;
        }
        let frame = self.frames.live(number);
        let lease = frame.and_then(|f| f.tasks.get(task).lease);
        if let Some(l) = lease.filter(|l| l.thief.id != by)
            && self.verifier.suspects.taken_over(l.thief.id)
        {
            self.is_late(now_us, l.thief.id);
        }
    }

    /// Takes back what a board has been given, and forgets that it waits for tasks.
    pub(super) fn takes_none(&mut self, board: NodeId) {
        self.return_leases(|who| who.id == board);
        self.peers.ended(|who| who.id == board);
        self.dirty = true;
    }
}
