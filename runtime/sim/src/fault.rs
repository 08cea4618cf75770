//! What breaks, and what is repaired. Nodes are indices; 0 is the gateway.

use super::link::LinkConditions;

/// Something that breaks or is repaired at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed; what it had in memory is gone.
    Crash {
        /// Which.
        node: usize,
    },
    /// A killed node comes back with a later incarnation. No effect on one that runs.
    Start {
        /// Which.
        node: usize,
        /// Whether it has a new address; the gateway keeps its own.
        moved: bool,
    },
    /// A worker is killed in the middle of a job, if there is one.
    CrashWorker {
        /// Of which edge.
        node: usize,
    },
    /// A node stands still; what arrives waits in its socket.
    Pause {
        /// Which.
        node: usize,
        /// For how many microseconds.
        us: u64,
    },
    /// Nothing passes from one node to another.
    Cut {
        /// Sender.
        from: usize,
        /// Receiver.
        to: usize,
    },
    /// Undoes a cut.
    Heal {
        /// Sender.
        from: usize,
        /// Receiver.
        to: usize,
    },
    /// Nothing passes to or from a node.
    Isolate {
        /// Which.
        node: usize,
    },
    /// Undoes all cuts.
    HealAll,
    /// The conditions between all pairs changes.
    Conditions(LinkConditions),
}

/// A fault and its time in virtual microseconds.
pub type ScheduledFault = (u64, Fault);
