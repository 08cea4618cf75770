//! Telling the gateway where finished tiles lie, until it knows.

use super::{Edge, next_pause, tasks::Told};
use crate::{
    Epoch, NodeId, Now,
    peer::Peer,
    wire::{LostResults, Message, Node, ResultEntry, Results, ResultsAck},
};

impl Edge {
    /// When results are to be told again.
    pub(super) fn results_next(&self) -> Option<Now> {
        if !self.link.joined() {
            return None;
        }
        let again = self.frames.lives().filter_map(|(_, f)| f.results_again);
        again.map(|a| a.0).min()
    }

    /// Queues what the gateway must be told now.
    pub(super) fn repeat_results(&mut self, now: Now) {
        if !self.link.joined() {
            // A gateway that will not have this node will not have its results either.
            return;
        }
        let most = self.config.retry[1];
        let mut due = Vec::new();
        for (number, f) in self.frames.lives_mut().filter(|(_, f)| f.open) {
            if let Some((at, pause)) = f.results_again
                && at <= now
            {
                f.results_again = Some(next_pause(now, pause, most));
                for (_, t) in f.tasks.iter_mut() {
                    if t.told == Told::Said {
                        t.told = Told::No;
                    }
                }
                f.fresh = true;
            }
            if std::mem::take(&mut f.fresh) {
                due.push(number);
            }
        }
        for number in due {
            self.send(super::say::Post::Results { number });
        }
    }

    /// What the gateway was not told of a frame, as much as fits a datagram.
    pub(super) fn results(
        &mut self,
        now: Now,
        number: u32,
    ) -> Option<(Vec<Node>, Vec<ResultEntry>)> {
        let me = (self.config.id, self.config.epoch);
        let first = self.config.retry[0];
        let most = self.config.retry[1];
        let frame = self.frames.live_mut(number).filter(|f| f.open)?;
        let (mut nodes, mut tasks) = (Vec::<Node>::new(), Vec::new());
        let mut full = false;
        for (k, t) in frame.tasks.iter_mut() {
            if !self.info.tasks[k as usize].for_tail || t.told != Told::No || !t.done() {
                continue;
            }
            let here = t.holders.iter().find(|h| **h == me);
            let Some(&holder) = here.or_else(|| t.holders.first()) else {
                continue;
            };
            let known = nodes.iter().position(|n| n.id() == holder.0);
            if tasks.len() == Results::MAX_TASKS
                || known.is_none() && nodes.len() == Results::MAX_NODES
            {
                full = true;
                break;
            }
            let index = known.unwrap_or_else(|| {
                // This node does not know its own address; the gateway does.
                let addr = self
                    .peers
                    .get(holder.0)
                    .map_or(self.config.gateway, |k| k.peer.addr);
                let peer = Peer {
                    id: holder.0,
                    epoch: holder.1,
                    addr,
                };
                nodes.push(peer.node());
                nodes.len() - 1
            });
            t.told = Told::Said;
            tasks.push(ResultEntry {
                task: k.into(),
                make: t.make.into(),
                holder: index as u8,
                pad: 0,
            });
        }
        frame.fresh |= full;
        if tasks.is_empty() {
            return None;
        }
        frame
            .results_again
            .get_or_insert(next_pause(now, first, most));
        Some((nodes, tasks))
    }

    pub(super) fn on_results_ack(&mut self, ack: &ResultsAck<'_>) {
        let Some(frame) = self.frames.live_mut(ack.number) else {
            return;
        };
        for note in ack.tasks {
            let t = frame.tasks.get_mut(note.task.get());
            if note.merged != 0 {
                t.told = Told::Merged;
            } else if note.make.get() == t.make && t.told == Told::Said {
                t.told = Told::Known;
            }
        }
        let waits = frame.tasks.iter().any(|(_, t)| t.told == Told::Said);
        if !waits {
            frame.results_again = None;
        }
    }

    pub(super) fn on_lost(&mut self, lost: &LostResults<'_>) {
        let me = (self.config.id, self.config.epoch);
        for l in lost.tasks {
            let (task, holder) = (l.task.get(), (NodeId(l.holder.get()), Epoch(l.epoch.get())));
            let Some(frame) = self.frames.live_mut(lost.number) else {
                return;
            };
            if task as usize >= self.info.tasks.len() {
                continue;
            }
            let t = frame.tasks.get_mut(task);
            if t.make != l.make.get() || !t.done() {
                // It has been made again since, or is about to be.
                continue;
            }
            if holder != me && t.holders.contains(&holder) {
                self.holder_lost(lost.number, task, holder, true);
            } else {
                t.told = Told::No;
                frame.fresh = true;
            }
        }
    }

    /// The gateway has begun a new life and knows nothing.
    pub(super) fn gateway_forgot(&mut self) {
        let info = std::sync::Arc::clone(&self.info);
        for (_, frame) in self.frames.lives_mut() {
            frame.open = false;
            frame.fresh = true;
            frame.results_again = None;
            for (_, t) in frame.tasks.iter_mut() {
                t.told = Told::No;
            }
            frame.tasks.reconsider(&info);
        }
        self.stirred = true;
    }

    pub(super) fn results_message<'a>(
        number: u32,
        nodes: &'a [Node],
        tasks: &'a [ResultEntry],
    ) -> Message<'a> {
        Message::Results(Results {
            number,
            nodes,
            tasks,
        })
    }
}
