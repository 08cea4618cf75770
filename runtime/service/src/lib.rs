//! What a gateway speaks over HTTP: health, metrics, status, the detection of posted pictures, the last picture; and Frigate's
//! ZeroMQ detector protocol.
//!
//! The node's loop owns a [`Service`] and never waits for it. The service runs on a thread of its own, on which tokio has one
//! thread; between both stand bounded queues and a mailbox of one place:
//!
//! ```text
//!  loop ── record ──────────────> queue, what is too much is counted ──> hub: answers posts, keeps the last frames
//!  loop ── show (when asked) ───> mailbox of one place ────────────────> /metrics /v1/status /healthz /readyz
//!  loop <─ wants_snapshot ─────── a flag, and the loop's waker <──────── the same
//!  loop <─ score ──────────────── queue: which boxes of a post are wanted
//!  loop ── edge_started ────────> the socket of the board's edge <────── pictures, one after the other
//! ```
//!
//! | module | is |
//! |---|---|
//! | `state`, `tally`, `shown` | what a gateway knows at one time, and sums over its records |
//! | `metrics` | that as Prometheus' text |
//! | `posts`, `feed`, `edge_line` | posted pictures on their way to the edge of this board, and their outcomes |
//! | `detection` | the dialect of DeepStack and CodeProject.AI: forms, answers, names of classes |
//! | `hub` | records as they come: the last frames, the last picture |
//! | `picture` | the last picture with its boxes |
//! | `why` | what binds, in one sentence |
//! | `http` | connections, who may ask, routes, answers |
//! | `frigate` | the same for Frigate's ZeroMQ detector |

#![forbid(unsafe_code)]

mod detection;
pub mod edge_line;
mod feed;
pub mod frigate;
mod http;
mod hub;
mod metrics;
mod picture;
pub mod posts;
mod shown;
mod state;
mod tally;
mod why;

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use tessera_plan::files::records::{Record, Subject};
use tokio::sync::{Semaphore, mpsc, watch};

pub use self::{
    detection::Profile,
    state::{About, Board, Flight, State, Tile, TurnedAway},
};
use self::{
    http::Server,
    hub::Hub,
    posts::{Counts, POSTS_MAX, Posts},
    shown::Shown,
    tally::Tally,
};

/// Most records that wait for the service's thread; what comes beyond them it does not see.
const RECORDS_MAX: usize = 1024;
/// Most scores that are kept of pictures without a record.
const SCORES_MAX: usize = 32 * POSTS_MAX;

/// How a service is reached.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address and port of HTTP; port 0 lets the system choose. `None`: no HTTP.
    pub listen: Option<SocketAddr>,
    /// What clients must know; needed off loopback.
    pub token: Option<String>,
    /// How failures of detection are told, if a request does not say.
    pub profile: Profile,
    /// Time that a posted picture has from its request's first byte to its answer.
    pub deadline: Duration,
    /// Where and how Frigate's protocol is spoken, if at all.
    pub frigate: Option<frigate::Config>,
}

/// Why a service cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Everybody in the network could ask.
    #[error(
        "--http {0} can be reached from other machines, so it needs a token: --http-token FILE, a file of mode 600 with a word \
         that clients send (cargo xtask writes none: `head -c 24 /dev/urandom | base64 > http.token; chmod 600 http.token`)"
    )]
    NoToken(SocketAddr),
    /// The system does not give the address.
    #[error("--http {addr}: {cause}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's error.
        cause: io::Error,
    },
    /// Everybody in the network could ask by Frigate's protocol.
    #[error(
        "--zmq {0} can be reached from other machines, so say who may connect: --zmq-allow 192.168.1.20, the address of Frigate's \
         machine, or --zmq-allow any"
    )]
    NobodyAllowed(frigate::Endpoint),
    /// The system does not give the endpoint.
    #[error("--zmq {endpoint}: {cause}")]
    ListenFrigate {
        /// The endpoint.
        endpoint: frigate::Endpoint,
        /// The system's error.
        cause: io::Error,
    },
    /// Pictures could not enter the cluster.
    #[error(
        "--zmq needs an edge on the gateway's board, through which pictures enter the cluster: start it with --workers 1"
    )]
    NoEdge,
    /// The system gives no thread.
    #[error("cannot start the service: {0}")]
    Thread(io::Error),
}

/// The loop's end of the service. No call waits.
#[derive(Debug)]
pub struct Service {
    addr: Option<SocketAddr>,
    endpoint: Option<frigate::Endpoint>,
    about: Arc<About>,
    tally: Tally,
    counts: Arc<Counts>,
    wanted: Arc<AtomicBool>,
    shown: watch::Sender<Option<Arc<Shown>>>,
    records: mpsc::Sender<Arc<Record>>,
    unseen: Arc<AtomicU64>,
    edges: mpsc::Sender<UnixStream>,
    told: Receiver<(u64, f32)>,
    scores: BTreeMap<u64, f32>,
}

impl Service {
    /// Binds the address and starts the thread. `wake` wakes the loop, so that it looks at [`Service::wants_snapshot`].
    ///
    /// # Errors
    /// When the address needs a token, or the system does not give it or a thread.
    pub fn start(
        config: Config,
        about: About,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, ServiceError> {
        let listening = config
            .listen
            .map(|at| listen_http(at, &config))
            .transpose()?;
        let (listener, addr) = listening.unzip();
        let to_frigate = config.frigate.clone();
        let to_frigate = to_frigate
            .map(|how| listen_frigate(how, &about))
            .transpose()?;
        let endpoint = to_frigate.as_ref().map(|(_, how)| how.endpoint.clone());
        let about = Arc::new(about);
        let counts = Arc::<Counts>::default();
        let wanted = Arc::<AtomicBool>::default();
        let unseen = Arc::<AtomicU64>::default();
        let (shown, look) = watch::channel(None);
        let (records, heard) = mpsc::channel(RECORDS_MAX);
        let (edges, started) = mpsc::channel(8);
        let (queue, pictures) = mpsc::channel(POSTS_MAX);
        let (scores, told) = sync_channel(SCORES_MAX);
        let posts = Arc::new(Posts::new(scores, Arc::clone(&counts)));
        let hub = Arc::new(Hub::new(Arc::clone(&about), Arc::clone(&posts)));
        let asked = Arc::clone(&wanted);
        let server = Server {
            about: Arc::clone(&about),
            config: config.clone(),
            hub: Arc::clone(&hub),
            posts: Arc::clone(&posts),
            queue,
            look,
            ask: Box::new(move || {
                asked.store(true, Ordering::Release);
                wake();
            }),
            unseen: Arc::clone(&unseen),
            bodies: http::bodies(),
            streams: Arc::new(Semaphore::new(http::STREAMS_MAX)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Decoding and drawing of pictures.
            .max_blocking_threads(2)
            .thread_stack_size(1 << 20)
            .build()
            .map_err(ServiceError::Thread)?;
        let run = move || {
            runtime.block_on(async move {
                tokio::spawn(hub.hear(heard));
                tokio::spawn(feed::feed(posts, pictures, started));
                let server = Arc::new(server);
                if let Some((listener, how)) = to_frigate {
                    tokio::spawn(frigate::serve(listener, how, Arc::clone(&server)));
                }
                match listener {
                    Some(listener) => http::serve(listener, server).await,
                    None => std::future::pending().await,
                }
            });
        };
        // Not joined at the end: no client keeps the node from leaving.
        let thread = std::thread::Builder::new().name("http".into());
        thread.spawn(run).map_err(ServiceError::Thread)?;
        Ok(Self {
            addr,
            endpoint,
            tally: Tally::new(&about),
            about,
            counts,
            wanted,
            shown,
            records,
            unseen,
            edges,
            told,
            scores: BTreeMap::new(),
        })
    }

    /// Where HTTP is spoken.
    pub const fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Where Frigate's protocol is spoken.
    pub const fn endpoint(&self) -> Option<&frigate::Endpoint> {
        self.endpoint.as_ref()
    }

    /// Whether anybody waits for [`Service::show`]; once for each wish.
    pub fn wants_snapshot(&self) -> bool {
        self.wanted.swap(false, Ordering::Acquire)
    }

    /// Shows the gateway as it is now.
    pub fn show(&self, state: State) {
        let shown = Shown {
            about: Arc::clone(&self.about),
            state,
            tally: self.tally.clone(),
            posts: self.counts.now(),
        };
        self.shown.send_replace(Some(Arc::new(shown)));
    }

    /// Takes a record before it is written.
    pub fn record(&mut self, record: &Record) {
        self.tally.add(&self.about, record);
        if let Some(id) = posts::of_frame(&record.subject, self.about.own_edge) {
            self.scores.remove(&id);
        }
        if self.records.try_send(Arc::new(record.clone())).is_err() {
            self.unseen.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The score above which a frame's boxes are wanted, if it was posted.
    pub fn score(&mut self, subject: &Subject) -> Option<f32> {
        self.scores.extend(self.told.try_iter());
        while self.scores.len() > SCORES_MAX {
            // Nobody has waited for these for long.
            self.scores.pop_first();
        }
        let id = posts::of_frame(subject, self.about.own_edge)?;
        self.scores.get(&id).copied()
    }

    /// An edge has been started on this board; pictures go there through `socket` from now on.
    pub fn edge_started(&self, socket: UnixStream) {
        // Full only when edges end faster than anybody could post.
        let _ = self.edges.try_send(socket);
    }
}

fn listen_http(at: SocketAddr, config: &Config) -> Result<(TcpListener, SocketAddr), ServiceError> {
    if config.token.is_none() && !at.ip().is_loopback() {
        return Err(ServiceError::NoToken(at));
    }
    let failed = |cause| ServiceError::Listen { addr: at, cause };
    let listener = TcpListener::bind(at).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

/// Listens for Frigate; the endpoint of what is returned has the port that the system chose.
fn listen_frigate(
    how: frigate::Config,
    about: &About,
) -> Result<(frigate::Listener, frigate::Config), ServiceError> {
    if how.endpoint.is_reached_from_elsewhere() && how.allowed == frigate::Allowed::Nobody {
        return Err(ServiceError::NobodyAllowed(how.endpoint));
    }
    if about.own_edge.is_none() {
        return Err(ServiceError::NoEdge);
    }
    let listened = how.endpoint.listen();
    let bound = listened.and_then(|l| l.endpoint().map(|endpoint| (l, endpoint)));
    let (listener, endpoint) = bound.map_err(|cause| ServiceError::ListenFrigate {
        endpoint: how.endpoint.clone(),
        cause,
    })?;
    Ok((listener, frigate::Config { endpoint, ..how }))
}

#[cfg(test)]
mod tests;
