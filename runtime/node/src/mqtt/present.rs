//! A node that was built with the library.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tessera_health::Health;
use tessera_mqtt::{About, Board, BoardHealth, Mqtt, Settings};
use tessera_plan::files::records::Record;
use tessera_protocol::{Micros, NodeId, gateway::ConditionView};
use tessera_runtime::program::Program;

use crate::{
    args::Args,
    condition,
    console::{self, Patience},
    error::NodeError,
    labels::Labels,
    sinks::{OnFailure, RecordSink},
    trust::Trust,
};

/// Between two looks at the boards.
const LOOK_US: Micros = 1_000_000;

/// A broker, and the boards that it hears of.
#[derive(Debug)]
pub struct Broker {
    mqtt: Arc<Mqtt>,
    boards: BTreeMap<u16, Board>,
    look_at: Micros,
}

impl Broker {
    /// The broker that the command line names; it may be reached later.
    ///
    /// # Errors
    /// When flags or the login make no sense.
    pub fn open(
        program: &Program,
        a: &Args,
        trust: Option<&Trust>,
    ) -> Result<Option<Self>, NodeError> {
        let Some(settings) = settings(program, a, trust)? else {
            return Ok(None);
        };
        let about = About {
            version: env!("CARGO_PKG_VERSION").into(),
            model: program.name.into(),
        };
        let listed = trust.map(Trust::boards).unwrap_or_default();
        let board = |(number, name)| {
            let board = Board {
                name,
                ..Board::default()
            };
            (number, board)
        };
        Ok(Some(Self {
            mqtt: Arc::new(Mqtt::start(settings, about)?),
            boards: listed.into_iter().map(board).collect(),
            look_at: 0,
        }))
    }

    /// The sink that says what records say.
    pub fn sink(&self) -> Box<dyn RecordSink> {
        Box::new(Sink(Arc::clone(&self.mqtt)))
    }

    /// Says what happens, to whoever listens then.
    #[cfg(feature = "alerts")]
    pub fn events(&self) -> Events {
        Events(Arc::clone(&self.mqtt))
    }

    /// Says how the boards are, once a second.
    pub fn look(
        &mut self,
        now: Micros,
        nodes: impl Iterator<Item = (NodeId, bool)>,
        conditions: impl Iterator<Item = (NodeId, ConditionView)>,
    ) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_US;
        for (NodeId(number), alive) in nodes {
            let board = self.boards.entry(number).or_insert_with(|| Board {
                name: format!("edge {number}"),
                ..Board::default()
            });
            (board.alive, board.health) = (alive, None);
        }
        for (NodeId(number), known) in conditions {
            let board = self.boards.get_mut(&number);
            if let Some(board) = board.filter(|b| {
                b.alive && Duration::from_micros(known.age_us).as_secs_f64() < Health::TOLD_FOR_S
            }) {
                let health = condition::heard(&known.said);
                board.health = Some(BoardHealth {
                    temperature_c: health.temperature_c,
                    throttled: health.throttled,
                    memory_available_bytes: health.memory_available_bytes,
                    memory_bytes: health.memory_bytes,
                });
            }
        }
        let boards: Vec<Board> = self.boards.values().cloned().collect();
        self.mqtt.boards(&boards);
    }

    /// Says that this gateway is gone.
    pub fn stop(&self) {
        self.mqtt.stop();
    }
}

/// Takes back what the gateway of this cluster has said.
///
/// # Errors
/// When no broker is named, or it cannot be reached.
pub fn remove(program: &Program, a: &Args, trust: Option<&Trust>) -> Result<(), NodeError> {
    let Some(settings) = settings(program, a, trust)? else {
        return Ok(());
    };
    let count = tessera_mqtt::remove(&settings)?;
    let _ = console::out(&format!("{count} topics taken back\n"), Patience::Endless);
    Ok(())
}

fn settings(
    program: &Program,
    a: &Args,
    trust: Option<&Trust>,
) -> Result<Option<Settings>, NodeError> {
    let flags = &a.mqtt;
    let Some(broker) = &flags.broker else {
        return match flags.are_given() {
            true => Err(NodeError::Usage(
                "--mqtt-.. flags go with --mqtt HOST[:PORT]".into(),
            )),
            false => Ok(None),
        };
    };
    let id = flags.id.clone().unwrap_or_else(|| id(program, trust));
    let mut settings = Settings::new(broker.parse()?, &id);
    if let Some(prefix) = &flags.prefix {
        settings = settings.with_prefix(prefix)?;
    }
    if let Some(file) = &flags.login {
        settings = settings.with_login(file)?;
    }
    let labels = Labels::load(program, a.names.as_deref(), &a.weights)?;
    Ok(Some(
        settings.with_classes(flags.classes.as_deref(), labels.all())?,
    ))
}

/// Six digits that stay the same over restarts: of the gateway's key, or of the machine and the network.
fn id(program: &Program, trust: Option<&Trust>) -> String {
    let text = trust.map_or_else(
        || {
            let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
            format!("tessera {} {machine}", program.name)
        },
        Trust::public_key,
    );
    let digest = Sha256::digest(text.as_bytes());
    digest[..3].iter().map(|b| format!("{b:02x}")).collect()
}

/// Says what happens.
#[cfg(feature = "alerts")]
#[derive(Debug)]
pub struct Events(Arc<Mqtt>);

#[cfg(feature = "alerts")]
impl Events {
    /// Says the alert of this name.
    pub fn say(&self, name: &str, json: &str) {
        self.0.alert(name, json);
    }
}

/// Says what records say.
#[derive(Debug)]
struct Sink(Arc<Mqtt>);

impl RecordSink for Sink {
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        self.0.record(record);
        Ok(())
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::LoseRecord
    }
}
