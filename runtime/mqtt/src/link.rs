//! The threads with the broker's connection.

use std::{
    collections::{BTreeSet, hash_map::RandomState},
    hash::BuildHasher,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rumqttc::{Client, Connection, Event, LastWill, MqttOptions, Packet, QoS, RecvTimeoutError};

use crate::{
    backoff::Backoff,
    discovery,
    message::Message,
    settings::{MqttError, Settings},
    state::State,
};

/// Time between two looks at what is to be said.
const LOOK: Duration = Duration::from_millis(100);
/// Time without a word after which the broker counts as gone; it then says the will after half as much again.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Messages that may wait for the connection.
const WAITING_MAX: usize = 64;
/// Largest message.
const BYTES_MAX: usize = 1 << 20;
/// Least time between two messages for one device: Home Assistant leaves the second unread while it sets up the first.
const DEVICES_EVERY: Duration = Duration::from_secs(3);
/// Longest wait before Home Assistant, which has just begun, is told of all devices, in milliseconds.
const BIRTH_WAIT_MS: u64 = 4_000;
/// How long the broker may take to say what it keeps.
const REMOVE_WITHIN: Duration = Duration::from_secs(10);
/// Time without a kept message after which there are no more.
const REMOVE_QUIET: Duration = Duration::from_millis(700);

/// What the two threads share: one waits for the broker, the other speaks.
#[derive(Debug)]
pub struct Shared {
    settings: Settings,
    /// What is to be said.
    pub state: Mutex<State>,
    /// Nothing more is to be said.
    stop: AtomicBool,
    connected: AtomicBool,
    /// When all is said again, because Home Assistant has begun.
    birth_at: Mutex<Option<Instant>>,
}

impl Shared {
    /// No connection yet.
    pub const fn new(settings: Settings, state: State) -> Self {
        Self {
            settings,
            state: Mutex::new(state),
            stop: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            birth_at: Mutex::new(None),
        }
    }

    /// Asks both threads to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }
}

/// Starts both threads; the one that is returned ends after its goodbye.
///
/// # Errors
/// When the system starts no thread.
pub fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let (client, connection) = connect(&shared.settings, true);
    let (theirs, speaks) = (Arc::clone(shared), client.clone());
    std::thread::Builder::new()
        .name("mqtt".into())
        .spawn(move || listen(&theirs, &speaks, connection))?;
    let theirs = Arc::clone(shared);
    std::thread::Builder::new()
        .name("mqtt says".into())
        .spawn(move || speak(&theirs, &client))
}

/// Keeps the connection, and hears what comes over it.
fn listen(shared: &Shared, client: &Client, mut connection: Connection) {
    let mut backoff = Backoff::default();
    let mut complaint = String::new();
    // Never given up in the middle: a connection takes the time that it takes.
    while let Ok(heard) = connection.recv() {
        match heard {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                tracing::info!("MQTT: connected to {}", shared.settings.broker);
                complaint.clear();
                backoff.reset();
                greet(shared, client);
            }
            Ok(Event::Incoming(Packet::Publish(p))) => {
                let prefix = shared.settings.prefix.as_deref();
                let is_its = prefix.is_some_and(|its| p.topic == format!("{its}/status"));
                if is_its && p.payload.as_ref() == b"online" {
                    // Not all at once with every other device of the house.
                    let wait = RandomState::new().hash_one(&p.topic) % BIRTH_WAIT_MS;
                    *locked(&shared.birth_at) = Some(Instant::now() + Duration::from_millis(wait));
                }
            }
            Ok(_) => {}
            Err(e) => {
                shared.connected.store(false, Ordering::Release);
                if shared.stops() {
                    return;
                }
                let text = e.to_string();
                if text != complaint {
                    let broker = &shared.settings.broker;
                    tracing::warn!("MQTT: no connection to {broker}: {}", advice(&text));
                    complaint = text;
                }
                let until = Instant::now() + backoff.next();
                while Instant::now() < until && !shared.stops() {
                    std::thread::sleep(LOOK);
                }
            }
        }
        if shared.stops() && !shared.is_connected() {
            return;
        }
    }
}

/// The first words over a new connection.
fn greet(shared: &Shared, client: &Client) {
    let _ = client.try_publish(status(&shared.settings), QoS::AtLeastOnce, true, "online");
    if let Some(prefix) = &shared.settings.prefix {
        let _ = client.try_subscribe(format!("{prefix}/status"), QoS::AtMostOnce);
    }
    locked(&shared.state).forget();
    shared.connected.store(true, Ordering::Release);
}

/// Says what the broker has not heard; at the end, that the gateway is gone.
fn speak(shared: &Shared, client: &Client) {
    let mut devices_at = Instant::now();
    while !shared.stops() {
        if shared.is_connected() {
            say(shared, client, &mut devices_at);
        }
        std::thread::sleep(LOOK);
    }
    if !shared.is_connected() {
        return;
    }
    let _ = client.try_publish(status(&shared.settings), QoS::AtLeastOnce, true, "offline");
    let _ = client.try_disconnect();
    let until = Instant::now() + crate::GOODBYE;
    while shared.is_connected() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says as much as there is room for.
fn say(shared: &Shared, client: &Client, devices_at: &mut Instant) {
    let now = Instant::now();
    let mut birth_at = locked(&shared.birth_at);
    let is_born = birth_at.is_some_and(|at| now >= at);
    if is_born {
        *birth_at = None;
    }
    drop(birth_at);
    let mut state = locked(&shared.state);
    if is_born {
        state.forget();
    }
    if state.has_devices() && now >= *devices_at {
        *devices_at = now + DEVICES_EVERY;
        for device in state.devices() {
            if !publish(client, &device) {
                // All of them once more, later.
                state.forget();
                return;
            }
        }
    }
    while let Some(message) = state.next() {
        if !publish(client, &message) {
            state.put_back(message);
            return;
        }
    }
}

fn status(settings: &Settings) -> String {
    format!("{}/status", settings.base())
}

/// A lock; a thread that died with it has left a whole value.
pub fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True if there was room for the message.
fn publish(client: &Client, message: &Message) -> bool {
    let quality = if message.retain {
        QoS::AtLeastOnce
    } else {
        QoS::AtMostOnce
    };
    let payload = message.payload.clone();
    client
        .try_publish(&message.topic, quality, message.retain, payload)
        .is_ok()
}

/// A connection; with a will, the broker says `offline` when it is lost.
fn connect(settings: &Settings, with_will: bool) -> (Client, Connection) {
    let client = if with_will {
        settings.device()
    } else {
        format!("{}_remove", settings.device())
    };
    let mut options = MqttOptions::new(client, &settings.broker.host, settings.broker.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(BYTES_MAX, BYTES_MAX);
    if with_will {
        options.set_last_will(LastWill::new(
            status(settings),
            "offline",
            QoS::AtLeastOnce,
            true,
        ));
    }
    if let Some(login) = &settings.login {
        options.set_credentials(&login.user, &login.password);
    }
    Client::new(options, WAITING_MAX)
}

/// What to do about a broker's error.
fn advice(text: &str) -> String {
    let what = if text.contains("NotAuthorized") || text.contains("BadUserNamePassword") {
        "the broker wants another user or password: --mqtt-login FILE has USER:PASSWORD"
    } else if text.contains("refused") {
        "nothing listens there: is the broker on, and is the port the right one?"
    } else if text.contains("lookup") || text.contains("resolve") {
        "nobody knows that host"
    } else {
        "it is tried again"
    };
    format!("{what} ({text})")
}

/// Takes back all that a cluster's gateway has left at the broker: values, and devices of Home Assistant. Returns how many
/// topics were there. The gateway should not run.
///
/// # Errors
/// When the broker cannot be reached.
pub fn remove(settings: &Settings) -> Result<usize, MqttError> {
    let failed = |what: String| MqttError::Broker(settings.broker.to_string(), what);
    let (client, mut connection) = connect(settings, false);
    let begun = Instant::now();
    let mut heard_at = Instant::now();
    let mut topics = BTreeSet::new();
    let mut is_ready = false;
    let device = settings.device();
    while begun.elapsed() < REMOVE_WITHIN && (!is_ready || heard_at.elapsed() < REMOVE_QUIET) {
        // What is given up in the middle is begun anew, so a connection gets all the time.
        let wait = if is_ready {
            REMOVE_QUIET
        } else {
            REMOVE_WITHIN
        };
        match connection.recv_timeout(wait) {
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                let mut filters = vec![format!("{}/#", settings.base())];
                filters.extend(settings.prefix.as_ref().map(|p| discovery::topic(p, "+")));
                for filter in filters {
                    let asked = client.try_subscribe(filter, QoS::AtLeastOnce);
                    asked.map_err(|e| failed(e.to_string()))?;
                }
            }
            Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => {
                is_ready = true;
                heard_at = Instant::now();
            }
            Ok(Ok(Event::Incoming(Packet::Publish(p)))) => {
                let is_device = |id: &str| id == device || id.starts_with(&format!("{device}_"));
                let id = p.topic.rsplit('/').nth(1).unwrap_or_default();
                let is_ours =
                    p.topic.starts_with(&format!("{}/", settings.base())) || is_device(id);
                if p.retain && is_ours {
                    topics.insert(p.topic.clone());
                    heard_at = Instant::now();
                }
            }
            Ok(Err(e)) => return Err(failed(advice(&e.to_string()))),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(failed("it has closed the connection".into()));
            }
            _ => {}
        }
    }
    if !is_ready {
        return Err(failed("it does not answer".into()));
    }
    let mut left = topics.len();
    let mut unsaid: Vec<&String> = topics.iter().collect();
    while left > 0 && begun.elapsed() < 3 * REMOVE_WITHIN {
        while let Some(topic) = unsaid.pop() {
            if client
                .try_publish(topic, QoS::AtLeastOnce, true, "")
                .is_err()
            {
                unsaid.push(topic);
                break;
            }
        }
        match connection.recv_timeout(REMOVE_WITHIN) {
            Ok(Ok(Event::Incoming(Packet::PubAck(_)))) => left -= 1,
            Ok(Err(e)) => return Err(failed(advice(&e.to_string()))),
            _ => {}
        }
    }
    if left > 0 {
        return Err(failed(format!("{left} topics could not be taken back")));
    }
    let _ = client.try_disconnect();
    let _ = connection.recv_timeout(LOOK);
    Ok(topics.len())
}
