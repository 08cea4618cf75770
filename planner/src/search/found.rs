//! Possible plans, as the search found them.

use crate::{estimate::Seconds, stages::StageCuts};

/// A possible plan with its expected time and memory.
pub(super) struct Candidate {
    pub cuts: StageCuts,
    pub seconds: Seconds,
    pub redundancy: f64,
    /// Bytes on the source edge with the least memory to spare; the built plan may need a little more.
    pub bytes: u64,
    /// Memory limit of that edge.
    pub limit: u64,
}

/// Possible plans, the fastest first.
pub(crate) struct Found {
    pub(super) list: Vec<Candidate>,
    /// Number of stages that cannot be cut as finely as a grid wants.
    pub(super) refused: usize,
}
