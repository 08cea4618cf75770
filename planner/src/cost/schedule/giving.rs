//! Who gets which task when: requests of boards that steal, and leases to home boards.

use super::{
    cluster::{Cluster, Search},
    events::Event,
    placement::{Placement, SOURCE},
};

/// Messages between boards until the request of a board for a task reaches the source: the source tells the
/// gateway of work, the gateway tells the board, the board asks the source.
const HOPS_FROM_WORK: f64 = 3.0;
/// Messages from that request to the first input: the source gives the task, the board asks for the task's
/// inputs, the first input comes.
const HOPS_TO_INPUT: f64 = 3.0;
/// Tasks that a board has in addition to the running ones: their inputs travel during the computation.
const AHEAD: usize = 1;
/// The same of a home board, which also asks early for a task whose inputs are being made.
const AHEAD_HOME: usize = 2;

impl Cluster<'_> {
    /// Handles new ready tasks: the source takes some, and the other boards hear of the rest.
    pub(super) fn work_appeared(&mut self) {
        while self.has_room(SOURCE) {
            let Some(task) = self.placement.pick(&self.ready, &self.objects, SOURCE) else {
                break;
            };
            self.give_ready(task, SOURCE);
        }
        if self.at_home() {
            self.lease();
            return;
        }
        if self.ready.is_empty() {
            return;
        }
        for board in 1..self.nodes.len() {
            if self.nodes[board].search == Search::Parked {
                self.ask(board, HOPS_FROM_WORK);
            }
        }
    }

    /// Gives ready tasks to their homes, which have asked before: the lease, the board's request for inputs, the
    /// inputs.
    pub(super) fn lease(&mut self) {
        for board in 1..self.nodes.len() {
            while self.has_room(board) {
                let Some(task) = self.placement.pick(&self.ready, &self.objects, board) else {
                    break;
                };
                self.give_ready(task, board);
            }
        }
        // What is given now may be what others read.
        while (0..self.nodes.len()).any(|board| self.lease_early(board)) {}
    }

    /// Gives a home board the first of its tasks whose inputs are all made or being made: the board asks for them at
    /// once. Room is left for a task that can be computed, and for one whose inputs travel meanwhile.
    pub(super) fn lease_early(&mut self, board: usize) -> bool {
        let Placement::Home(homes) = &self.placement else {
            return false;
        };
        let (node, cores) = (&self.nodes[board], self.boards[board].cores.max(1));
        if node.jobs + usize::from(node.idle == cores) > cores {
            return false;
        }
        let Some(task) = self.early.first(board) else {
            return false;
        };
        let mut producers = self.graph.tasks[task].producers.iter();
        let remote = producers.any(|p| homes[p.index()] != board);
        self.give_with(task, board, remote);
        true
    }

    /// Gives a ready task to a board, which asks for the inputs that it does not have.
    fn give_ready(&mut self, task: usize, board: usize) {
        let split = self.objects.split(task, board);
        self.give_with(task, board, split.frame + split.halo > 0);
    }

    /// Gives a task to a board: the lease, unless the board is the source, and the request for inputs if some are `remote`.
    fn give_with(&mut self, task: usize, board: usize, remote: bool) {
        let lease = if board == SOURCE { 0.0 } else { 1.0 };
        let hops = if remote {
            lease + HOPS_TO_INPUT - 1.0
        } else {
            lease
        };
        self.give(task, board);
        self.foresee(hops * self.nodes[board].hop_s, Event::Inputs { task });
    }

    pub(super) const fn at_home(&self) -> bool {
        matches!(self.placement, Placement::Home(_))
    }

    pub(super) fn has_room(&self, board: usize) -> bool {
        let ahead = if self.at_home() && !self.graph.is_shared() {
            AHEAD_HOME
        } else {
            AHEAD
        };
        self.nodes[board].jobs < self.boards[board].cores.max(1) + ahead
    }

    /// Handles a board's request: the board gets a task, or waits for news of work.
    pub(super) fn asked(&mut self, board: usize) {
        let picked = self.placement.pick(&self.ready, &self.objects, board);
        let Some(task) = picked else {
            self.nodes[board].search = Search::Parked;
            return;
        };
        self.give_ready(task, board);
        if self.has_room(board) {
            self.ask(board, 1.0 + self.hops_to_source());
        } else {
            self.nodes[board].search = Search::Resting;
        }
    }

    /// Schedules a board's request for a task, which reaches the source after `hops` messages.
    pub(super) fn ask(&mut self, board: usize, hops: f64) {
        self.nodes[board].search = Search::Asking;
        self.foresee(hops * self.nodes[board].hop_s, Event::Asked { board });
    }

    /// Number of messages until the request for another task reaches the source.
    pub(super) const fn hops_to_source(&self) -> f64 {
        if self.keeps_victim {
            1.0
        } else {
            HOPS_FROM_WORK
        }
    }

    pub(super) fn give(&mut self, task: usize, board: usize) {
        self.ready.retain(|t| *t != task);
        self.nodes[board].jobs += 1;
        self.given[task] = Some((board, self.events.foreseen()));
        if let Placement::Home(homes) = &self.placement {
            self.early.taken(self.graph, homes, task);
        }
    }
}
