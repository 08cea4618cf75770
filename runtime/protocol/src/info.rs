//! A program as the state machines know it.

use std::ops::Deref;

use tessera_plan::dataflow::TaskGraph;

/// The task graph of a program, and the digests by which nodes tell that they run the same.
#[derive(Clone, Debug)]
pub struct ProgramInfo {
    /// Hash of the plan's dataflow.
    pub plan_hash: [u8; 32],
    /// Digest of the model.
    pub model_digest: [u8; 32],
    /// Tasks, and who needs what of whom.
    pub graph: TaskGraph,
}

impl Deref for ProgramInfo {
    type Target = TaskGraph;

    fn deref(&self) -> &TaskGraph {
        &self.graph
    }
}
