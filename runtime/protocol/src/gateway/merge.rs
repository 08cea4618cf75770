//! Merging of a frame's tensors, and the ends of frames.

use super::{
    Gateway, GatewayPull, TailPull,
    frames::{
        Announced, FlightState, HeldResult, Merge, MissingResult, NeedState, Stall, maker,
        maker_number,
    },
    send::{Action, Outgoing},
};
use crate::{
    DropReason, FrameId, FrameOutcome, GATEWAY, Micros, Notice, ObjectId,
    peer::Peer,
    pull::{Destination, PullError},
    retry::Retry,
    stats::count_fetched,
    store::{SlotId, Store},
    wire::{Envelope, NO_TASK, Reject, Results},
};
use tessera_plan::dataflow::Need;

impl Gateway {
    /// Gives slots to waiting frames, a fair share to every source. A frame that stands still, for example because
    /// its source's workers do, gives up its slots to a frame that moves.
    pub(super) fn open_frames(&mut self, now_us: Micros, store: &mut impl Store) {
        let stall = Stall {
            after_us: self.config.stall_us,
            for_tail: self.info.tasks.iter().filter(|t| t.for_tail).count(),
            shared: self.info.is_shared(),
        };
        // Nobody takes the last place of another that brings frames, however many it lists.
        let others = self.nodes.living_sources().saturating_sub(1);
        let most = self.config.frames_max.saturating_sub(others).max(1);
        // Terminates: every turn opens or ends a waiting frame, or closes one that stands still.
        while let Some((id, still)) = self.frames.next_to_open(now_us, stall, most) {
            let source = self.nodes.living(id.source, id.incarnation).map(|n| n.peer);
            let Some(source) = source else {
                // The source's incarnation has ended, and the frame has ended or ends with this call.
                self.drop_frame(now_us, id, DropReason::SourceLost, store);
                continue;
            };
            if self.frames.open() >= self.config.frames_max {
                let other = self.frames.gives_way(now_us, stall).filter(|_| !still);
                let Some(other) = other else { return };
                self.close(now_us, other, store);
                continue;
            }
            let Some(slots) = self.tensors(store) else {
                return;
            };
            let merge = Merge::new(slots, &self.info, source);
            if let Some(flight) = self.frames.get_mut(id) {
                flight.state = FlightState::Open(merge);
                flight.opened = flight.opened.saturating_add(1);
                if !still {
                    flight.progress_us = now_us;
                }
            }
            self.push(now_us, id);
            self.dirty = true;
            self.run_if_whole(id);
        }
    }

    /// Takes an open frame's slots. The owner keeps the outputs, and sends the results again later.
    fn close(&mut self, now_us: Micros, id: FrameId, store: &mut impl Store) {
        let Some(merge) = self.frames.close(id) else {
            return;
        };
        self.stats.frames_closed += 1;
        if let Some(flight) = self.frames.get_mut(id).filter(|_| self.info.is_shared()) {
            // From now on it waits to be tried again.
            flight.progress_us = now_us;
        }
        self.cancel(&merge);
        self.free(merge.slots, store);
        self.push(now_us, id);
        self.dirty = true;
    }

    /// Notes how often a source has begun a frame anew: what the gateway has of earlier attempts is void.
    pub(super) fn note_attempt(
        &mut self,
        now_us: Micros,
        id: FrameId,
        attempt: u8,
        store: &mut impl Store,
    ) {
        let Some(flight) = self.frames.get_mut(id) else {
            return;
        };
        // A frame whose tail runs ends with that.
        if attempt <= flight.attempt || matches!(flight.state, FlightState::Tail(_)) {
            return;
        }
        flight.attempt = attempt;
        let open = matches!(flight.state, FlightState::Open(_));
        self.stats.frames_begun_anew += 1;
        self.notices.add(Notice::BegunAnew {
            node: id.source,
            number: id.number,
        });
        if open {
            self.close(now_us, id, store);
        }
    }

    fn cancel(&mut self, merge: &Merge) {
        for piece in &merge.needs {
            if let NeedState::Pulling(pull) = *piece {
                self.receiver.cancel(pull);
            }
        }
    }

    /// Slots for all of the tail's inputs, and for what the gateway passes on, or `None`.
    fn tensors(&mut self, store: &mut impl Store) -> Option<Vec<SlotId>> {
        let tail = self.info.tail_inputs.iter().map(|t| {
            let tensor = self.info.tensors[usize::from(*t)];
            tensor.bytes(tensor.region)
        });
        let relayed = self.info.relayed.iter().map(|n| self.info.need_bytes(n));
        let sizes: Vec<usize> = tail.chain(relayed).collect();
        let mut slots = Vec::with_capacity(sizes.len());
        for bytes in sizes {
            match store.alloc(bytes) {
                Some(slot) => slots.push(slot),
                None => {
                    slots.into_iter().for_each(|s| store.free(s));
                    return None;
                }
            }
        }
        self.stats.slots += slots.len() as u64;
        self.stats.slots_peak = self.stats.slots_peak.max(self.stats.slots);
        Some(slots)
    }

    pub(super) fn free(&mut self, slots: Vec<SlotId>, store: &mut impl Store) {
        self.stats.slots -= slots.len() as u64;
        slots.into_iter().for_each(|s| store.free(s));
    }

    /// Repeats to a node the states of its frames, until the node's heartbeats show that the node knows.
    fn push(&mut self, now_us: Micros, frame: FrameId) {
        let pause_us = self.config.retry_us[0];
        if let Some(n) = self.nodes.living(frame.source, frame.incarnation) {
            n.push = Some(Retry::now(now_us, pause_us));
        }
    }

    pub(super) fn on_results(
        &mut self,
        now_us: Micros,
        envelope: &Envelope,
        results: &Results<'_>,
    ) -> Result<(), Reject> {
        let frame = FrameId {
            source: envelope.from,
            incarnation: envelope.incarnation,
            number: results.number,
        };
        let Some(flight) = self.frames.get_mut(frame) else {
            // The owner does not seem to know that the frame is over.
            self.enqueue(Outgoing::State {
                to: frame.source,
                seq: 0,
            });
            return Ok(());
        };
        // A message is taken as a whole, or not at all.
        let is_read = |task| {
            let mut needs = self.info.gateway_needs_of(maker(task));
            needs.next().is_some() && (task != NO_TASK || self.info.is_relayed(None))
        };
        if !results.tasks.iter().all(|r| is_read(r.task.get())) {
            return Err(Reject::Id);
        }
        let mut merged = Vec::new();
        if let FlightState::Open(merge) = &mut flight.state {
            if results.attempt != flight.attempt {
                // Of an attempt that is over, or that the next heartbeat tells of.
                return Ok(());
            }
            flight.announced.wrong = Some(results.wrong).filter(|w| *w != GATEWAY);
            for r in results.tasks {
                let (task, generation) = (r.task.get(), r.generation.get());
                if task == NO_TASK {
                    // The source asks whether the frame is here; who holds it is known.
                    continue;
                }
                let early = r.early != 0;
                let range = self.info.gateway_needs_of(Some(task));
                let mut peer = Peer::from(&results.nodes[usize::from(r.holder)]);
                // Owners do not know their own address, and know other nodes' addresses less well than this node.
                if let Some(n) = self.nodes.get(peer.id)
                    && n.peer.incarnation == peer.incarnation
                {
                    peer = n.peer;
                }
                let before = merge.holders.get(&task).copied();
                // What a node makes counts when the owner says that this very node has finished it.
                let same = before.is_some_and(|h| {
                    h.early && (h.peer.who(), h.generation) == (peer.who(), generation)
                });
                let known = before.is_some_and(|h| {
                    h.generation > generation || h.generation == generation && !h.early
                });
                if known || same && early {
                    continue;
                }
                let lost = merge.lost.get(&task).map(|l| l.held.generation);
                if lost.is_some_and(|l| l > generation || early && l == generation) {
                    continue;
                }
                for k in range {
                    match merge.needs[k] {
                        NeedState::Fetched if same => {
                            merged.push(k);
                            continue;
                        }
                        NeedState::Pulling(pull) if same => {
                            self.receiver.is_made(now_us, pull);
                            continue;
                        }
                        NeedState::Pulling(pull) => self.receiver.cancel(pull),
                        NeedState::Fetched => {}
                        _ => continue,
                    }
                    merge.needs[k] = NeedState::Wanted;
                }
                merge.lost.remove(&task);
                let held = HeldResult {
                    peer,
                    generation,
                    early,
                };
                merge.holders.insert(task, held);
                self.dirty = true;
            }
        }
        for need in merged {
            self.merged(now_us, TailPull { frame, need });
        }
        let tasks = results.tasks.iter().map(|r| r.task.get()).collect();
        self.enqueue(Outgoing::ResultsAck { frame, tasks });
        Ok(())
    }

    /// Starts pulls of parts with known holders, oldest frames first.
    pub(super) fn start_pulls(&mut self, now_us: Micros) {
        let mut order: Vec<(u64, FrameId)> = (self.frames.iter())
            .filter(|(_, f)| matches!(f.state, FlightState::Open(_)))
            .map(|(id, f)| (f.turn, id))
            .collect();
        order.sort_unstable();
        let open = self.frames.iter().filter_map(|(_, f)| match &f.state {
            FlightState::Open(merge) => Some(merge.early_pulls(&self.info)),
            _ => None,
        });
        let mut early_pulls: usize = open.sum();
        for (_, id) in order {
            let Some(flight) = self.frames.get_mut(id) else {
                continue;
            };
            let FlightState::Open(merge) = &mut flight.state else {
                continue;
            };
            loop {
                // What is being made must not be in the way of what is there.
                let room = |pulls: usize| pulls < self.config.pulls_max.max(1);
                let here = room(self.receiver.len() - early_pulls);
                let next = merge.startable(now_us, &self.info, false);
                let later = || merge.startable(now_us, &self.info, true);
                let (early, (k, holder)) = if let Some(next) = next.filter(|_| here) {
                    (false, next)
                } else if let Some(next) = later().filter(|_| room(early_pulls)) {
                    (true, next)
                } else {
                    break;
                };
                let need: &Need = self.info.gateway_need(k);
                let place = match k.checked_sub(self.info.tail_needs.len()) {
                    None => {
                        let tensor = self.info.tail_inputs[usize::from(need.input)];
                        Destination {
                            slot: merge.slots[usize::from(need.input)],
                            region: self.info.tensors[usize::from(tensor)].region,
                            element: self.info.tensors[usize::from(tensor)].element,
                        }
                    }
                    Some(relay) => Destination {
                        slot: merge.slots[self.info.tail_inputs.len() + relay],
                        region: need.region,
                        element: self.info.element(need.key).unwrap_or_default(),
                    },
                };
                let object = ObjectId {
                    frame: id,
                    key: need.key,
                };
                let tag = GatewayPull::Part(TailPull { frame: id, need: k });
                let transfer = &mut self.stats.transfer;
                let pull = (self.receiver).start(tag, holder, object, need.region, place, transfer);
                if early {
                    self.receiver.expect_later(pull);
                    early_pulls += 1;
                }
                merge.needs[k] = NeedState::Pulling(pull);
            }
        }
    }

    pub(super) fn pull_ended(&mut self, now_us: Micros, tag: TailPull, how: Result<(), PullError>) {
        self.dirty = true;
        let Some(flight) = self.frames.get_mut(tag.frame) else {
            return;
        };
        let FlightState::Open(merge) = &mut flight.state else {
            return;
        };
        let task = maker_number(self.info.gateway_need(tag.need).key);
        let held = merge.holders.get(&task).copied();
        if how.is_ok() {
            if held.is_some_and(|h| h.early) {
                merge.needs[tag.need] = NeedState::Fetched;
            } else {
                self.merged(now_us, tag);
            }
            return;
        }
        merge.needs[tag.need] = NeedState::Wanted;
        let Some(held) = held else {
            return;
        };
        if held.early {
            // The owner never said that it was there.
            merge.holders.remove(&task);
            for k in self.info.gateway_needs_of(Some(task)) {
                match merge.needs[k] {
                    NeedState::Pulling(pull) => self.receiver.cancel(pull),
                    NeedState::Fetched => {}
                    _ => continue,
                }
                merge.needs[k] = NeedState::Wanted;
            }
            return;
        }
        self.stats.parts_lost += 1;
        if task != crate::wire::NO_TASK {
            merge.holders.remove(&task);
            for k in self.info.gateway_needs_of(Some(task)) {
                if let NeedState::Pulling(pull) = merge.needs[k] {
                    self.receiver.cancel(pull);
                    merge.needs[k] = NeedState::Wanted;
                }
            }
            self.enqueue(Outgoing::Lost { frame: tag.frame });
        }
        let [pause_us, pause_us_max] = self.config.retry_us;
        let again = Retry::after(now_us, pause_us, pause_us_max);
        if let Some(FlightState::Open(merge)) = self.frames.get_mut(tag.frame).map(|f| &mut f.state)
        {
            merge.lost.insert(task, MissingResult { held, again });
        }
    }

    /// Notes that a part lies in its tensor, from a node that has finished its task.
    fn merged(&mut self, now_us: Micros, part: TailPull) {
        let Some(flight) = self.frames.get_mut(part.frame) else {
            return;
        };
        let FlightState::Open(merge) = &mut flight.state else {
            return;
        };
        merge.needs[part.need] = NeedState::Merged;
        flight.progress_us = now_us;
        let need = self.info.gateway_need(part.need);
        count_fetched(&mut self.stats.fetched_bytes, &self.info, need);
        if part.need < self.info.tail_needs.len() {
            merge.missing -= 1;
            self.stats.parts_merged += 1;
        }
        let task = maker_number(need.key);
        if self.info.is_relayed(need.key.task()) && merge.has(&self.info, task) {
            // Tasks wait for that. Should the message get lost, the owner asks again.
            self.enqueue(Outgoing::ResultsAck {
                frame: part.frame,
                tasks: vec![task],
            });
        }
        self.run_if_whole(part.frame);
    }

    /// Hands a frame to the tail when no part is missing.
    fn run_if_whole(&mut self, id: FrameId) {
        let Some(flight) = self.frames.get_mut(id) else {
            return;
        };
        let FlightState::Open(merge) = &mut flight.state else {
            return;
        };
        if merge.missing > 0 {
            return;
        }
        let made = merge.holders.iter().filter(|(task, _)| **task != NO_TASK);
        self.last_makers.clear();
        self.last_makers
            .extend(made.map(|(task, held)| (*task, held.peer.id)));
        for (_, maker) in &self.last_makers {
            *self.stats.tasks_by_node.entry(maker.0).or_default() += 1;
        }
        let slots = std::mem::take(&mut merge.slots);
        // Nobody needs what only tasks would still read.
        for piece in &merge.needs {
            if let NeedState::Pulling(pull) = *piece {
                self.receiver.cancel(pull);
            }
        }
        let inputs = slots[..self.info.tail_inputs.len()].to_vec();
        self.actions
            .push_back(Action::Run(id, flight.announced, inputs));
        flight.state = FlightState::Tail(slots);
    }

    pub(super) fn tail_ended(
        &mut self,
        now_us: Micros,
        id: FrameId,
        done: bool,
        store: &mut impl Store,
    ) {
        let runs = |f: &super::frames::FrameInFlight| matches!(f.state, FlightState::Tail(_));
        if !self.frames.get(id).is_some_and(runs) {
            return;
        }
        let Some(flight) = self.frames.remove(id) else {
            return;
        };
        self.end_picture(id, store);
        if let FlightState::Tail(slots) = flight.state {
            self.free(slots, store);
        }
        if done {
            self.stats.frames_detected += 1;
            self.ended(now_us, id, FrameOutcome::Detections);
        } else {
            let reason = DropReason::TailFailed;
            self.stats.frames_dropped.add(reason);
            self.actions
                .push_back(Action::Drop(id, flight.announced, reason));
            self.ended(now_us, id, FrameOutcome::Dropped(reason));
        }
    }

    /// Ends a frame without detections, unless the tail already has the frame.
    pub(super) fn drop_frame(
        &mut self,
        now_us: Micros,
        id: FrameId,
        reason: DropReason,
        store: &mut impl Store,
    ) {
        if let Some(announced) = self.forget(id, store) {
            self.stats.frames_dropped.add(reason);
            self.actions.push_back(Action::Drop(id, announced, reason));
            self.ended(now_us, id, FrameOutcome::Dropped(reason));
        }
    }

    /// Takes a frame out, unless the tail already has the frame.
    pub(super) fn forget(&mut self, id: FrameId, store: &mut impl Store) -> Option<Announced> {
        if matches!(self.frames.get(id)?.state, FlightState::Tail(_)) {
            return None;
        }
        let flight = self.frames.remove(id)?;
        if let FlightState::Open(merge) = flight.state {
            self.cancel(&merge);
            self.free(merge.slots, store);
        }
        self.dirty = true;
        Some(flight.announced)
    }

    /// Notes that a frame has its record. The gateway tells the owner until the owner knows, and all other nodes
    /// once; a node that misses the message learns the same from the answers to its heartbeats.
    fn ended(&mut self, now_us: Micros, id: FrameId, outcome: FrameOutcome) {
        self.dirty = true;
        if let Some(n) = self.nodes.find_mut(id.source, id.incarnation) {
            n.end(id.number, outcome);
        }
        self.push(now_us, id);
        let others: Vec<_> = (self.nodes.iter())
            .filter(|n| n.alive && n.peer.id != id.source)
            .map(|n| n.peer.id)
            .collect();
        for to in others {
            self.enqueue(Outgoing::NodeStatus {
                to,
                about: id.source,
            });
        }
    }
}
