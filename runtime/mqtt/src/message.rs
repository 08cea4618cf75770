//! What is said, and of whom.

use std::time::Duration;

/// Least time between two values of a measurement.
pub const MEASURED_EVERY: Duration = Duration::from_secs(10);

/// A board, as the gateway knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// Its name.
    pub name: String,
    /// True while it takes part.
    pub alive: bool,
    /// How it is, if it said so lately.
    pub health: Option<BoardHealth>,
}

/// How a board is. What is `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BoardHealth {
    /// Degrees Celsius of the processor.
    pub temperature_c: Option<f64>,
    /// Whether the firmware lowers the clock now, for want of voltage or because of heat.
    pub throttled: Option<bool>,
    /// Bytes of memory that new processes can have.
    pub memory_available_bytes: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The whole topic.
    pub topic: String,
    /// The value.
    pub payload: Vec<u8>,
    /// True if the broker keeps it for whoever comes later.
    pub retain: bool,
}
