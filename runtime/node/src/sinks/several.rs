//! Several sinks that take every record.

use super::{OnFailure, RecordSink};
use crate::error::NodeError;
use tessera_plan::files::records::Record;

/// Hands every record to all of them, in their order.
#[derive(Debug)]
pub struct Several(pub Vec<Box<dyn RecordSink>>);

impl Several {
    /// Lets every sink act, also when one fails. Returns the first error whose sink ends the node for it; others are logged.
    fn each(
        &mut self,
        mut act: impl FnMut(&mut dyn RecordSink) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let mut first = Ok(());
        for sink in &mut self.0 {
            match (act(&mut **sink), sink.on_failure()) {
                (Err(e), OnFailure::EndNode) if first.is_ok() => first = Err(e),
                (Err(e), _) => tracing::error!("a record is lost: {e}"),
                (Ok(()), _) => {}
            }
        }
        first
    }
}

impl RecordSink for Several {
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        self.each(|sink| sink.accept(record))
    }

    fn flush(&mut self) -> Result<(), NodeError> {
        self.each(|sink| sink.flush())
    }
}
