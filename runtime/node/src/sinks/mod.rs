//! Sinks of records. To add a kind of sink (a message broker, a database), add a file here that implements
//! [`RecordSink`], and a line in `open`.

mod coco;
mod ndjson;
mod picture_name;
mod rotation;
#[cfg(test)]
mod tests;
mod writer;
mod yolo;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use coco::Found;
pub(crate) use writer::{Writer, Written};

use crate::error::NodeError;
use tessera_plan::files::records::Record;

/// Takes the record of every frame, in the order in which frames end.
pub trait RecordSink: fmt::Debug + Send {
    /// Takes a record. The sink decides when to write the record, at the latest in [`RecordSink::flush`].
    ///
    /// # Errors
    /// When this record is lost.
    fn accept(&mut self, record: &Record) -> Result<(), NodeError>;

    /// Writes the records that the sink holds back, because the node ends.
    ///
    /// # Errors
    /// When records are lost.
    fn flush(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    /// The action of the node when a record is lost.
    fn on_failure(&self) -> OnFailure {
        OnFailure::EndNode
    }
}

/// The action of a node when a record is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// End the node with the error: detections that nobody can read are not worth computing.
    EndNode,
    /// Log the loss and go on: readers may come back.
    LoseRecord,
}

/// Record sinks that threads share. Each takes every record, in their order.
#[derive(Clone, Debug)]
pub struct Records(Arc<Mutex<Vec<Box<dyn RecordSink>>>>);

impl Records {
    /// Wraps `sinks` for use by several threads.
    pub fn new(sinks: Vec<Box<dyn RecordSink>>) -> Self {
        Self(Arc::new(Mutex::new(sinks)))
    }

    /// Hands a record to every sink.
    ///
    /// # Errors
    /// When a sink loses the record and its policy is to end the node: the first one's error. The others have the record.
    pub fn accept(&self, record: &Record) -> Result<(), NodeError> {
        self.with(|sink| sink.accept(record))
    }

    /// Writes the records that the sinks hold back.
    ///
    /// # Errors
    /// As [`Records::accept`].
    pub fn flush(&self) -> Result<(), NodeError> {
        self.with(|sink| sink.flush())
    }

    fn with(
        &self,
        mut act: impl FnMut(&mut dyn RecordSink) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = Ok(());
        for sink in sinks.iter_mut() {
            match (act(&mut **sink), sink.on_failure()) {
                (Err(e), OnFailure::EndNode) if first.is_ok() => first = Err(e),
                (Err(e), _) => tracing::error!("a record is lost: {e}"),
                (Ok(()), _) => {}
            }
        }
        first
    }
}

/// Where records go, and in which forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Lines of JSON; none: standard output.
    pub records: Option<PathBuf>,
    /// Bytes that their file may have before a new one begins; none: any number.
    pub rotate_bytes: Option<u64>,
    /// Lines of JSON wait while their disk is full. Whoever runs until somebody ends it goes on when there is room.
    pub waits_for_room: bool,
    /// An array of COCO results.
    pub coco: Option<PathBuf>,
    /// A folder of YOLO text.
    pub yolo: Option<PathBuf>,
    /// Lines of YOLO text end with the score.
    pub yolo_scores: bool,
}

/// The sinks that the command line names, for a network of `classes` classes; `found` holds for COCO results that are there. Lines of JSON come last: who reads one finds
/// the frame in the others.
///
/// # Errors
/// When a file cannot be opened.
pub(crate) fn open(outputs: &Outputs, classes: usize, found: Found) -> Result<Records, NodeError> {
    open_beside(Vec::new(), outputs, classes, found)
}

/// The same, behind `sinks`.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_beside(
    mut sinks: Vec<Box<dyn RecordSink>>,
    outputs: &Outputs,
    classes: usize,
    found: Found,
) -> Result<Records, NodeError> {
    if let Some(path) = &outputs.coco {
        sinks.push(Box::new(coco::Coco::open(path, classes, found)?));
    }
    if let Some(folder) = &outputs.yolo {
        sinks.push(Box::new(yolo::Yolo::open(folder, outputs.yolo_scores)?));
    }
    let lines = ndjson::Ndjson::open(outputs.records.as_deref())?;
    let lines = lines.rotated(outputs.rotate_bytes);
    sinks.push(Box::new(lines.waiting_for_room(outputs.waits_for_room)));
    Ok(Records::new(sinks))
}
