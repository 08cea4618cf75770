//! The gateway: knows who is alive, matches thieves with victims, merges, runs the tail.

use std::sync::Arc;

use super::{Drained, GatewayConfig, GatewayInput, GatewayOutput, Now, ProgramInfo};
use crate::store::Store;

/// The state machine of the gateway.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    #[expect(dead_code, reason = "read by the parts that follow")]
    info: Arc<ProgramInfo>,
}

impl Gateway {
    /// A gateway that knows nobody yet.
    pub fn new(config: GatewayConfig, info: Arc<ProgramInfo>) -> Self {
        Self { config, info }
    }

    /// Takes one input. Drain [`Gateway::poll`] afterwards.
    pub fn handle(&mut self, _now: Now, _input: GatewayInput<'_>, _store: &mut impl Store) {}

    /// The next thing to do; call until it is [`GatewayOutput::WaitUntil`].
    pub fn poll(&mut self, now: Now, _store: &mut impl Store) -> GatewayOutput<'_> {
        GatewayOutput::WaitUntil(now + self.config.beat)
    }

    /// Whether the run is over, for a shell that should end with it.
    pub fn drained(&self) -> Drained {
        Drained::default()
    }
}
