//! Carries posted pictures to the edge on this board, one after the other. While that edge takes no more, they wait here.

use std::{os::unix::net::UnixStream as StdStream, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::Receiver,
    task::JoinHandle,
};

use crate::{
    edge_line::{HEAD_BYTES, TEXT_BYTES_MAX, head, read_head},
    posts::{Outcome, Posts},
};

/// Sends pictures, named by `queue`, to the last of `edges`. Runs until the gateway ends.
pub async fn feed(posts: Arc<Posts>, mut queue: Receiver<u64>, mut edges: Receiver<StdStream>) {
    let (mut edge, mut count) = (None::<Edge>, 0);
    loop {
        tokio::select! {
            // Pictures for an edge that is gone go to the next one.
            biased;
            started = edges.recv() => {
                let Some(socket) = started else { return };
                count += 1;
                edge = connect(socket).map(|(from, to)| Edge {
                    to,
                    hearing: tokio::spawn(hear(from, Arc::clone(&posts), count)),
                });
            }
            () = ended(&mut edge) => edge = None,
            id = queue.recv(), if edge.is_some() => {
                let Some(id) = id else { return };
                let Some(picture) = posts.send(id, count) else { continue };
                let Some(Edge { to, .. }) = &mut edge else { continue };
                let sent = async {
                    to.write_all(&head(id, picture.len())).await?;
                    to.write_all(&picture).await
                };
                if sent.await.is_err() {
                    posts.end(id, Outcome::EdgeLost);
                    edge = None;
                }
            }
        }
    }
}

/// An edge that runs.
struct Edge {
    to: OwnedWriteHalf,
    /// Ends with the edge.
    hearing: JoinHandle<()>,
}

/// Waits for the end of an edge; without one, for ever.
async fn ended(edge: &mut Option<Edge>) {
    match edge {
        Some(edge) => {
            let _ = (&mut edge.hearing).await;
        }
        None => std::future::pending().await,
    }
}

fn connect(socket: StdStream) -> Option<(OwnedReadHalf, OwnedWriteHalf)> {
    let connected = socket
        .set_nonblocking(true)
        .and_then(|()| UnixStream::from_std(socket));
    if let Err(e) = &connected {
        tracing::error!("posted pictures cannot be computed: {e}");
    }
    Some(connected.ok()?.into_split())
}

/// Hears of pictures that the edge refuses, until it ends.
async fn hear(mut from: OwnedReadHalf, posts: Arc<Posts>, edge: u64) {
    let mut head = [0; HEAD_BYTES];
    while from.read_exact(&mut head).await.is_ok() {
        let Some((id, len)) = read_head(&head, TEXT_BYTES_MAX) else {
            break;
        };
        let mut text = vec![0; len];
        if from.read_exact(&mut text).await.is_err() {
            break;
        }
        posts.end(
            id,
            Outcome::Refused(String::from_utf8_lossy(&text).into_owned()),
        );
    }
    posts.lose(edge);
}
