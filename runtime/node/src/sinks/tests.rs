use super::*;
use tessera_plan::files::records::{DropReason, Ending, Subject};

/// A sink whose reader is away.
#[derive(Debug)]
struct Away(OnFailure);

impl RecordSink for Away {
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        Err(NodeError::Decoder(format!(
            "frame {}",
            record.subject.frame
        )))
    }

    fn flush(&mut self) -> Result<(), NodeError> {
        Err(NodeError::Decoder("the rest".into()))
    }

    fn on_failure(&self) -> OnFailure {
        self.0
    }
}

#[test]
fn the_sink_says_what_a_lost_record_means() {
    let record = Record {
        subject: Subject::default(),
        timing: None,
        width: 1,
        height: 1,
        ending: Ending::Dropped {
            dropped: DropReason::TaskFailed,
        },
    };
    let patient = Records::new(vec![Box::new(Away(OnFailure::LoseRecord))]);
    assert!(patient.accept(&record).is_ok() && patient.flush().is_ok());
    let strict = Records::new(vec![Box::new(Away(OnFailure::EndNode))]);
    let e = strict.accept(&record).unwrap_err();
    assert!(e.to_string().contains("frame 0"), "{e}");
    assert!(strict.flush().is_err());
}
