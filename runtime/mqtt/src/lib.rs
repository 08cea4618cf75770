//! What a gateway says over MQTT, and how Home Assistant finds it.
//!
//! ```text
//!  records ──> State (the latest value of every topic) ──> thread with the broker's connection
//!  boards  ──>        no queue: a value that was not sent gives way to the next
//! ```
//!
//! Whoever calls [`Mqtt::record`] or [`Mqtt::boards`] never waits for the broker, and memory does not grow while it is gone.
//!
//! | module | is |
//! |---|---|
//! | `settings` | the broker, who logs in, what is published |
//! | `slug` | names as topics and ids may have them |
//! | `message` | what is said, and of whom |
//! | `known_board` | a board, with what Home Assistant hears of it |
//! | `state` | the latest value of every topic |
//! | `discovery` | the devices that Home Assistant is told of |
//! | `link` | two threads: connect, publish, hear Home Assistant's birth, take all back |
//! | `backoff` | pauses between two attempts |
//!
//! `docs/mqtt.md` has the topics.
#![forbid(unsafe_code)]

mod backoff;
mod discovery;
mod known_board;
mod link;
mod message;
mod settings;
mod slug;
mod state;

use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tessera_plan::files::records::Record;

pub use self::{
    link::remove,
    message::{Board, BoardHealth},
    settings::{About, Broker, MqttError, Settings},
};
use self::{
    link::{Shared, locked},
    state::State,
};

/// A connection to a broker that comes and goes; dropping the value says goodbye.
#[derive(Debug)]
pub struct Mqtt {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Longest time for a goodbye.
const GOODBYE: Duration = Duration::from_millis(800);

impl Mqtt {
    /// Starts the threads. The broker may come later.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub fn start(settings: Settings, about: About) -> Result<Self, MqttError> {
        let state = State::new(settings.clone(), about);
        let shared = Arc::new(Shared::new(settings, state));
        let thread = link::start(&shared).map_err(MqttError::Thread)?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Takes the record of a frame.
    pub fn record(&self, record: &Record) {
        locked(&self.shared.state).record(record, Instant::now());
    }

    /// Takes an alert: who listens then hears of it.
    pub fn alert(&self, name: &str, json: &str) {
        locked(&self.shared.state).alert(name, json);
    }

    /// Takes how all boards are now.
    pub fn boards(&self, boards: &[Board]) {
        locked(&self.shared.state).boards(boards, Instant::now());
    }

    /// Says that the gateway is gone; waits a moment for the broker.
    pub fn stop(&self) {
        self.shared.stop();
        let begun = Instant::now();
        let Some(thread) = locked(&self.thread).take() else {
            return;
        };
        // A broker that does not answer must not keep the node from leaving; its will says the same.
        while !thread.is_finished() && begun.elapsed() < GOODBYE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        self.stop();
    }
}
