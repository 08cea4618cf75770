//! Health, metrics, status, and what every path answers.

use anyhow::{Context, Result};
use tessera_tests::rig::{Edge, End, SHORT, wait_for};

use crate::common::{LONG, Served, picture};

/// The value of a series.
pub fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|l| l.strip_prefix(series))?;
    line.trim().parse().ok()
}

#[test]
fn a_gateway_says_whether_it_is_ready_and_what_it_counts() -> Result<()> {
    let mut served = Served::start_with(0, &[])?;
    let mut client = served.client()?;
    assert_eq!(client.get("/healthz")?.json()?["status"], "ok");
    let answer = client.get("/readyz")?;
    assert_eq!(answer.status, 503);
    let why = answer.json()?["reasons"].to_string();
    assert!(why.contains("no board has joined"), "{why}");
    // Without an edge on this board there is no way in for pictures.
    let answer = client.post(crate::common::DETECT, Some(&picture()), &[])?;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("--workers"), "{}", answer.text());

    served.cluster.join(&Edge::thief(1))?;
    served.joined(1)?;
    let answer = client.get("/readyz")?;
    assert_eq!(
        (answer.status, answer.json()?["ready"].clone()),
        (200, true.into())
    );

    let classic = client.get("/metrics")?;
    assert_eq!(
        classic.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(
        value(&classic.text(), "tessera_edge_up{edge=\"edge-1\"}"),
        Some(1.0)
    );
    let accept = [(
        "accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    )];
    let open = client.ask("GET", "/metrics", &accept, b"")?;
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = open.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(
        value(&text, "tessera_node_events_total{event=\"joined\"}"),
        Some(1.0)
    );

    // An edge that is gone stays a series.
    served.cluster.edges[0].kill()?;
    wait_for(LONG, || {
        let text = client.get("/metrics")?.text();
        let up = value(&text, "tessera_edge_up{edge=\"edge-1\"}").context("the series")?;
        Ok((up == 0.0).then_some(()))
    })?;
    // Its own end in good order; the edge was killed.
    assert_eq!(served.cluster.gateway.stop(SHORT)?, End::Code(0));
    Ok(())
}

#[test]
fn every_path_answers_json_of_a_known_length() -> Result<()> {
    let served = Served::start(0, &[])?;
    let mut client = served.client()?;
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/no/such/path", 404),
        ("GET", "/v1/vision/detection", 405),
        ("POST", "/", 405),
        ("PUT", "/metrics", 405),
        ("GET", "/snapshot.jpg", 404),
        ("POST", "/v1/vision/scene", 403),
        ("POST", "/v1/vision/face/register", 403),
        ("POST", "/v1/vision/custom/list", 200),
        ("GET", "/v1/status/ping", 200),
        ("GET", "/v1/server/status/version", 200),
        ("GET", "/v1/status/updateavailable", 200),
        ("GET", "/v1/status/nothing", 404),
        ("POST", "/v1/vision/detection", 400),
    ] {
        let answer = client.ask(method, path, &[], b"").context(path)?;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        answer.json().context(path)?;
    }
    // A head says how long the answer would be.
    let body = client.get("/")?.body;
    let head = client.ask("HEAD", "/", &[], b"")?;
    assert_eq!(head.status, 200);
    assert_eq!(
        head.header("content-length"),
        Some(&*body.len().to_string())
    );
    // Pages of other sites, whose names were made to lead here, get nothing.
    let evil = client.ask("GET", "/v1/status", &[("host", "evil.example")], b"")?;
    assert_eq!(
        (evil.status, evil.json()?["success"].clone()),
        (403, false.into())
    );
    served.stop()
}
