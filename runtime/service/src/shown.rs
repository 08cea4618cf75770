//! One look at a gateway: what its loop knew at one time, with the sums over its records.

use std::sync::Arc;

use crate::{
    posts::PostCounts,
    state::{About, Board, State},
    tally::Tally,
};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// What is always true.
    pub about: Arc<About>,
    /// What is true now.
    pub state: State,
    /// Sums over all records.
    pub tally: Tally,
    /// Posted pictures.
    pub posts: PostCounts,
}

impl Shown {
    /// All edges by name, in the order of their numbers: those of the cluster file, whether they came or not, and those
    /// that came.
    pub fn boards(&self) -> Vec<(String, Board)> {
        let named = self.about.boards.iter().map(|(number, _)| *number);
        let came = self.state.boards.iter().map(|b| b.number);
        let mut numbers: Vec<u16> = named.chain(came).chain(self.about.own_edge).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let of = |number: u16| {
            let found = self.state.boards.iter().find(|b| b.number == number);
            let board = found.cloned().unwrap_or(Board {
                number,
                ..Board::default()
            });
            (self.about.board(number), board)
        };
        numbers.into_iter().map(of).collect()
    }

    /// Tasks of a board whose outputs the gateway merged.
    pub fn tasks_of(&self, number: u16) -> u64 {
        let found = self.state.tasks_by_board.iter().find(|(n, _)| *n == number);
        found.map_or(0, |(_, count)| *count)
    }

    /// Why the gateway cannot compute a frame now; empty when it can.
    pub fn hindrances(&self) -> Vec<String> {
        let mut list = Vec::new();
        if self.state.ends {
            list.push("the gateway is about to end".to_owned());
        }
        if !self.state.boards.iter().any(|b| b.up) {
            list.push("no board has joined: start the edges".to_owned());
        }
        if self.state.records_stand {
            list.push("records cannot be written: their reader or disk stands still".to_owned());
        }
        list
    }
}
