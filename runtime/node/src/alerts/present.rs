//! A node that was built with alerts.

use std::{
    fs::OpenOptions,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tessera_alerts::{Alert, Alerts, Rule};
use tessera_plan::files::records::{Record, Subject};
use tessera_protocol::{FrameId, FrameNumber, Incarnation, NodeId};
use tessera_runtime::program::Program;

use super::{
    Opened,
    stills::{Input, Stills},
    voice::Voice,
    webhook::Webhooks,
};
use crate::{
    args::Args,
    error::NodeError,
    labels::Labels,
    mqtt::Broker,
    sinks::{OnFailure, RecordSink},
    trust::Trust,
};

/// Follows objects and says what people want to hear of; nothing without `[[alert]]`.
///
/// # Errors
/// When a rule makes no sense, or the file of alerts cannot be opened.
pub fn open(
    program: &Program,
    a: &Args,
    trust: Option<&Trust>,
    broker: Option<&Broker>,
) -> Result<Opened, NodeError> {
    let entries = trust.map(Trust::alerts).unwrap_or_default();
    if entries.is_empty() {
        return match a.alerts {
            Some(_) => Err(NodeError::Usage(
                "--alerts FILE goes with [[alert]] tables of --config FILE".into(),
            )),
            None => Ok(Opened::default()),
        };
    }
    let labels = Labels::load(program, a.names.as_deref(), &a.weights)?;
    let rules = Rule::all(entries, labels.all())?;
    let posts = rules.iter().any(|r| r.webhook.is_some());
    let open = |path: &Path| {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.map_err(NodeError::io(format!("--alerts {}", path.display())))
    };
    let voice = Arc::new(Mutex::new(Voice {
        file: a.alerts.as_deref().map(open).transpose()?,
        events: broker.map(Broker::events),
        webhooks: posts.then(Webhooks::start).transpose()?,
    }));
    let stills = if rules.iter().any(|r| r.stills.is_some()) {
        let input = Input::of(program).ok_or_else(|| {
            NodeError::Usage("[[alert]] stills: what this network looks at is no picture".into())
        })?;
        let base = trust.map(Trust::folder).unwrap_or(Path::new(""));
        Some(Stills::start(&rules, base, input, Arc::clone(&voice))?)
    } else {
        None
    };
    Ok(Opened {
        sink: Some(Box::new(Sink {
            alerts: Alerts::new(rules),
            begun: Instant::now(),
            voice,
            stills: stills.clone(),
        })),
        stills,
    })
}

/// See [`open`].
#[derive(Debug)]
struct Sink {
    alerts: Alerts,
    begun: Instant,
    voice: Arc<Mutex<Voice>>,
    stills: Option<Stills>,
}

impl RecordSink for Sink {
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        let now = self.begun.elapsed().as_secs_f64();
        let (mut seen, mut said): (Vec<Alert>, Vec<Alert>) = (self.alerts.record(record, now))
            .into_iter()
            .partition(|a| a.stills.is_some());
        if !seen.is_empty() {
            let kept = match (&self.stills, frame(&record.subject)) {
                (Some(stills), Some(frame)) => stills.keep(frame, seen),
                _ => Err(seen),
            };
            seen = kept.err().unwrap_or_default();
            for alert in &seen {
                let name = &alert.alert;
                tracing::warn!("the alert {name:?} gets no picture: too many wait for theirs");
            }
            said.extend(seen);
        }
        let mut voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
        (said.into_iter()).fold(Ok(()), |written, alert| written.and(voice.say(alert)))
    }

    fn flush(&mut self) -> Result<(), NodeError> {
        if let Some(stills) = &self.stills {
            stills.wait();
        }
        let voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(webhooks) = &voice.webhooks {
            webhooks.wait();
        }
        Ok(())
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::LoseRecord
    }
}

/// The frame that a record is about.
fn frame(subject: &Subject) -> Option<FrameId> {
    Some(FrameId {
        source: NodeId(subject.source),
        incarnation: Incarnation(subject.epoch?),
        number: FrameNumber(subject.frame),
    })
}
