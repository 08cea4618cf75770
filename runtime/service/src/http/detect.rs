//! A posted picture, from its request to its answer.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    Request, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Server,
    answer::{self, Answer},
    ask,
};
use crate::{
    detection::{self, CONFIDENCE_MIN, Form, Profile, Wish},
    edge_line::PICTURE_BYTES_MAX,
    picture,
    posts::{End, Outcome, Via},
};

/// Most bytes of a body: a picture, and what a form puts around it.
const BODY_BYTES_MAX: usize = PICTURE_BYTES_MAX + (64 << 10);
/// Most bytes of all bodies that are read at a time.
const BODIES_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// Bytes of a body that is refused which are read all the same: a client that is still writing could not read its answer.
const DISCARDED_BYTES_MAX: usize = 64 << 20;
/// Time for that.
const DISCARD_WITHIN: Duration = Duration::from_secs(10);
/// A body without a length counts as so long until it is there.
const UNKNOWN_BYTES: usize = BODY_BYTES_MAX;

/// The network that a path names: none for the usual path; `None` when the path is not one of detection.
pub fn model(path: &str) -> Option<Option<&str>> {
    if path == "/v1/vision/detection" {
        return Some(None);
    }
    let model = path.strip_prefix("/v1/vision/custom/")?;
    (model != "list" && !model.is_empty() && !model.contains('/')).then_some(Some(model))
}

/// Why there are no detections.
struct Failure {
    /// DeepStack's status code.
    status: u16,
    /// The words that clients know.
    error: String,
    /// What happened, for people.
    message: String,
    end: End,
}

impl Failure {
    fn new(status: u16, error: impl ToString, message: impl ToString, end: End) -> Self {
        Self {
            status,
            error: error.to_string(),
            message: message.to_string(),
            end,
        }
    }

    fn full() -> Self {
        let message = "too many pictures wait for their detections; send this one again later";
        Self::new(503, "the server is busy", message, End::Full)
    }

    fn late() -> Self {
        let error = "failed to process request before timeout";
        Self::new(
            500,
            error,
            "the cluster did not compute the picture in time",
            End::Late,
        )
    }

    fn failed(why: &str) -> Self {
        Self::new(500, "error occured on the server", why, End::Failed)
    }
}

/// Answers a posted picture.
pub async fn detect(
    server: &Server,
    request: Request<Incoming>,
    query: Vec<(String, String)>,
    known: bool,
    model: Option<&str>,
) -> Answer {
    let begun = Instant::now();
    let mut profile = server.config.profile;
    if let Some((_, text)) = query.iter().find(|(n, _)| n == "profile") {
        match text.parse() {
            Ok(asked) => profile = asked,
            Err(why) => {
                discard(request.into_body()).await;
                return answer::error(StatusCode::BAD_REQUEST, why);
            }
        }
    }
    let done = compute(server, request, query, known, model, begun).await;
    let took = begun.elapsed();
    let done = done
        .and_then(|(record, wish)| detection::found(&record, wish, took).map_err(Failure::failed));
    let counts = server.posts.counts();
    match done {
        Ok(value) => {
            counts.ended(Via::Http, End::Ok);
            answer::json(StatusCode::OK, &value)
        }
        Err(failure) => {
            counts.ended(Via::Http, failure.end);
            failed(&failure, profile, took)
        }
    }
}

fn failed(failure: &Failure, profile: Profile, took: Duration) -> Answer {
    let value = detection::failure(failure.status, &failure.error, &failure.message, took);
    let status = StatusCode::from_u16(profile.status(failure.status));
    let mut answer = answer::json(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &value);
    if failure.end == End::Full {
        let headers = answer.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

type Computed = (Arc<tessera_plan::files::records::Record>, Wish);

async fn compute(
    server: &Server,
    request: Request<Incoming>,
    query: Vec<(String, String)>,
    known: bool,
    model: Option<&str>,
    begun: Instant,
) -> Result<Computed, Failure> {
    let until = begun + server.config.deadline;
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind
        .and_then(|k| k.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = timeout_at(until, read(server, request.into_body()))
        .await
        .map_err(|_| Failure::late())??;
    let form = Form::read(&kind, body, query).await;
    let may = known
        || server.config.token.as_deref().is_none_or(|wanted| {
            let key = form.text("api_key");
            key.is_some_and(|key| ask::is_token(wanted, key))
        });
    if !may {
        let message = "give the service's token as api_key, or as the header Authorization: Bearer";
        return Err(Failure::new(
            401,
            "Incorrect api key",
            message,
            End::Invalid,
        ));
    }
    let own = ["general", &*server.about.program];
    if let Some(model) = model.filter(|m| !own.contains(m)) {
        let message = format!(
            "this cluster computes {}, not {model}",
            server.about.program
        );
        return Err(Failure::new(404, "no such model", message, End::Invalid));
    }
    if server.about.own_edge.is_none() {
        let message = "the gateway's board has no edge, through which pictures enter the cluster: start it with --workers 1";
        return Err(Failure::new(
            503,
            "Detection endpoint not activated",
            message,
            End::Failed,
        ));
    }
    let invalid = |e: detection::FormError| Failure::new(400, e, e, End::Invalid);
    let wish = form.wish().map_err(invalid)?;
    let picture = form.picture().map_err(invalid)?;
    if picture.len() > PICTURE_BYTES_MAX {
        return Err(too_large());
    }
    let looked = picture.clone();
    let look = move || tessera_picture::check_bytes("the picture", &looked, picture::READING);
    let sound = timeout_at(until, tokio::task::spawn_blocking(look)).await;
    match sound.map_err(|_| Failure::late())? {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Err(Failure::new(400, "invalid image file", e, End::Invalid)),
        Err(e) => return Err(Failure::failed(&e.to_string())),
    }
    let score = wish.confidence.max(CONFIDENCE_MIN);
    let mut place = server
        .posts
        .enter(picture, score)
        .ok_or_else(Failure::full)?;
    // As many places as the queue has.
    server
        .queue
        .try_send(place.id)
        .map_err(|_| Failure::full())?;
    match timeout_at(until, &mut place.outcome).await {
        Err(_) => Err(Failure::late()),
        Ok(Ok(Outcome::Record(record))) => Ok((record, wish)),
        Ok(Ok(Outcome::Refused(why))) => {
            Err(Failure::new(400, "invalid image file", why, End::Invalid))
        }
        Ok(Ok(Outcome::EdgeLost) | Err(_)) => Err(Failure::failed(
            "the edge of the gateway's board ended meanwhile",
        )),
    }
}

fn too_large() -> Failure {
    let message = format!("a picture may have {} MiB", PICTURE_BYTES_MAX >> 20);
    Failure::new(413, "the picture is too large", message, End::Invalid)
}

/// Reads a body within its bounds, and leaves nothing unread that a client may still be writing.
async fn read(server: &Server, mut body: Incoming) -> Result<Bytes, Failure> {
    let hint = body.size_hint();
    let exact = hint
        .exact()
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let refused = if exact.is_some_and(|n| n > BODY_BYTES_MAX) {
        Some(too_large())
    } else {
        None
    };
    let weight = u32::try_from(exact.unwrap_or(UNKNOWN_BYTES)).unwrap_or(u32::MAX);
    let room = match refused {
        Some(refused) => Err(refused),
        None => server
            .bodies
            .try_acquire_many(weight)
            .map_err(|_| Failure::full()),
    };
    let _room = match room {
        Ok(room) => room,
        Err(failure) => {
            discard(body).await;
            return Err(failure);
        }
    };
    let mut all = BytesMut::with_capacity(exact.unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let gone = |_| {
            Failure::new(
                400,
                "No valid image file found",
                "the body ended early",
                End::Invalid,
            )
        };
        let Ok(data) = frame.map_err(gone)?.into_data() else {
            continue;
        };
        if all.len() + data.len() > BODY_BYTES_MAX {
            discard(body).await;
            return Err(too_large());
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

async fn discard(mut body: Incoming) {
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARDED_BYTES_MAX {
                break;
            }
        }
    };
    let _ = timeout(DISCARD_WITHIN, read).await;
}

/// Room for bodies that are read.
pub fn bodies() -> tokio::sync::Semaphore {
    tokio::sync::Semaphore::new(BODIES_BYTES_MAX)
}
