//! A posted picture is computed by the cluster, and its answer is what the network finds.

use anyhow::{Context, Result};
use serde_json::Value;
use tessera_tests::{rig::wait_for, shipped::expected};

use crate::common::{DETECT, LONG, Served, picture};

/// Checks the answer for the demo's picture against the Python reference.
pub fn check(answer: &Value) -> Result<()> {
    let expected = expected()?;
    assert_eq!(answer["success"], true, "{answer}");
    let all = answer["predictions"].as_array().context("predictions")?;
    assert_eq!(all.len(), expected.detections.len(), "{answer}");
    let score = |p: &Value| p["confidence"].as_f64().unwrap();
    assert!(
        all.windows(2).all(|w| score(&w[0]) >= score(&w[1])),
        "{answer}"
    );
    let names = ["ball", "box", "triangle", "star", "ring"];
    for want in &expected.detections {
        let [cx, cy, w, h] = want.bbox().map(f64::from);
        let edges = [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0];
        let sides = [640.0, 480.0, 640.0, 480.0];
        let near = |p: &&Value| {
            let keys = ["x_min", "y_min", "x_max", "y_max"];
            let found = keys.map(|k| p[k].as_i64().map(|v| v as f64));
            p["label"] == names[want.class]
                && (found.iter().zip(edges).zip(sides)).all(|((found, edge), side)| {
                    let edge = (edge * side).clamp(0.0, side);
                    found.is_some_and(|f| (f - edge).abs() < 6.0 && (0.0..=side).contains(&f))
                })
        };
        assert!(
            all.iter().any(|p| near(&p)),
            "no {}: {answer}",
            names[want.class]
        );
    }
    Ok(())
}

#[test]
fn a_posted_picture_is_a_frame_of_the_cluster() -> Result<()> {
    let served = Served::start(1, &[])?;
    served.joined(2)?;
    let mut client = served.client()?;
    let answer = client.post(DETECT, Some(&picture()), &[("api_key", "")])?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json()?;
    check(&answer)?;
    for (key, value) in [
        ("code", Value::from(200)),
        ("command", "detect".into()),
        ("message", answer["message"].clone()),
        ("count", 6.into()),
        ("image_width", 640.into()),
    ] {
        assert_eq!(answer[key], value, "{answer}");
    }
    assert!(
        answer["timestampUTC"]
            .as_str()
            .is_some_and(|t| t.ends_with(" GMT"))
    );
    // The frame has a record like any other.
    let records = served.cluster.wait_records(1, LONG)?;
    assert_eq!(
        (&records[0]["source"], &records[0]["file"]),
        (&65_535.into(), &"post-1".into())
    );
    // Over the same connection, by the other paths and with the query's values.
    for path in [
        "/v1/vision/custom/general",
        "/v1/vision/custom/demo-3x3-x86-64-v3",
        "/v1/vision/detection?min_confidence=0.4",
    ] {
        let answer = client.post(path, Some(&picture()), &[])?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        check(&answer.json()?)?;
    }
    let other = client.post("/v1/vision/custom/ipcam-animal", Some(&picture()), &[])?;
    assert_eq!(other.status, 404);
    other.json()?;
    // An answer does not wait until its record is written.
    let status = wait_for(LONG, || {
        let status = client.get("/v1/status")?.json()?;
        Ok((status["frames"]["computed"] == 4).then_some(status))
    })?;
    assert_eq!(status["posts"]["ended"]["ok"], 4, "{status}");
    assert_eq!(status["frames"]["last"][0]["name"], "post-4");
    let metrics = client.get("/metrics")?.text();
    let ok = "tessera_frames_total{source=\"gateway\",result=\"ok\"} 4\n";
    assert!(metrics.contains(ok), "{metrics}");
    let balls = "tessera_detections_total{source=\"gateway\",class=\"ball\"} 8\n";
    assert!(metrics.contains(balls), "{metrics}");
    served.stop()
}

#[test]
fn a_request_sets_the_threshold_of_its_picture() -> Result<()> {
    // The gateway's own threshold would leave all out.
    let served = Served::start(0, &["--thresh", "0.9999"])?;
    served.joined(1)?;
    let mut client = served.client()?;
    let mut found = |confidence: &str| -> Result<usize> {
        let parts = [("min_confidence", confidence)];
        let answer = client.post(DETECT, Some(&picture()), &parts)?.json()?;
        Ok(answer["predictions"]
            .as_array()
            .context("predictions")?
            .len())
    };
    assert_eq!(found("0.45")?, 6);
    assert!((1..6).contains(&found("0.992")?));
    assert_eq!(found("1")?, 0);
    assert!(found("0")? >= 6);
    served.stop()
}
