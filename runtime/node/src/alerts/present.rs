//! A node that was built with alerts.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    time::Instant,
};

use tessera_alerts::{Alerts, Rule};
use tessera_plan::files::records::Record;
use tessera_runtime::program::Program;

use super::webhook::Webhooks;
use crate::{
    args::Args,
    error::NodeError,
    labels::Labels,
    mqtt::{Broker, Events},
    sinks::{OnFailure, RecordSink},
    trust::Trust,
};

/// The sink that follows objects and says what people want to hear of; `None` without `[[alert]]`.
///
/// # Errors
/// When a rule makes no sense, or the file of alerts cannot be opened.
pub fn sink(
    program: &Program,
    a: &Args,
    trust: Option<&Trust>,
    broker: Option<&Broker>,
) -> Result<Option<Box<dyn RecordSink>>, NodeError> {
    let entries = trust.map(Trust::alerts).unwrap_or_default();
    if entries.is_empty() {
        return match a.alerts {
            Some(_) => Err(NodeError::Usage(
                "--alerts FILE goes with [[alert]] tables of --config FILE".into(),
            )),
            None => Ok(None),
        };
    }
    let labels = Labels::load(program, a.names.as_deref(), &a.weights)?;
    let rules = Rule::all(entries, labels.all())?;
    let posts = rules.iter().any(|r| r.webhook.is_some());
    let open = |path: &Path| {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.map_err(NodeError::io(format!("--alerts {}", path.display())))
    };
    Ok(Some(Box::new(Sink {
        alerts: Alerts::new(rules),
        begun: Instant::now(),
        file: a.alerts.as_deref().map(open).transpose()?,
        events: broker.map(Broker::events),
        webhooks: posts.then(Webhooks::start).transpose()?,
    })))
}

/// See [`sink`].
#[derive(Debug)]
struct Sink {
    alerts: Alerts,
    begun: Instant,
    file: Option<File>,
    events: Option<Events>,
    webhooks: Option<Webhooks>,
}

impl RecordSink for Sink {
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        let now = self.begun.elapsed().as_secs_f64();
        let mut written = Ok(());
        for alert in self.alerts.record(record, now) {
            let json = alert.json();
            tracing::info!("alert: {json}");
            if let Some(file) = &mut self.file {
                let line = file.write_all(format!("{json}\n").as_bytes());
                written = written.and(line.map_err(NodeError::io("--alerts".to_owned())));
            }
            if let Some(events) = &self.events {
                events.say(&alert.alert, &json);
            }
            if let (Some(webhooks), Some(url)) = (&self.webhooks, alert.webhook) {
                webhooks.post(url, json);
            }
        }
        written
    }

    fn flush(&mut self) -> Result<(), NodeError> {
        if let Some(webhooks) = &self.webhooks {
            webhooks.wait();
        }
        Ok(())
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::LoseRecord
    }
}
