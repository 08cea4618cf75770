//! A node that was built without alerts.

use crate::{args::Args, error::NodeError, mqtt::Broker, sinks::RecordSink, trust::Trust};
use tessera_runtime::program::Program;

/// None, if none is asked for.
///
/// # Errors
/// When one is asked for.
pub fn sink(
    _: &Program,
    a: &Args,
    trust: Option<&Trust>,
    _: Option<&Broker>,
) -> Result<Option<Box<dyn RecordSink>>, NodeError> {
    let asked = if a.alerts.is_some() {
        "--alerts"
    } else if trust.is_some_and(|t| !t.alerts().is_empty()) {
        "[[alert]] of the cluster file"
    } else {
        return Ok(None);
    };
    Err(NodeError::Usage(format!(
        "{asked}: this node was built without it; build it with cargo xtask build --with alerts"
    )))
}
