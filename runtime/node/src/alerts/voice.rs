//! Says alerts wherever they go.

use std::{fs::File, io::Write};

use tessera_alerts::Alert;

use super::webhook::Webhooks;
use crate::{error::NodeError, mqtt::Events};

/// Where alerts go, beside the log.
#[derive(Debug)]
pub struct Voice {
    /// A line of JSON each.
    pub file: Option<File>,
    /// The broker.
    pub events: Option<Events>,
    /// Those who hear of it by HTTP.
    pub webhooks: Option<Webhooks>,
}

impl Voice {
    /// Says an alert.
    ///
    /// # Errors
    /// When it cannot be written to the file. The others have it.
    pub fn say(&mut self, alert: Alert) -> Result<(), NodeError> {
        let json = alert.json();
        tracing::info!("alert: {json}");
        let written = match &mut self.file {
            Some(file) => file.write_all(format!("{json}\n").as_bytes()),
            None => Ok(()),
        };
        if let Some(events) = &self.events {
            events.say(&alert.alert, &json);
        }
        if let (Some(webhooks), Some(url)) = (&self.webhooks, alert.webhook) {
            webhooks.post(url, json);
        }
        written.map_err(NodeError::io("--alerts".to_owned()))
    }
}
