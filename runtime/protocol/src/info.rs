//! The state machines' view of a program.

use std::{fmt, ops::Deref};

use tessera_plan::{dataflow::TaskGraph, placement::Placement};

/// The task graph of a program, and the digests by which nodes check that they run the same program.
#[derive(Clone)]
pub struct ProgramInfo {
    /// Hash of the plan's dataflow.
    pub plan_hash: [u8; 32],
    /// SHA-256 of the model, as in the header of `weights.bin`.
    pub model_digest: [u8; 32],
    /// The policy by which nodes share tasks.
    pub placement: Placement,
    /// Number of boards that tasks have as homes; at least 1.
    pub boards: u16,
    /// The tasks and the dependencies between tasks.
    pub graph: TaskGraph,
}

/// The first four bytes of a plan's hash, as every datagram carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanPrefix(pub u32);

/// The eight hexadecimal digits with which the plan's hash begins.
impl fmt::Display for PlanPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0.swap_bytes())
    }
}

/// Short: machines hold the program, and their `Debug` text should show the rest of their state.
impl fmt::Debug for ProgramInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.plan_hash;
        let hash = u32::from_be_bytes([a, b, c, d]);
        write!(f, "ProgramInfo({hash:08x}, {} tasks)", self.tasks.len())
    }
}

impl Deref for ProgramInfo {
    type Target = TaskGraph;

    fn deref(&self) -> &TaskGraph {
        &self.graph
    }
}
