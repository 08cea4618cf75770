//! A node that was built without alerts.

use super::Opened;
use crate::{args::Args, detect::ImageFrame, error::NodeError, mqtt::Broker, trust::Trust};
use tessera_protocol::FrameId;
use tessera_runtime::program::Program;

/// No pictures are wanted.
pub const WAIT_MAX: usize = 0;

/// Nobody wants pictures.
#[derive(Debug)]
pub enum Stills {}

impl Stills {
    /// Never called.
    pub const fn wants(&self, _: FrameId) -> bool {
        match *self {}
    }

    /// Never called.
    pub const fn give(&self, _: FrameId, _: ImageFrame, _: Option<&[u8]>) {
        match *self {}
    }
}

/// None, if none is asked for.
///
/// # Errors
/// When one is asked for.
pub fn open(
    _: &Program,
    a: &Args,
    trust: Option<&Trust>,
    _: Option<&Broker>,
) -> Result<Opened, NodeError> {
    let asked = if a.alerts.is_some() {
        "--alerts"
    } else if trust.is_some_and(|t| !t.alerts().is_empty()) {
        "[[alert]] of the cluster file"
    } else {
        return Ok(Opened::default());
    };
    Err(NodeError::Usage(format!(
        "{asked}: this node was built without it; build it with cargo xtask build --with alerts"
    )))
}
