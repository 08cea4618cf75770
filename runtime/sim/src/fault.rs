//! Faults and their repair. Nodes are indices; 0 is the gateway.

use super::link::LinkConditions;

/// A fault or a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Kills a node, which loses everything in its memory.
    Crash {
        /// The node.
        node: usize,
    },
    /// Makes an edge leave in good order; a later [`Self::Start`] may bring the edge back.
    Leave {
        /// The node.
        node: usize,
    },
    /// Starts a dead node as another incarnation. Has no effect on a running node.
    Start {
        /// The node.
        node: usize,
        /// Whether the node gets a new address; the gateway always keeps its own.
        moved: bool,
    },
    /// Kills a worker in the middle of a job, if a job runs.
    CrashWorker {
        /// The edge.
        node: usize,
    },
    /// Stops an edge's workers: none of their jobs ends. The edge's network process goes on.
    Freeze {
        /// The edge.
        node: usize,
    },
    /// Undoes a freeze: the jobs that were due end now.
    Thaw {
        /// The edge.
        node: usize,
    },
    /// Stops a node for a while; datagrams that arrive wait in its socket.
    Pause {
        /// The node.
        node: usize,
        /// Length of the pause in microseconds.
        us: u64,
    },
    /// Cuts the path from one node to another; the opposite direction stays open.
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
    /// Cuts all paths to and from a node.
    Isolate {
        /// The node.
        node: usize,
    },
    /// Undoes all cuts and isolations.
    HealAll,
    /// Changes the conditions of the links between all pairs.
    Conditions(LinkConditions),
}

/// A virtual time in microseconds, and the fault that happens then.
pub type ScheduledFault = (u64, Fault);
