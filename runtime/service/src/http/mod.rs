//! Connections: few at a time, each with a limit on the time of a request's head.

mod answer;
mod ask;
mod detect;
mod dialect;
mod route;
mod status;
mod stream;

pub use detect::bodies;
pub use stream::STREAMS_MAX;

use std::{
    convert::Infallible,
    fmt,
    net::TcpListener as StdListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
};

use crate::{Config, hub::Hub, posts::Posts, shown::Shown, state::About};

/// Most connections at a time; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;
/// Time that a client has for a request's head, and that a kept connection may be idle.
const HEAD_WITHIN: Duration = Duration::from_secs(75);
/// Pause after the system gave no connection, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Time within which the loop shows itself, or counts as stuck.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// What requests are answered from.
pub struct Server {
    /// What is always true.
    pub about: Arc<About>,
    /// How the service is reached.
    pub config: Config,
    /// The last frames.
    pub hub: Arc<Hub>,
    /// Posted pictures.
    pub posts: Arc<Posts>,
    /// Pictures for the edge of this board, by number.
    pub queue: mpsc::Sender<u64>,
    /// The gateway as it last showed itself.
    pub look: watch::Receiver<Option<Arc<Shown>>>,
    /// Asks the loop to show itself.
    pub ask: Box<dyn Fn() + Send + Sync>,
    /// Records that came too fast to be seen here.
    pub unseen: Arc<AtomicU64>,
    /// Bytes of bodies that may be read now.
    pub bodies: Semaphore,
    /// Live pictures that may begin now.
    pub streams: Arc<Semaphore>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// The gateway as it is now; `None` when its loop does not turn, or it is about to be gone.
    pub async fn look(&self) -> Option<Arc<Shown>> {
        let mut look = self.look.clone();
        look.mark_unchanged();
        (self.ask)();
        tokio::time::timeout(LOOK_WITHIN, look.changed())
            .await
            .ok()?
            .ok()?;
        look.borrow().clone()
    }

    /// Records that came too fast to be seen here.
    pub fn unseen(&self) -> u64 {
        self.unseen.load(Ordering::Relaxed)
    }
}

/// Accepts connections until the process ends.
pub async fn serve(listener: StdListener, server: Arc<Server>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("the HTTP service cannot run: {e}"),
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Answers are whole: nothing is gained by waiting for more of them.
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(route::route(server, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .serve_connection(TokioIo::new(stream), service);
            // Clients may leave whenever they like.
            let _ = connection.await;
            drop(permit);
        });
    }
}
