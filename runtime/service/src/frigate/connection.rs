//! One REQ socket of Frigate, from its greeting to its end.
//!
//! While a tensor is computed, the connection is watched: Frigate gives a late reply up by closing its socket, and the picture is
//! then left out if its turn has not come.

use std::{
    collections::BTreeSet,
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tessera_zmtp::{Limits, Peer, Request, Violation};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    Shared,
    ask::{self, Ask},
    endpoint::Stream,
    rows::{self, NOTHING, Reply, SCORE_MIN},
};
use crate::{
    http::Server,
    posts::{End, Outcome, Via},
};

/// Time from a connection's first byte to its READY.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Longest pause inside a message, and longest time that a peer may leave a reply unread.
const STALL: Duration = Duration::from_secs(30);
/// Longest time that an answer about the model waits for a cluster that can compute. Below 10 seconds: after a time-out, Frigate
/// asks inside a detection, and takes one of 10 seconds for stuck.
const READY_WITHIN: Duration = Duration::from_secs(8);
/// Between two looks at the cluster meanwhile.
const READY_EVERY: Duration = Duration::from_millis(250);
/// Longest frame that is kept, in bytes, whatever the network: 640 x 640 x 3 float32.
const KEPT_BYTES_MIN: usize = 640 * 640 * 3 * 4;
/// Longest frame that is skipped, in bytes: a model's file may come.
const FRAME_BYTES_MAX: u64 = 1 << 30;
/// Most frames of a message.
const FRAMES_MAX: usize = 8;
/// Most bytes that are taken while a reply is made.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// Why a connection ended.
enum Gone {
    /// The peer closed it.
    Closed,
    /// The peer was too slow.
    Slow,
    /// The peer broke the protocol.
    Violation(Violation),
}

struct Wire {
    stream: Box<dyn Stream>,
    peer: Peer,
    /// Bytes that came.
    input: BytesMut,
    /// Bytes that are to be written.
    unsent: Bytes,
    /// A request that came before its turn.
    early: Option<Request>,
}

impl Wire {
    fn new(stream: Box<dyn Stream>, limits: Limits) -> Self {
        Self {
            stream,
            peer: Peer::new(limits),
            input: BytesMut::new(),
            unsent: Bytes::new(),
            early: None,
        }
    }

    /// Writes what is to be written. Nothing is lost when this is given up in the middle.
    async fn flush(&mut self) -> Result<(), Gone> {
        loop {
            if self.unsent.is_empty() {
                self.unsent = self.peer.output();
            }
            if self.unsent.is_empty() {
                return Ok(());
            }
            match timeout(STALL, self.stream.write_buf(&mut self.unsent)).await {
                Err(_) => return Err(Gone::Slow),
                Ok(Ok(1..)) => {}
                Ok(_) => return Err(Gone::Closed),
            }
        }
    }

    async fn read(&mut self) -> Result<(), Gone> {
        self.peer.make_room(&mut self.input);
        match self.stream.read_buf(&mut self.input).await {
            Ok(1..) => Ok(()),
            _ => Err(Gone::Closed),
        }
    }

    /// The next request. `hello_until` is when the peer must be ready.
    async fn request(&mut self, hello_until: Instant) -> Result<Request, Gone> {
        if let Some(request) = self.early.take() {
            return Ok(request);
        }
        loop {
            let next = self.peer.next(&mut self.input);
            self.flush().await?;
            if let Some(request) = next.map_err(Gone::Violation)? {
                return Ok(request);
            }
            let is_ready = self.peer.is_ready();
            let is_inside = self.peer.is_inside_message();
            let read = self.read();
            if is_ready && !is_inside {
                // A camera without motion asks for nothing.
                read.await?;
            } else {
                let until = if is_ready {
                    Instant::now() + STALL
                } else {
                    hello_until
                };
                timeout_at(until, read).await.map_err(|_| Gone::Slow)??;
            }
        }
    }

    /// Waits for `what`, and for the end of the connection meanwhile.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::select! {
            biased;
            done = what => Ok(done),
            gone = self.watch() => Err(gone),
        }
    }

    /// Answers a peer that asks whether this end is there, until the peer is gone.
    async fn watch(&mut self) -> Gone {
        loop {
            if self.early.is_some() || self.input.len() > AHEAD_BYTES_MAX {
                return pending().await;
            }
            if let Err(gone) = self.read().await {
                return gone;
            }
            match self.peer.next(&mut self.input) {
                Ok(request) => self.early = request,
                Err(violation) => return Gone::Violation(violation),
            }
            if let Err(gone) = self.flush().await {
                return gone;
            }
        }
    }

    async fn reply(&mut self, request: &Request, body: &[u8]) -> Result<(), Gone> {
        self.flush().await?;
        self.unsent = request.reply(&[body]);
        self.flush().await
    }
}

/// Serves a connection until its end.
pub async fn serve(stream: Box<dyn Stream>, who: &str, shared: &Arc<Shared>) {
    let [h, w, c] = shared.server.about.input;
    let limits = Limits {
        kept_bytes_max: (h * w * c * 4).max(KEPT_BYTES_MIN) as u64,
        frame_bytes_max: FRAME_BYTES_MAX,
        frames_max: FRAMES_MAX,
    };
    let mut connection = Connection {
        wire: Wire::new(stream, limits),
        shared: Arc::clone(shared),
        said: BTreeSet::new(),
    };
    match connection.run().await {
        Gone::Closed => {}
        Gone::Slow => tracing::warn!("{who} stands still in the middle of a message: disconnected"),
        Gone::Violation(why) => tracing::warn!("{who} is disconnected: {why}"),
    }
}

struct Connection {
    wire: Wire,
    shared: Arc<Shared>,
    /// What was complained of.
    said: BTreeSet<&'static str>,
}

impl Connection {
    async fn run(&mut self) -> Gone {
        let hello_until = Instant::now() + HELLO_WITHIN;
        loop {
            let answered = async {
                let request = self.wire.request(hello_until).await?;
                self.answer(&request).await
            };
            if let Err(gone) = answered.await {
                // The last word, which says why.
                let _ = timeout(Duration::from_secs(1), self.wire.flush()).await;
                return gone;
            }
        }
    }

    async fn answer(&mut self, request: &Request) -> Result<(), Gone> {
        let shared = Arc::clone(&self.shared);
        let counts = shared.server.posts.counts();
        match Ask::read(request) {
            Ask::Model(name) => {
                self.wire.meanwhile(ready(&shared.server)).await?;
                self.tell(request, &ask::model(&name)).await
            }
            Ask::ModelData(name) => self.tell(request, &ask::model_data(&name)).await,
            Ask::Tensor { picture, size } => {
                self.compare(size);
                let until = Instant::now() + shared.config.deadline;
                let done = self
                    .wire
                    .meanwhile(compute(&shared.server, picture, until))
                    .await;
                let (reply, end, why) = match done? {
                    Ok(reply) => (reply, End::Ok, None),
                    Err((end, why)) => (NOTHING, end, Some(why)),
                };
                counts.ended(Via::Zmq, end);
                if let Some(why) = why {
                    self.complain(why);
                }
                self.wire.reply(request, &reply).await
            }
            Ask::Nonsense(why) => {
                if self.said.insert("nonsense") {
                    tracing::warn!(
                        "a request for detection makes no sense, and gets no objects: {why}"
                    );
                }
                counts.ended(Via::Zmq, End::Invalid);
                self.wire.reply(request, &NOTHING).await
            }
        }
    }

    async fn tell(&mut self, request: &Request, value: &Value) -> Result<(), Gone> {
        self.wire.reply(request, value.to_string().as_bytes()).await
    }

    /// Says once when tensors have another size than the network.
    fn compare(&self, [h, w]: [usize; 2]) {
        let [height, width, _] = self.shared.server.about.input;
        if [h, w] != [height, width] && !self.shared.said_size.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Frigate sends tensors of {w} x {h} pixels, and the network takes {width} x {height}: each is resized. \
                 Set width: {width} and height: {height} below model: in Frigate's configuration"
            );
        }
    }

    fn complain(&mut self, why: &'static str) {
        if self.said.insert(why) {
            tracing::warn!("Frigate gets no objects for a picture: {why}");
        }
    }
}

/// Waits until the cluster can compute, for a time.
async fn ready(server: &Server) {
    let until = Instant::now() + READY_WITHIN;
    while Instant::now() < until {
        let shown = server.look().await;
        if shown.is_some_and(|shown| shown.hindrances().is_empty()) {
            return;
        }
        sleep(READY_EVERY).await;
    }
}

/// What a picture shows; otherwise how it ended, and why.
async fn compute(
    server: &Server,
    picture: Bytes,
    until: Instant,
) -> Result<Reply, (End, &'static str)> {
    let full = (End::Full, "too many pictures wait");
    let mut place = server.posts.enter(picture, SCORE_MIN).ok_or(full)?;
    server.queue.try_send(place.id).map_err(|_| full)?;
    match timeout_at(until, &mut place.outcome).await {
        Err(_) => Err((
            End::Late,
            "the cluster did not compute it within --zmq-deadline",
        )),
        Ok(Ok(Outcome::Record(record))) => {
            let dropped = (End::Failed, "its frame was dropped");
            rows::rows(&record).ok_or(dropped)
        }
        Ok(Ok(Outcome::Refused(_))) => Err((End::Invalid, "the edge of this board refused it")),
        Ok(Ok(Outcome::EdgeLost) | Err(_)) => {
            Err((End::Failed, "the edge of this board ended meanwhile"))
        }
    }
}
