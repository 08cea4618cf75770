//! What a gateway speaks over HTTP: health, metrics, status, the detection of posted pictures, the last picture.
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

#![forbid(unsafe_code)]

mod detection;
pub mod edge_line;
mod feed;
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
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What clients must know; needed off loopback.
    pub token: Option<String>,
    /// How failures of detection are told, if a request does not say.
    pub profile: Profile,
    /// Time that a posted picture has from its request's first byte to its answer.
    pub deadline: Duration,
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
    /// The system gives no thread.
    #[error("cannot start the HTTP service: {0}")]
    Thread(io::Error),
}

/// The loop's end of the service. No call waits.
#[derive(Debug)]
pub struct Service {
    addr: SocketAddr,
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
        if config.token.is_none() && !config.listen.ip().is_loopback() {
            return Err(ServiceError::NoToken(config.listen));
        }
        let failed = |cause| ServiceError::Listen {
            addr: config.listen,
            cause,
        };
        let listener = TcpListener::bind(config.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
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
                http::serve(listener, Arc::new(server)).await;
            });
        };
        // Not joined at the end: no client keeps the node from leaving.
        let thread = std::thread::Builder::new().name("http".into());
        thread.spawn(run).map_err(ServiceError::Thread)?;
        Ok(Self {
            addr,
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

    /// Where the service listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
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

#[cfg(test)]
mod tests;
