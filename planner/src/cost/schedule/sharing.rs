//! Work sharing: the gateway takes the frame, and what boards read of each other's tiles, and passes both on.

use tessera_plan::dataflow::TaskId;

use super::{
    channel::Path,
    cluster::{Cluster, HOPS_TO_RESULT, Transfer, slower},
    events::Event,
    placement::SOURCE,
};
use crate::boards::Link;

impl Cluster<'_> {
    /// True if the gateway passes on anything of what a task makes (`None`: of the frame).
    pub(super) fn is_relayed(&self, maker: Option<usize>) -> bool {
        self.graph.is_relayed(maker.map(id))
    }

    /// The link of a holder: a board, or the gateway behind the boards.
    pub(super) fn link(&self, holder: usize) -> Link {
        self.boards.get(holder).unwrap_or(self.gateway).link
    }

    /// Lets the gateway fetch the frame: it hears of the frame, asks for it, and gets it.
    pub(super) fn relay_frame(&mut self) {
        if self.is_relayed(None) {
            let hop_s = self.nodes[SOURCE].hop_s;
            self.foresee(HOPS_TO_RESULT * hop_s, Event::Relay { maker: None });
        }
    }

    /// Starts the transfer of what the gateway passes on of a task's outputs, or of the frame.
    pub(super) fn relay(&mut self, maker: Option<usize>) {
        let board = match maker {
            Some(task) => self.objects.place[task].unwrap_or(SOURCE),
            None => SOURCE,
        };
        let first = self.graph.tail_needs.len();
        let boxes = self.graph.gateway_needs_of(maker.map(id));
        let boxes = boxes.filter(|k| *k >= first);
        let bytes: usize = boxes
            .map(|k| self.graph.need_bytes(self.graph.gateway_need(k)))
            .sum();
        let bytes = bytes as u64;
        let sum = if maker.is_some() {
            &mut self.result.halo_bytes
        } else {
            &mut self.result.frame_bytes
        };
        *sum += bytes;
        let path = Path {
            holder: board,
            receiver: self.boards.len(),
        };
        let transfer = Transfer::Relay { maker, board };
        let link = slower(self.boards[board].link, self.gateway.link);
        (self.channel).send(self.now_s, path, link.seconds(bytes), transfer);
    }

    /// Handles the source's knowledge that the gateway has what it passes on of a task's outputs, or of the frame.
    pub(super) fn relayed(&mut self, maker: Option<usize>) {
        let graph = self.graph;
        match maker {
            Some(task) => self.is_there(graph.tasks[task].consumers.iter().map(|k| k.index())),
            None => {
                let all = 0..graph.tasks.len();
                self.is_there(all.filter(|k| graph.reads_frame(id(*k))));
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a frame has few tasks")]
const fn id(task: usize) -> TaskId {
    TaskId(task as u32)
}
