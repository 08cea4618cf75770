//! Plans that may be taken.

use crate::{estimate::Seconds, stages::StageCuts};

/// A plan that may be taken.
pub(super) struct Candidate {
    pub cuts: StageCuts,
    pub seconds: Seconds,
    pub redundancy: f64,
    /// Bytes of the source edge with the least to spare; the built plan may need a little more.
    pub bytes: u64,
    /// Memory limit of that edge.
    pub limit: u64,
}

/// Plans that may be taken, by time.
pub(crate) struct Found {
    pub(super) list: Vec<Candidate>,
    /// Stages that cannot be cut as finely as a grid wants.
    pub(super) refused: usize,
}
