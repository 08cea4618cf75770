//! Outputs that travel while they are made: results to the gateway, and inputs of tasks that were given early.

use tessera_plan::placement::ANYWHERE;

use super::{
    channel::Path,
    cluster::{Cluster, Transfer, slower},
    events::Event,
    streaming::{Rows, Split},
};

impl Cluster<'_> {
    /// Starts the transfer of an input that was made since a task's board has asked for it.
    pub(super) fn made(&mut self, task: usize, producer: usize) {
        let Some((board, _)) = self.given[task] else {
            return;
        };
        if let Some((bytes, rows)) = self.rest.get(&(task, producer)).copied() {
            if let Some(holder) = self.objects.place[producer] {
                self.send_inputs(task, [holder, board], bytes, rows);
            }
            return;
        }
        self.inputs[task].unmade -= 1;
        let fetch = self.objects.fetch_of(task, board, producer);
        self.transfer(task, board, fetch);
    }

    /// Sends what a task has made to the boards that have asked for it before.
    pub(super) fn tell_readers(&mut self, producer: usize, board: usize) {
        let graph = self.graph;
        for task in graph.tasks[producer].consumers.iter().map(|k| k.index()) {
            let Some((reader, _)) = self.given[task].filter(|_| self.asked[task]) else {
                continue;
            };
            let hop_s = if reader == board {
                0.0
            } else {
                self.nodes[reader].hop_s.max(self.nodes[board].hop_s)
            };
            self.foresee(hop_s, Event::Made { task, producer });
        }
    }

    /// Notes when rows of a task's input are made, whose producer will end at a known time.
    pub(super) fn foresee_rows(&mut self, task: usize, producer: usize) {
        let (Some((board, _)), Some((holder, _))) = (self.given[task], self.given[producer]) else {
            return;
        };
        if board == holder || !self.asked[task] {
            return;
        }
        let Some(split) = self.objects.split_of(task, producer) else {
            return;
        };
        let hop_s = self.nodes[board].hop_s.max(self.nodes[holder].hop_s);
        let left_s = self.times[holder][producer].seconds * (1.0 - split.made);
        let at_s = self.result.runs[producer].end_s - left_s + hop_s;
        self.foresee(
            at_s.max(self.now_s) - self.now_s,
            Event::Rows { task, producer },
        );
    }

    /// Starts the transfer of most of an input whose producer computes on.
    pub(super) fn rows(&mut self, task: usize, producer: usize) {
        let (Some((board, _)), Some((holder, _))) = (self.given[task], self.given[producer]) else {
            return;
        };
        let known = self.rest.contains_key(&(task, producer));
        if self.objects.place[producer].is_some() || known {
            return;
        }
        let Some(Split { rows, rest, .. }) = self.objects.split_of(task, producer) else {
            return;
        };
        let fetch = (self.objects).fetch_early(task, board, producer, holder);
        self.result.halo_bytes += fetch.halo;
        let bytes: u64 = fetch.from.iter().map(|(_, bytes, _)| bytes).sum();
        if bytes == 0 {
            return; // another task has asked for it
        }
        let rest = (bytes as f64 * rest) as u64;
        self.rest.insert((task, producer), (rest, rows[1]));
        self.inputs[task].unmade -= 1;
        self.inputs[task].promised(bytes, 2);
        self.send_inputs(task, [holder, board], bytes - rest, rows[0]);
        self.comes(task);
    }

    /// Starts a transfer of inputs, noted before, from one board to another.
    pub(super) fn send_inputs(
        &mut self,
        task: usize,
        [holder, board]: [usize; 2],
        bytes: u64,
        rows: Rows,
    ) {
        let link = slower(self.link(holder), self.boards[board].link);
        let path = Path {
            holder,
            receiver: board,
        };
        let transfer = Transfer::Inputs { task, bytes, rows };
        if !(self.channel).send(self.now_s, path, link.seconds(bytes), transfer) {
            self.inputs[task].waits();
        }
    }

    /// Notes when rows of a task's outputs are made that others wait for.
    pub(super) fn end_is_known(&mut self, task: usize) {
        let graph = self.graph;
        self.ends[task] = true;
        let run = self.result.runs[task];
        let spec = &graph.tasks[task];
        if spec.for_tail && !self.boards[run.board].is_gateway {
            let seconds = self.times[run.board][task].seconds;
            let before = self.result_parts(task).len() - 1;
            for part in 0..before {
                let share = self.result_parts(task)[part].1;
                let at_s = run.end_s - seconds * (1.0 - share);
                let after_s = (at_s - self.now_s).max(0.0);
                self.foresee(after_s, Event::Result { task, part });
            }
        }
        for reader in spec.consumers.iter().map(|k| k.index()) {
            self.foresee_rows(reader, task);
        }
    }

    /// The parts in which a task's result travels: one after its end, if the gateway does not hear of the task before.
    pub(super) fn result_parts(&self, task: usize) -> &[(u64, f64)] {
        let parts = self.objects.result(task);
        if self.graph.tasks[task].home == ANYWHERE {
            return &parts[parts.len() - 1..];
        }
        parts
    }

    /// Sends a part of a task's result to the gateway.
    pub(super) fn send_result(&mut self, task: usize, part: usize) {
        let Some((board, _)) = self.given[task] else {
            return;
        };
        if self.boards[board].is_gateway {
            self.result.seconds = self.result.seconds.max(self.now_s);
            return;
        }
        let parts = self.result_parts(task);
        let (bytes, last) = match parts {
            [_] => (self.objects.result_bytes(task), true),
            _ => (parts[part].0, part + 1 == parts.len()),
        };
        let bytes = bytes + std::mem::take(&mut self.held[task]);
        if !last && !self.nodes[board].coming.is_empty() {
            // Rows for the gateway wait while their board fetches inputs.
            self.held[task] = bytes;
            return;
        }
        self.result.result_bytes += bytes;
        let link = slower(self.boards[board].link, self.gateway.link);
        let path = Path {
            holder: board,
            receiver: self.boards.len(),
        };
        let transfer = Transfer::Result;
        (self.channel).send(self.now_s, path, link.seconds(bytes), transfer);
    }
}
