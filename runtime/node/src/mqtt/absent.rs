//! A node that was built without the library.

use crate::{args::Args, error::NodeError, sinks::RecordSink, trust::Trust};
use tessera_protocol::{Micros, NodeId, gateway::ConditionView};
use tessera_runtime::program::Program;

/// No broker.
#[derive(Debug)]
pub enum Broker {}

impl Broker {
    /// None, if none is asked for.
    ///
    /// # Errors
    /// When one is asked for.
    pub fn open(_: &Program, a: &Args, _: Option<&Trust>) -> Result<Option<Self>, NodeError> {
        if a.mqtt.are_given() {
            return Err(missing());
        }
        Ok(None)
    }

    /// Nothing to say it to.
    pub const fn sink(&self) -> Box<dyn RecordSink> {
        match *self {}
    }

    /// Nothing to say it to.
    #[cfg(feature = "alerts")]
    pub const fn events(&self) -> Events {
        match *self {}
    }

    /// Nothing to say it to.
    pub fn look(
        &mut self,
        _: Micros,
        _: impl Iterator<Item = (NodeId, bool)>,
        _: impl Iterator<Item = (NodeId, ConditionView)>,
    ) {
    }

    /// Nothing to say it to.
    pub const fn stop(&self) {}
}

/// Nobody to say anything to.
#[cfg(feature = "alerts")]
#[derive(Debug)]
pub enum Events {}

#[cfg(feature = "alerts")]
impl Events {
    /// Never called.
    pub const fn say(&self, _: &str, _: &str) {
        match *self {}
    }
}

/// Nothing was said.
///
/// # Errors
/// Always.
pub fn remove(_: &Program, _: &Args, _: Option<&Trust>) -> Result<(), NodeError> {
    Err(missing())
}

fn missing() -> NodeError {
    NodeError::Usage(
        "--mqtt: this node was built without it; build it with cargo xtask build --with mqtt"
            .into(),
    )
}
