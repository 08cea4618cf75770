//! Results: the edge tells the gateway which nodes make tiles of the last stage, and which hold finished ones, until the
//! gateway acknowledges.

use super::{
    Edge,
    own_frames::OwnFrame,
    placement::anywhere::has_no_home,
    task_table::{ResultState, TaskState},
};
use crate::{
    EdgeConfig, FrameNumber, GATEWAY, Micros, ProgramInfo, TaskId,
    chunk_server::ChunkServer,
    peer::Peer,
    retry::Retry,
    wire::{LostResults, NO_TASK, PeerAddress, ResultEntry, Results, ResultsAck},
};

impl Edge {
    /// When to send results again.
    pub(super) fn results_next(&self) -> Option<Micros> {
        if !self.link.joined() {
            return None;
        }
        let again = self.frames.in_flight().filter_map(|(_, f)| f.results_again);
        again.map(|a| a.at_us).min()
    }

    /// Queues the results that are due to be sent.
    pub(super) fn repeat_results(&mut self, now_us: Micros) {
        if !self.link.joined() {
            // A gateway that refuses this node refuses the node's results too.
            return;
        }
        let most = self.config.retry_us[1];
        let mut due = Vec::new();
        let speaks = |f: &OwnFrame| f.open && f.restart.is_none();
        for (number, f) in self.frames.in_flight_mut().filter(|(_, f)| speaks(f)) {
            if let Some(again) = f.results_again
                && again.is_due(now_us)
            {
                f.results_again = Some(again.repeat(now_us, most));
                for (_, t) in f.tasks.iter_mut() {
                    if t.result == ResultState::Sent {
                        t.result = ResultState::Unsent;
                    }
                    t.announced = t.announced.filter(|(_, heard)| *heard);
                }
                if f.tasks.frame == ResultState::Sent {
                    f.tasks.frame = ResultState::Unsent;
                }
                f.fresh = true;
            }
            if std::mem::take(&mut f.fresh) {
                due.push(number);
            }
        }
        for number in due {
            self.enqueue(super::send::Outgoing::Results { number });
        }
    }

    /// Results of a frame, and makers of results, that the gateway has not acknowledged, as many as fit a datagram.
    pub(super) fn results(
        &mut self,
        now_us: Micros,
        number: FrameNumber,
    ) -> Option<(Vec<PeerAddress>, Vec<ResultEntry>)> {
        let me = self.me.who();
        let first = self.config.retry_us[0];
        let most = self.config.retry_us[1];
        let frame = self.frames.live_mut(number).filter(|f| f.open)?;
        let (mut nodes, mut tasks) = (Vec::<PeerAddress>::new(), Vec::new());
        let mut full = false;
        if frame.tasks.frame == ResultState::Unsent && frame.tasks.is_for_gateway(&self.info, None)
        {
            // The gateway knows that the frame is here, and is asked whether it has it.
            let here = Peer {
                id: me.id,
                incarnation: me.incarnation,
                addr: self.config.gateway,
            };
            nodes.push(here.address());
            tasks.push(ResultEntry {
                task: NO_TASK.into(),
                generation: 0.into(),
                holder: 0,
                early: 0,
            });
            frame.tasks.frame = ResultState::Sent;
        }
        let ids = (0..self.info.tasks.len() as u32).map(TaskId);
        let due: Vec<TaskId> = ids
            .filter(|k| frame.tasks.get(*k).result == ResultState::Unsent)
            .filter(|k| frame.tasks.is_for_gateway(&self.info, Some(*k)))
            .collect();
        for k in due {
            let t = frame.tasks.get_mut(k);
            let early = !t.done();
            let here = t.holders.iter().find(|h| **h == me);
            let holder = if early {
                let announced = t.announced.map(|(who, _)| who);
                let fresh = t.maker(me).filter(|m| announced != Some(*m));
                // What is to be checked does not count before.
                let may = !t.chosen && is_announced(&self.info, &self.config, k);
                fresh.filter(|_| may)
            } else {
                here.or_else(|| t.holders.first()).copied()
            };
            let Some(holder) = holder else {
                continue;
            };
            let known = nodes.iter().position(|n| n.who() == holder);
            // Further results go into further datagrams.
            let grown = (nodes.len() + usize::from(known.is_none())) * size_of::<PeerAddress>()
                + (tasks.len() + 1) * size_of::<ResultEntry>();
            if grown > Results::LISTS_BYTES {
                full = true;
                break;
            }
            let index = known.unwrap_or_else(|| {
                // This node does not know its own address; the gateway does.
                let addr = self
                    .peers
                    .get(holder)
                    .map_or(self.config.gateway, |k| k.peer.addr);
                let peer = Peer {
                    id: holder.id,
                    incarnation: holder.incarnation,
                    addr,
                };
                nodes.push(peer.address());
                nodes.len() - 1
            });
            if early {
                t.announced = Some((holder, false));
            } else {
                t.result = ResultState::Sent;
            }
            tasks.push(ResultEntry {
                task: k.into(),
                generation: t.generation.into(),
                holder: index as u8,
                early: early.into(),
            });
        }
        frame.fresh |= full;
        if tasks.is_empty() {
            return None;
        }
        frame
            .results_again
            .get_or_insert(Retry::after(now_us, first, most));
        Some((nodes, tasks))
    }

    pub(super) fn on_results_ack(&mut self, ack: &ResultsAck<'_>) {
        let speaks = |f: &&mut OwnFrame| f.open && f.attempt == ack.attempt;
        let Some(frame) = self.frames.live_mut(ack.number).filter(speaks) else {
            return;
        };
        let mut relays = false;
        for note in ack.tasks {
            let task = note.task.get();
            if task == NO_TASK {
                if note.merged != 0 {
                    relays |= frame.tasks.frame != ResultState::Merged;
                    frame.tasks.frame = ResultState::Merged;
                }
                continue;
            }
            let relayed = self.info.is_relayed(Some(task));
            let t = frame.tasks.get_mut(task);
            if let Some((_, heard)) = &mut t.announced {
                *heard = true;
            }
            if note.early != 0 {
                continue;
            }
            if note.merged != 0 {
                relays |= relayed && t.result != ResultState::Merged;
                t.result = ResultState::Merged;
            } else if relayed {
                // Asked again until the gateway has it: others wait for that.
            } else if note.generation.get() == t.generation && t.result == ResultState::Sent {
                t.result = ResultState::Acknowledged;
            }
        }
        let waits = |t: &TaskState| {
            let announced = t.announced.is_some_and(|(_, heard)| !heard) && !t.done();
            t.result == ResultState::Sent || announced
        };
        let asks = frame.tasks.frame == ResultState::Sent;
        if !asks && !frame.tasks.iter().any(|(_, t)| waits(t)) {
            frame.results_again = None;
        }
        if relays {
            frame.tasks.recount(&self.info);
            self.dirty = true;
        }
    }

    /// Notes that the gateway did not have what it was to pass on: it is told once more who holds that.
    pub(super) fn relay_lost(&mut self, number: FrameNumber, maker: Option<TaskId>) {
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        match maker {
            Some(task) => frame.tasks.get_mut(task).result = ResultState::Unsent,
            None => frame.tasks.frame = ResultState::Unsent,
        }
        frame.fresh = true;
        frame.tasks.recount(&self.info);
        self.dirty = true;
    }

    pub(super) fn on_lost(&mut self, lost: &LostResults<'_>) {
        let me = self.me.who();
        for l in lost.tasks {
            let (task, holder) = (l.task.get(), l.holder());
            let same = |f: &&mut OwnFrame| f.attempt == lost.attempt;
            let Some(frame) = self.frames.live_mut(lost.number).filter(same) else {
                return;
            };
            if task.index() >= self.info.tasks.len() {
                continue;
            }
            let t = frame.tasks.get_mut(task);
            if t.generation != l.generation.get() || !t.done() {
                // The task has been done again since, or is about to be.
                continue;
            }
            if holder != me && t.holders.contains(&holder) {
                self.holder_lost(lost.number, task, holder, true);
            } else {
                t.result = ResultState::Unsent;
                frame.fresh = true;
                frame.tasks.recount(&self.info);
            }
        }
    }

    /// Notes that a new incarnation of the gateway knows nothing.
    pub(super) fn gateway_forgot(&mut self) {
        let info = std::sync::Arc::clone(&self.info);
        for (_, frame) in self.frames.in_flight_mut() {
            frame.close(&info);
        }
        // Only the former process had what is fetched from a gateway.
        let gone = |p: &Peer| p.id == GATEWAY;
        self.receiver.gone(gone, &mut self.stats.transfer);
        self.dirty = true;
    }

    /// Notes that the gateway has given slots to the frame, for the `opened`th time.
    pub(super) fn frame_opened(&mut self, number: FrameNumber, opened: u16) {
        let again = |f: &&mut OwnFrame| f.open && opened > f.opened;
        if self.frames.live_mut(number).filter(again).is_some() {
            self.frame_closed(number);
        }
        if let Some(f) = self.frames.live_mut(number)
            && !f.open
        {
            f.open = true;
            f.opened = opened;
            f.fresh = true;
        }
    }

    /// Notes that the gateway has given the frame's slots to another frame, and will merge the frame anew later.
    pub(super) fn frame_closed(&mut self, number: FrameNumber) {
        let info = std::sync::Arc::clone(&self.info);
        if let Some(frame) = self.frames.live_mut(number).filter(|f| f.open) {
            frame.close(&info);
            self.dirty = true;
        }
    }
}

/// True if the gateway hears of a task before it is done: with a home, and with results of several steps.
fn is_announced(info: &ProgramInfo, config: &EdgeConfig, task: TaskId) -> bool {
    let needs = &info.tail_needs[info.tail_needs_of(task)];
    let bytes: usize = needs.iter().map(|n| info.need_bytes(n)).sum();
    let step = ChunkServer::STEP_CHUNKS as usize * config.transfer.chunk_bytes;
    bytes >= step && !has_no_home(info, task)
}
