//! What breaks, and what is repaired. Nodes are indices; 0 is the gateway.

use super::link::LinkConditions;

/// Something that breaks or is repaired at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed; what it had in memory is gone.
    Crash {
        /// The node.
        node: usize,
    },
    /// An edge leaves in good order; it may be started again.
    Leave {
        /// The node.
        node: usize,
    },
    /// A killed node comes back as another incarnation. No effect on one that runs.
    Start {
        /// The node.
        node: usize,
        /// Whether it has a new address; the gateway keeps its own.
        moved: bool,
    },
    /// A worker is killed in the middle of a job, if there is one.
    CrashWorker {
        /// The edge.
        node: usize,
    },
    /// An edge's workers stand still: no job of theirs ends. Its network process goes on.
    Freeze {
        /// The edge.
        node: usize,
    },
    /// Undoes a freeze: the jobs end now.
    Thaw {
        /// The edge.
        node: usize,
    },
    /// A node stands still; what arrives waits in its socket.
    Pause {
        /// The node.
        node: usize,
        /// For how many microseconds.
        us: u64,
    },
    /// Nothing passes from one node to another.
    Cut {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
    },
    /// Undoes a cut.
    Heal {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
    },
    /// Nothing passes to or from a node.
    Isolate {
        /// The node.
        node: usize,
    },
    /// Undoes all cuts.
    HealAll,
    /// The conditions between all pairs changes.
    Conditions(LinkConditions),
}

/// A fault and its time in virtual microseconds.
pub type ScheduledFault = (u64, Fault);
