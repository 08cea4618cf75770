//! The policies by which nodes share tasks.

use serde::{Deserialize, Serialize};

/// The policy by which nodes share tasks. The decisions of each policy are in the protocol's `edge/placement`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Every task has a home board, which gets the task as soon as the task is ready. Other boards take only tasks
    /// that are late.
    #[default]
    Home,
    /// Work stealing, after DeepThings' WST: the owner takes tasks from the front, thieves receive tasks from the back,
    /// and a node without work asks for more, while it still computes. With several stages, a node prefers tasks whose inputs
    /// the node holds.
    Steal,
    /// The same, but boards with frames of their own do not steal, as in the code that DeepThings' authors released.
    #[serde(rename = "steal-idle")]
    StealIdle,
    /// Work stealing to the letter of DeepThings: the tasks of a frame are one queue in their order. Its owner and thieves take
    /// from the head, and a thief asks for the next task when the last one is computed.
    Queue,
    /// The same, but boards with frames of their own do not steal.
    #[serde(rename = "queue-idle")]
    QueueIdle,
    /// Work sharing, DeepThings' WSH and MoDNN: every task has a home board, and the gateway stands between all boards.
    /// It takes the frame from its source and passes on what boards read of the frame and of each other's tiles.
    Share,
}

impl Placement {
    /// True if every task belongs to a board, which waits for it.
    pub const fn has_homes(self) -> bool {
        matches!(self, Self::Home | Self::Share)
    }

    /// True if boards ask for tasks.
    pub const fn steals(self) -> bool {
        !self.has_homes()
    }

    /// True if boards with frames of their own ask for tasks too.
    pub const fn sources_steal(self) -> bool {
        matches!(self, Self::Steal | Self::Queue)
    }

    /// True if the tasks of a frame are taken in their order, one at a time.
    pub const fn is_queue(self) -> bool {
        matches!(self, Self::Queue | Self::QueueIdle)
    }
}

/// The home of a task that has none: the task goes to the board of its source, or to an idle one. Only with
/// [`Placement::Home`].
pub const ANYWHERE: u16 = u16::MAX;

/// The board that a node is for the frames of a source: tasks whose home is this board are computed there. Every
/// source is its own board 0.
pub fn board(node: u16, source: u16, boards: u16) -> u16 {
    let boards = i32::from(boards.max(1));
    let offset = (i32::from(node) - i32::from(source)).rem_euclid(boards);
    u16::try_from(offset).unwrap_or(0)
}
