//! Comparing: outputs of another node are fetched, one after the other, and compared with what this node has.

use super::{
    check::{Check, Made, Step},
    dispute::Dispute,
    same::{Likeness, compare},
};
use crate::{
    FrameNumber, Micros, NodeIncarnation, Notice, ObjectId, PullId, TaskId,
    edge::{Edge, pending_job::PullTag, slots::SlotUse},
    peer::Peer,
    pull::{Destination, PullError},
    store::{SlotId, Store},
};
use tessera_plan::dataflow::ObjectKey;

/// An output of another node that is fetched to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    pub number: FrameNumber,
    pub task: TaskId,
    /// Whose output it is.
    of: Made,
    /// Index of the output among those that the task made.
    place: usize,
    key: ObjectKey,
    slot: SlotId,
    pull: PullId,
    /// Tells this pull from those of earlier comparisons.
    serial: u32,
    /// True if all outputs so far were the same to the bit.
    exact: bool,
}

impl Edge {
    /// Notes that another node has finished a task that is to be checked. It does not count as finished yet.
    pub(in crate::edge) fn begin_check(
        &mut self,
        number: FrameNumber,
        task: TaskId,
        by: Peer,
        arithmetic: u16,
    ) {
        self.stats.checks.begun += 1;
        *self.stats.tasks_by_node.entry(by.id).or_insert(0) += 1;
        self.dirty = true;
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        let t = frame.tasks.get_mut(task);
        t.lease = None;
        t.first.get_or_insert(by.id);
        t.check = Some(Check {
            first: Made { by, arithmetic },
            step: Step::Again,
        });
        t.reassigned();
        frame.tasks.refresh(task);
    }

    /// Handles a report of a task that is being checked. Returns true if the reporter is to keep its outputs.
    pub(in crate::edge) fn check_reported(
        &mut self,
        number: FrameNumber,
        task: TaskId,
        by: Peer,
        arithmetic: u16,
    ) -> bool {
        let Some(frame) = self.frames.live_mut(number) else {
            return false;
        };
        let t = frame.tasks.get_mut(task);
        let distrusted = t.distrusted.contains(&by.who());
        let Some(check) = &mut t.check else {
            return false;
        };
        match check.step {
            Step::Third | Step::ThirdHere if check.first.by.id != by.id && !distrusted => {
                check.step = Step::Judge(Made { by, arithmetic });
                t.lease = None;
                t.reassigned();
                frame.tasks.refresh(task);
                self.dirty = true;
                true
            }
            // A report that was repeated.
            Step::Judge(third) => third.by.who() == by.who(),
            _ => check.first.by.who() == by.who() && !distrusted,
        }
    }

    /// Notes that this node has computed a task that is being checked. Returns true if it does not count as finished yet.
    pub(in crate::edge) fn check_computed(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        store: &mut impl Store,
    ) -> bool {
        let Some(frame) = self.frames.live_mut(number) else {
            return false;
        };
        let t = frame.tasks.get_mut(task);
        let Some(check) = &mut t.check else {
            return false;
        };
        let step = check.step;
        if step == Step::Again {
            check.step = Step::Compare;
            frame.tasks.refresh(task);
        }
        self.dirty = true;
        if matches!(step, Step::Third | Step::ThirdHere) {
            self.judge_here(now_us, number, task, store);
        }
        true
    }

    /// Begins the next comparison, if none is under way.
    pub(in crate::edge) fn compare_next(&mut self, now_us: Micros, store: &mut impl Store) {
        // Terminates: every turn ends a check, or returns.
        while self.verifier.comparison.is_none() {
            // While there is a dispute, what decides it comes first, and alone.
            let disputed = self.verifier.dispute.is_some();
            let waits = |step: Step| match step {
                Step::Compare => !disputed,
                Step::Judge(_) => disputed,
                Step::Again | Step::Third | Step::ThirdHere => false,
            };
            let found = self.frames.in_flight().find_map(|(number, f)| {
                let sound = !f.failed && f.restart.is_none();
                let mut all = f.tasks.iter().filter(|_| sound);
                all.find_map(|(task, t)| {
                    let check = t.check.filter(|c| waits(c.step))?;
                    Some((number, task, check))
                })
            });
            let Some((number, task, check)) = found else {
                return;
            };
            let (of, place) = match check.step {
                Step::Judge(third) => {
                    (third, self.verifier.dispute.as_ref().map_or(0, |d| d.place))
                }
                _ => (check.first, 0),
            };
            self.compare_output(now_us, (number, task), of, place, true, store);
        }
    }

    /// Fetches an output of `of` to compare it, or ends the check if there are no more.
    fn compare_output(
        &mut self,
        now_us: Micros,
        (number, task): (FrameNumber, TaskId),
        of: Made,
        place: usize,
        exact: bool,
        store: &mut impl Store,
    ) {
        let info = std::sync::Arc::clone(&self.info);
        let Some((key, port)) = info.made(task).nth(place) else {
            self.stats.checks.equal += u64::from(exact);
            self.stats.checks.close += u64::from(!exact);
            self.verifier.suspects.proved(of.by.id);
            self.check_passed(now_us, number, task, store);
            return;
        };
        let bytes = info.port_bytes(&port);
        let taken = (self.slots).take(bytes, SlotUse::Own, store, &mut self.stats);
        let Some(slot) = taken else {
            // Slots for this are set aside; a store that has fewer than it should does not stop frames.
            self.stats.checks.skipped += 1;
            self.comparison_failed(now_us, number, task, store);
            return;
        };
        let holder = self.peers.get(of.by.who()).map_or(of.by, |k| k.peer);
        let object = ObjectId {
            frame: self.frame_id(number),
            key,
        };
        let place_of = Destination {
            slot,
            region: port.region,
            element: info.element(key).unwrap_or_default(),
        };
        let transfer = &mut self.stats.transfer;
        self.verifier.comparisons = self.verifier.comparisons.wrapping_add(1);
        let serial = self.verifier.comparisons;
        let tag = PullTag::Check(serial);
        let pull = (self.receiver).start(tag, holder, object, port.region, place_of, transfer);
        self.verifier.comparison = Some(Comparison {
            number,
            task,
            of,
            place,
            key,
            slot,
            pull,
            serial,
            exact,
        });
    }

    /// Handles the end of the pull for a comparison.
    pub(in crate::edge) fn compare_pulled(
        &mut self,
        now_us: Micros,
        serial: u32,
        how: Result<(), PullError>,
        store: &mut impl Store,
    ) {
        let this = |c: &mut Comparison| c.serial == serial;
        let Some(c) = self.verifier.comparison.take_if(this) else {
            return;
        };
        self.dirty = true;
        if how.is_err() {
            self.slots.give(c.slot, store, &mut self.stats);
            self.stats.checks.unanswered += 1;
            if self.verifier.suspects.silent(now_us, c.of.by.id) {
                self.notices.add(Notice::ShowsNothing { node: c.of.by.id });
                self.takes_none(c.of.by.id);
            }
            self.comparison_failed(now_us, c.number, c.task, store);
            return;
        }
        self.stats.checks.bytes += store.bytes(c.slot).len() as u64;
        let judges = self.verifier.dispute.is_some();
        let theirs = store.bytes(c.slot).to_vec();
        self.slots.give(c.slot, store, &mut self.stats);
        if judges {
            self.judge(now_us, c.of, &theirs, store);
            return;
        }
        let own = self.frames.live(c.number);
        let own = own.and_then(|f| f.find(&self.info, c.key));
        let (mut equal, mut exact) = (true, c.exact);
        if let Some((slot, _)) = own {
            let likeness = self.likeness(c.key, store.bytes(slot), &theirs);
            equal = self.passes(likeness, self.config.arithmetic, c.of.arithmetic);
            exact &= likeness == Likeness::Equal;
        }
        let frame = (c.number, c.task);
        if equal {
            self.compare_output(now_us, frame, c.of, c.place + 1, exact, store);
        } else {
            self.stats.checks.differed += 1;
            self.begin_dispute(now_us, frame, c.of, (c.place, c.key), theirs, store);
        }
    }

    pub(super) fn likeness(&self, key: ObjectKey, a: &[u8], b: &[u8]) -> Likeness {
        compare(self.info.element(key).unwrap_or_default(), a, b)
    }

    /// True if outputs of boards with these instruction sets may be so alike and no more.
    pub(super) fn passes(&self, likeness: Likeness, a: u16, b: u16) -> bool {
        match likeness {
            Likeness::Equal => true,
            Likeness::Close => a != b,
            Likeness::Different => false,
        }
    }

    /// What is to happen when the outputs of a node could not be had.
    fn comparison_failed(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        store: &mut impl Store,
    ) {
        if self.verifier.dispute.is_none() {
            self.check_passed(now_us, number, task, store);
            return;
        }
        if let Some(frame) = self.frames.live_mut(number)
            && let Some(check) = &mut frame.tasks.get_mut(task).check
        {
            check.step = Step::ThirdHere;
            frame.tasks.refresh(task);
        }
        self.dirty = true;
    }

    /// Ends a check: what this node has made counts.
    fn check_passed(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
        task: TaskId,
        store: &mut impl Store,
    ) {
        let me = self.me.who();
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        frame.tasks.get_mut(task).check = None;
        frame.note_end(now_us, self.info.tasks[task.index()].stage);
        self.finished(now_us, number, task, me);
        self.settle(number, task, store);
    }

    /// Ends what is under way for checks of a frame that is over, or begins anew.
    pub(in crate::edge) fn forget_checks(&mut self, number: FrameNumber, store: &mut impl Store) {
        if let Some(c) = self.verifier.comparison.filter(|c| c.number == number) {
            self.verifier.comparison = None;
            self.receiver.cancel(c.pull);
            self.slots.give(c.slot, store, &mut self.stats);
            self.dirty = true;
        }
        let about = |d: &Dispute| d.number == number;
        if self.verifier.dispute.as_ref().is_some_and(about) {
            self.verifier.dispute = None;
            self.dirty = true;
        }
    }

    /// Handles ended incarnations: what they made can not be compared any more. That is no fault of theirs.
    pub(in crate::edge) fn checks_ended(
        &mut self,
        dead: impl Fn(NodeIncarnation) -> bool,
        store: &mut impl Store,
    ) {
        let now_us = self.clock.unwrap_or(0);
        if let Some(c) = self.verifier.comparison.filter(|c| dead(c.of.by.who())) {
            self.verifier.comparison = None;
            self.receiver.cancel(c.pull);
            self.slots.give(c.slot, store, &mut self.stats);
            self.stats.checks.unanswered += 1;
            self.comparison_failed(now_us, c.number, c.task, store);
        }
        let mut computed = Vec::new();
        for (number, frame) in self.frames.in_flight_mut() {
            let checks = frame.tasks.iter().filter_map(|(task, t)| {
                let check = t.check.filter(|c| dead(c.first.by.who()))?;
                Some((task, check.step))
            });
            let checks: Vec<_> = checks.collect();
            for (task, step) in checks {
                match step {
                    Step::Again => {
                        // Nobody has it any more: whoever is next may compute it.
                        frame.tasks.get_mut(task).check = None;
                        frame.tasks.refresh(task);
                    }
                    Step::Compare => computed.push((number, task)),
                    Step::Third | Step::ThirdHere | Step::Judge(_) => {}
                }
            }
        }
        for (number, task) in computed {
            self.stats.checks.unanswered += 1;
            self.check_passed(now_us, number, task, store);
        }
    }
}
