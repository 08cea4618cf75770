//! What is said, and of whom.

/// A board, as the gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Board {
    /// Its name.
    pub name: String,
    /// True while it takes part.
    pub alive: bool,
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
