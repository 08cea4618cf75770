//! Which answer a request gets.

use std::{net::SocketAddr, sync::Arc};

use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{ACCEPT, ALLOW, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY},
};
use serde_json::json;

use super::{
    Server,
    answer::{self, Answer},
    ask, detect, dialect, status, stream,
};
use crate::metrics::{self, Form};

/// Answers a request.
pub async fn route(server: Arc<Server>, request: Request<Incoming>) -> Answer {
    let query = ask::query(request.uri());
    let path = request.uri().path().to_owned();
    let headers = request.headers();
    let is_loopback = |at: SocketAddr| at.ip().is_loopback();
    if server.config.listen.is_some_and(is_loopback) && !ask::is_local(headers) {
        return answer::error(
            StatusCode::FORBIDDEN,
            "this service answers to names of this machine alone: localhost, 127.0.0.1",
        );
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_post = *request.method() == Method::POST;
    let known = server.config.token.as_deref().is_none_or(|wanted| {
        let given = ask::token(headers, &query);
        given.is_some_and(|given| ask::is_token(wanted, &given))
    });
    if let Some(model) = detect::model(&path) {
        if !is_post {
            return wrong_method("POST");
        }
        return detect::detect(&server, request, query, known, model).await;
    }
    if !known && !matches!(&*path, "/healthz" | "/readyz") {
        return answer::error(
            StatusCode::UNAUTHORIZED,
            "this needs the token: send the header \"Authorization: Bearer WORD\", or add ?token=WORD",
        );
    }
    if let Some(answer) = dialect::answer(&server, &path, is_post) {
        return answer;
    }
    let read: &[&str] = &[
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/status",
        "/snapshot.jpg",
        "/stream.mjpg",
    ];
    if !read.contains(&&*path) {
        return answer::error(
            StatusCode::NOT_FOUND,
            "no such path; GET / lists those that there are",
        );
    }
    if !is_read {
        return wrong_method("GET, HEAD");
    }
    match &*path {
        "/healthz" => match server.look().await {
            Some(_) => answer::json(StatusCode::OK, &json!({ "status": "ok" })),
            None => stuck(),
        },
        "/readyz" => match server.look().await {
            Some(shown) => {
                let why = shown.hindrances();
                let status = if why.is_empty() {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                let value = json!({ "ready": why.is_empty(), "reasons": why });
                answer::json(status, &value)
            }
            None => stuck(),
        },
        "/metrics" => {
            let accept = request.headers().get(ACCEPT);
            let form = Form::accepted(accept.and_then(|a| a.to_str().ok()));
            let Some(shown) = server.look().await else {
                return stuck();
            };
            match metrics::text(&shown, form) {
                Ok(text) => answer::bytes(StatusCode::OK, form.content_type(), text.into()),
                Err(_) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, "no metrics"),
            }
        }
        "/v1/status" => match server.look().await {
            Some(shown) => answer::json(StatusCode::OK, &status::status(&server, &shown)),
            None => stuck(),
        },
        "/snapshot.jpg" => stream::snapshot(&server).await,
        "/stream.mjpg" => stream::stream(&server),
        _ => {
            // Scripts see what there is, people a page.
            let accept = request.headers().get(ACCEPT);
            let wants_page = accept
                .and_then(|a| a.to_str().ok())
                .is_some_and(|a| a.contains("text/html"));
            if wants_page { page() } else { index(read) }
        }
    }
}

fn index(read: &[&str]) -> Answer {
    let value = json!({
        "service": "Tessera",
        "read": read,
        "post": ["/v1/vision/detection", "/v1/vision/custom/MODEL", "/v1/vision/custom/list"],
    });
    answer::json(StatusCode::OK, &value)
}

/// The page: one file, which loads nothing but this service's own paths.
fn page() -> Answer {
    const PAGE: &str = include_str!("../page.html");
    let kind = "text/html; charset=utf-8";
    let mut answer = answer::bytes(StatusCode::OK, kind, PAGE.into());
    let headers = answer.headers_mut();
    let policy = "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

fn stuck() -> Answer {
    answer::error(
        StatusCode::SERVICE_UNAVAILABLE,
        "the gateway's loop does not answer",
    )
}

fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = answer::error(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("this path takes {allowed}"),
    );
    let headers = answer.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}
