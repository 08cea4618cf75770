//! A gateway whose binary has no HTTP service: the flag is refused, and nothing else is there.

use super::{gateway_state::Look, own_edge::OwnEdge};
use crate::{args::Args, error::NodeError, trust::Trust, wait::Waker};
use tessera_plan::files::records::{Record, Subject};
use tessera_runtime::program::Program;

/// There is none.
#[derive(Debug)]
pub enum Served {}

/// There is none.
#[derive(Debug)]
pub enum Config {}

/// Nothing is configured.
///
/// # Errors
/// When the service is asked for.
pub fn config(a: &Args, trust: Option<&Trust>) -> Result<Option<Config>, NodeError> {
    if a.http.listen.is_some() {
        return Err(NodeError::no_service("--http"));
    }
    if a.http.zmq.is_some() {
        return Err(NodeError::no_service("--zmq"));
    }
    if trust.and_then(Trust::service).is_some() {
        return Err(NodeError::no_service("[service] of the cluster file"));
    }
    Ok(None)
}

impl Served {
    /// Never called: there is no configuration.
    ///
    /// # Errors
    /// None.
    pub fn start(
        config: Config,
        _: &Program,
        _: &Args,
        _: Vec<(u16, String)>,
        _: Waker,
    ) -> Result<Self, NodeError> {
        match config {}
    }

    /// See `served`.
    pub fn tell(&self) {
        match *self {}
    }

    /// See `served`.
    pub fn follow(&self, _: &mut OwnEdge) {
        match *self {}
    }

    /// See `served`.
    pub fn wants_look(&self) -> bool {
        match *self {}
    }

    /// See `served`.
    pub fn show(&self, _: Look) {
        match *self {}
    }

    /// See `served`.
    pub fn record(&mut self, _: &Record) {
        match *self {}
    }

    /// See `served`.
    pub fn score(&mut self, _: &Subject) -> Option<f32> {
        match *self {}
    }
}
