//! Frigate's ZeroMQ detector protocol: Frigate's plug-in `zmq` sends pieces of its cameras' pictures as tensors, and gets rows of
//! objects.
//!
//! | module | is |
//! |---|---|
//! | `endpoint` | where Frigate connects to, and who may |
//! | `connection` | one REQ socket of Frigate, from its greeting to its end |
//! | `ask` | what a request means |
//! | `tensor` | a tensor as a picture |
//! | `rows` | a record as rows |
//!
//! The plug-in is brittle, so some rules hold for every answer: a request that cannot be answered in time, or makes no sense, gets
//! rows without objects, since silence costs Frigate a new handshake, and a reply of another size ends its detector. A request
//! for a model is always granted, since the plug-in asks once in its life.

mod ask;
mod connection;
mod endpoint;
mod rows;
mod tensor;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

pub use endpoint::{Allowed, Endpoint, EndpointError, Listener};
use tokio::sync::Semaphore;

use crate::http::Server;

/// Most connections at a time: more detectors than any Frigate has. Further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 16;
/// Pause after the system gave no connection, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How Frigate reaches this gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub endpoint: Endpoint,
    /// Who may connect from other machines.
    pub allowed: Allowed,
    /// Time that a tensor has from its last byte to its answer. It must be shorter than the plug-in's `request_timeout_ms`.
    pub deadline: Duration,
}

/// What all connections know.
struct Shared {
    config: Config,
    server: Arc<Server>,
    /// It was said that tensors have another size than the network's input.
    said_size: AtomicBool,
}

/// Accepts connections until the process ends.
pub async fn serve(listener: Listener, config: Config, server: Arc<Server>) {
    let listener = match listener.for_tokio() {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("Frigate's detector protocol cannot be spoken: {e}"),
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let shared = Arc::new(Shared {
        config,
        server,
        said_size: AtomicBool::new(false),
    });
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let who = peer.shown();
        if !shared.config.allowed.may(peer) {
            tracing::warn!("{who} may not connect: --zmq-allow does not name it");
            // Whoever is refused tries again and again.
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            connection::serve(stream, &who, &shared).await;
            drop(permit);
        });
    }
}
