//! Where records go. A new kind of sink (a message broker, a database) is a file here that implements
//! [`RecordSink`], and a line in `open`.

mod ndjson;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use writer::{Writer, Written};

use crate::error::NodeError;
use tessera_plan::files::records::Record;

/// Takes the record of every frame, in the order in which frames end.
pub trait RecordSink: fmt::Debug + Send {
    /// Takes a record. The sink decides when it is written; [`RecordSink::flush`] says when at the latest.
    ///
    /// # Errors
    /// When this record is lost.
    fn accept(&mut self, record: &Record) -> Result<(), NodeError>;

    /// Writes what it holds back: the node ends.
    ///
    /// # Errors
    /// When records are lost.
    fn flush(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    /// What a node does when a record is lost.
    fn on_failure(&self) -> OnFailure {
        OnFailure::EndNode
    }
}

/// What a node does when a record is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Ends with the error: detections that nobody can read are not worth computing.
    EndNode,
    /// Says so and goes on: readers may come back.
    LoseRecord,
}

/// A sink that threads share.
#[derive(Clone, Debug)]
pub struct Records(Arc<Mutex<dyn RecordSink>>);

impl Records {
    /// Records go to `sink`.
    pub fn new(sink: impl RecordSink + 'static) -> Self {
        Self(Arc::new(Mutex::new(sink)))
    }

    /// Hands over a record.
    ///
    /// # Errors
    /// When it is lost and the sink's policy is to end the node.
    pub fn accept(&self, record: &Record) -> Result<(), NodeError> {
        self.with(|sink| sink.accept(record))
    }

    /// Writes what the sink holds back.
    ///
    /// # Errors
    /// As [`Records::accept`].
    pub fn flush(&self) -> Result<(), NodeError> {
        self.with(|sink| sink.flush())
    }

    fn with(
        &self,
        act: impl FnOnce(&mut dyn RecordSink) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (act(&mut *sink), sink.on_failure()) {
            (Err(e), OnFailure::LoseRecord) => {
                tracing::error!("a record is lost: {e}");
                Ok(())
            }
            (result, _) => result,
        }
    }
}

/// The sink that the command line names: a file, or standard output.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn open(path: Option<&Path>) -> Result<Records, NodeError> {
    ndjson::Ndjson::open(path).map(Records::new)
}
