//! The nodes that a source can give tasks to, by the board that they are for it.

use std::collections::BTreeMap;

use tessera_plan::placement::board;

use super::Situation;
use crate::{Micros, edge::peers::KnownPeer};

/// The nodes that this source can give tasks to, by board.
pub struct Homes<'a> {
    by_board: BTreeMap<u16, Vec<&'a KnownPeer>>,
    now_us: Micros,
    missing_after_us: Micros,
}

impl<'a> Homes<'a> {
    /// Those that have asked this source for tasks, are not silent, and have memory.
    pub fn new(s: &Situation<'a>) -> Self {
        let mut by_board: BTreeMap<u16, Vec<&KnownPeer>> = BTreeMap::new();
        let silent = |p: &KnownPeer| s.now_us.saturating_sub(p.seen_us) > s.config.dead_after_us;
        let present = |p: &&KnownPeer| p.want.is_some() && !p.full && !silent(p);
        for p in s.peers.iter().filter(present) {
            let board = board(p.peer.id.0, s.me.id.0, s.info.boards);
            by_board.entry(board).or_default().push(p);
        }
        Self {
            by_board,
            now_us: s.now_us,
            missing_after_us: s.missing_after_us,
        }
    }

    /// The boards other than this node, with the nodes that are each.
    pub fn others(&self) -> impl Iterator<Item = (&u16, &Vec<&'a KnownPeer>)> {
        self.by_board.iter().filter(|(board, _)| **board != 0)
    }

    /// The nodes that are a board.
    pub fn of(&self, board: u16) -> impl Iterator<Item = &&'a KnownPeer> {
        self.by_board.get(&board).into_iter().flatten()
    }

    /// Those of them with room for a task.
    pub fn with_room(&self, board: u16) -> impl Iterator<Item = &&'a KnownPeer> {
        let room = |p: &&&KnownPeer| p.want.is_some_and(|w| w.room() > 0);
        self.of(board).filter(room)
    }

    /// All of these nodes.
    pub fn present(&self) -> impl Iterator<Item = &'a KnownPeer> {
        self.by_board.values().flatten().copied()
    }

    /// True when nobody is a board although all have had time to ask.
    pub fn is_missing(&self, board: u16) -> bool {
        board != 0 && self.now_us >= self.missing_after_us && self.of(board).next().is_none()
    }
}
