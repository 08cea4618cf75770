//! Answers. Each knows its length, since some clients cannot read a body in chunks: only the live picture, which has no end,
//! has none.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};

/// A body.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
pub type Answer = Response<Body>;

/// Bytes of a kind.
pub fn bytes(status: StatusCode, kind: &'static str, bytes: Bytes) -> Answer {
    let len = bytes.len();
    let mut answer = Response::new(Full::new(bytes).boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// JSON.
pub fn json(status: StatusCode, value: &Value) -> Answer {
    bytes(status, "application/json", format!("{value}\n").into())
}

/// An error that has no more to say than its words.
pub fn error(status: StatusCode, what: &str) -> Answer {
    json(
        status,
        &json!({ "success": false, "error": what, "code": status.as_u16() }),
    )
}
