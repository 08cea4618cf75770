//! An edge: owns the frames of its source, computes, steals, holds objects for others.

use std::sync::Arc;

use super::{EdgeConfig, EdgeInput, EdgeOutput, Now, ProgramInfo};
use crate::store::Store;

/// The state machine of an edge.
#[derive(Debug)]
pub struct Edge {
    config: EdgeConfig,
    #[expect(dead_code, reason = "read by the parts that follow")]
    info: Arc<ProgramInfo>,
}

impl Edge {
    /// An edge that has not spoken to anyone yet.
    pub fn new(config: EdgeConfig, info: Arc<ProgramInfo>) -> Self {
        Self { config, info }
    }

    /// Takes one input. Drain [`Edge::poll`] afterwards.
    pub fn handle(&mut self, _now: Now, _input: EdgeInput<'_>, _store: &mut impl Store) {}

    /// The next thing to do; call until it is [`EdgeOutput::WaitUntil`].
    pub fn poll(&mut self, now: Now, _store: &mut impl Store) -> EdgeOutput<'_> {
        EdgeOutput::WaitUntil(now + self.config.beat)
    }

    /// Whether the machine has room for another frame of this source.
    pub fn wants_frame(&self) -> bool {
        false
    }
}
