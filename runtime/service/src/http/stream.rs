//! The last picture with its boxes: once, or as often as there is a new one.
//!
//! A gateway has the pixels of posted pictures alone: frames of other sources stay on their boards, of which it gets feature
//! maps.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, channel::Channel};
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Server,
    answer::{self, Answer},
};
use crate::hub::{Hub, Seen};

/// Most live pictures at a time: each holds a connection.
pub const STREAMS_MAX: usize = 8;
/// A live picture is sent again after so long without a new one, so that a client that has gone is noticed.
const AGAIN: Duration = Duration::from_secs(10);
/// Parts that wait for a slow client: it misses what comes meanwhile.
const WAITING_PARTS: usize = 1;

const BOUNDARY: &str = "tessera-frame";

const NOTHING: &str = "no picture has been posted yet; frames of other sources stay on their boards, so the gateway cannot show them";

/// The last picture.
pub async fn snapshot(server: &Server) -> Answer {
    let seen = server.hub.seen().borrow().clone();
    let Some(seen) = seen else {
        return answer::error(StatusCode::NOT_FOUND, NOTHING);
    };
    match server.hub.drawn(&seen).await {
        Ok(jpeg) => answer::bytes(StatusCode::OK, "image/jpeg", jpeg),
        Err(why) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

/// All pictures from the last one on, as browsers show them in an `<img>`.
pub fn stream(server: &Server) -> Answer {
    let Ok(permit) = Arc::clone(&server.streams).try_acquire_owned() else {
        return answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many watch already; close one of them",
        );
    };
    let (parts, body) = Channel::<Bytes, std::convert::Infallible>::new(WAITING_PARTS);
    tokio::spawn(send(Arc::clone(&server.hub), parts, permit));
    let mut answer = Response::new(body.boxed_unsync());
    let headers = answer.headers_mut();
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

async fn send(
    hub: Arc<Hub>,
    mut parts: http_body_util::channel::Sender<Bytes>,
    permit: OwnedSemaphorePermit,
) {
    let mut seen = hub.seen();
    if parts
        .send_data(format!("--{BOUNDARY}\r\n").into())
        .await
        .is_err()
    {
        return;
    }
    loop {
        let now: Option<Arc<Seen>> = seen.borrow_and_update().clone();
        if let Some(now) = now
            && let Ok(jpeg) = hub.drawn(&now).await
        {
            // The next boundary follows at once: browsers show a picture when it has come.
            let head = format!(
                "Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                jpeg.len()
            );
            let end = format!("\r\n--{BOUNDARY}\r\n");
            for piece in [head.into(), jpeg, end.into()] {
                if parts.send_data(piece).await.is_err() {
                    return;
                }
            }
        }
        if let Ok(Err(_)) = timeout(AGAIN, seen.changed()).await {
            break;
        }
    }
    drop(permit);
}
