//! A board, with what Home Assistant hears of it.

use std::time::Instant;

use crate::message::{Board, BoardHealth, MEASURED_EVERY};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct KnownBoard {
    /// What the gateway knows now.
    pub board: Board,
    /// It has said how hot it is, so there is an entity for it from then on.
    pub has_temperature: bool,
    /// It has said whether it is slowed down.
    pub has_throttled: bool,
    /// When its health was said last.
    said: Option<Instant>,
}

impl KnownBoard {
    /// Takes how the board is. True if there is an entity more than before.
    pub fn follow(&mut self, board: &Board) -> bool {
        let health = board.health.unwrap_or_default();
        let before = (self.has_temperature, self.has_throttled);
        self.has_temperature |= health.temperature_c.is_some();
        self.has_throttled |= health.throttled.is_some();
        self.board.clone_from(board);
        before != (self.has_temperature, self.has_throttled)
    }

    /// How the board is, if that should be said `now`: what is not said again counts as unknown.
    pub fn health_to_say(&mut self, now: Instant) -> Option<BoardHealth> {
        let health = self.board.health?;
        let rests = |at: Instant| now.duration_since(at) < MEASURED_EVERY;
        if self.said.is_some_and(rests) {
            return None;
        }
        self.said = Some(now);
        Some(health)
    }
}
