//! A look at a board as it is told to others.

use serde::{Deserialize, Serialize};

use crate::{
    Finding, Root,
    facts::{self, Board, Memory, Power},
};

/// What people want to know of a board that is well, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `Raspberry Pi 4 Model B Rev 1.4`; `None` if the board does not say. So with all that follows.
    pub model: Option<String>,
    /// Degrees Celsius of the processor.
    pub temperature_c: Option<f64>,
    /// Whether the firmware lowers the clock now, for want of voltage or because of heat.
    pub throttled: Option<bool>,
    /// Bytes of memory that new processes can have.
    pub memory_available_bytes: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

impl Health {
    /// Reads it from the board's files alone, which takes no time.
    pub fn of_files(root: &Root) -> Self {
        let memory = Memory::read(root);
        Self {
            model: facts::model(root),
            temperature_c: facts::temperature_c(root),
            throttled: Power::of_files(root).is_throttled(),
            memory_available_bytes: memory.available,
            memory_bytes: memory.total,
        }
    }
}

impl From<&Board> for Health {
    fn from(board: &Board) -> Self {
        Self {
            model: board.model.clone(),
            temperature_c: board.temperature_c,
            throttled: board.power.is_throttled(),
            memory_available_bytes: board.memory.available,
            memory_bytes: board.memory.total,
        }
    }
}

/// How a board is, and what is likely to be wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkup {
    /// How it is.
    pub health: Health,
    /// What is likely to be wrong.
    pub findings: Vec<Finding>,
    /// The time of day on the board, in milliseconds since 1970.
    pub unix_ms: u64,
}
