use tessera_plan::files::records::{DropReason, Found, Subject, Timing};

use super::*;

/// Runs a future that waits for nothing but memory.
fn now<T>(f: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(f)
}

fn form(parts: &str, query: &[(&str, &str)]) -> Form {
    let body = parts.replace('\n', "\r\n").into();
    let query = query.iter().map(|(n, t)| ((*n).into(), (*t).into()));
    now(Form::read(
        "multipart/form-data; boundary=X",
        body,
        query.collect(),
    ))
}

const IMAGE: &str =
    "--X\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\n\nPICTURE\n";

fn text(name: &str, value: &str) -> String {
    format!("--X\nContent-Disposition: form-data; name=\"{name}\"\n\n{value}\n")
}

#[test]
fn forms_are_read_as_clients_send_them() {
    let with = |parts: &str| form(&format!("{parts}--X--\n"), &[("min_confidence", "0.3")]);
    let full = with(&(text("api_key", " k ") + IMAGE + &text("min_confidence", "0.45")));
    assert_eq!(full.text("api_key"), Some("k"));
    let wish = full.wish().unwrap();
    assert_eq!(
        (wish.confidence, wish.objects, wish.names),
        (0.45, OBJECTS, Names::Common)
    );
    assert_eq!(full.picture().unwrap(), "PICTURE");
    // Frigate's part has a name, no file name's ending and no type; others call the file otherwise.
    for name in [
        "name=\"image\"",
        "name=\"image1\"",
        "name=\"upload\"; filename=\"x\"",
    ] {
        let part = format!("--X\nContent-Disposition: form-data; {name}\n\nPICTURE\n");
        let read = with(&part);
        assert_eq!(read.wish().unwrap().confidence, 0.3, "of the address");
        assert_eq!(read.picture().unwrap(), "PICTURE");
    }
    let alone = now(Form::read("image/jpeg", "PICTURE".into(), Vec::new()));
    assert_eq!(alone.picture().unwrap(), "PICTURE");
}

#[test]
fn what_makes_no_sense_is_named_in_the_words_that_clients_know() {
    let ask = |name: &str, value: &str| form(&(text(name, value) + IMAGE + "--X--\n"), &[]).wish();
    for (value, error) in [
        ("abc", FormError::Confidence),
        ("-0.1", FormError::Confidence),
        ("nan", FormError::Confidence),
        ("1.01", FormError::ConfidenceAboveOne),
        ("inf", FormError::ConfidenceAboveOne),
    ] {
        assert_eq!(ask("min_confidence", value).unwrap_err(), error, "{value}");
    }
    for (value, confidence) in [("0", 0.0), ("1", 1.0), ("", CONFIDENCE)] {
        assert_eq!(ask("min_confidence", value).unwrap().confidence, confidence);
    }
    assert_eq!(ask("limit", "0").unwrap_err(), FormError::Limit);
    assert_eq!(ask("labels", "best").unwrap_err(), FormError::Labels);
    // A picture that is missing, empty, or never ends is none.
    let empty = IMAGE.replace("PICTURE", "");
    for parts in [
        "",
        "--X--\n",
        &*(empty + "--X--\n"),
        IMAGE,
        "\u{0}\u{1}garbage",
    ] {
        assert_eq!(
            form(parts, &[]).picture(),
            Err(FormError::NoPicture),
            "{parts:?}"
        );
    }
    for kind in ["", "text/plain", "multipart/form-data"] {
        let read = now(Form::read(kind, "PICTURE".into(), Vec::new()));
        assert_eq!(read.picture(), Err(FormError::NoPicture));
    }
}

fn record(boxes: &[(u32, &str, f32, [i64; 4])]) -> Record {
    let detections = boxes
        .iter()
        .map(|&(class, label, score, box_px)| Detection {
            class,
            label: Some(label.into()),
            score,
            objectness: 0.9,
            bbox: [0.5; 4],
            box_px,
        });
    Record {
        subject: Subject::default(),
        timing: Some(Timing {
            captured_unix_ms: 1,
            latency_ms: 81.6,
            ..Timing::default()
        }),
        width: 100,
        height: 50,
        ending: Ending::Computed(Found {
            detections: detections.collect(),
            top: None,
        }),
    }
}

#[test]
fn the_surest_come_first_inside_the_picture_under_common_names() {
    let record = record(&[
        (0, "person", 0.5, [10, 5, 20, 30]),
        (62, "tvmonitor", 0.9, [-4, -1, 400, 400]),
        (1, "cat", 0.39, [1, 1, 5, 5]),
        (2, "car", 0.8, [200, 10, 10, 10]),
    ]);
    let wish = Wish {
        confidence: 0.4,
        objects: OBJECTS,
        names: Names::Common,
    };
    let answer = found(&record, wish, Duration::from_millis(90)).unwrap();
    let expected = json!([
        {"label": "tv", "confidence": 0.9, "x_min": 0, "y_min": 0, "x_max": 100, "y_max": 50},
        {"label": "person", "confidence": 0.5, "x_min": 10, "y_min": 5, "x_max": 30, "y_max": 35},
    ]);
    assert_eq!(answer["predictions"], expected);
    assert_eq!(
        (&answer["count"], &answer["success"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(answer["message"], "Found tv, person");
    assert_eq!(
        (&answer["inferenceMs"], &answer["processMs"]),
        (&json!(82.0), &json!(90))
    );
    let one = found(&record, Wish { objects: 1, ..wish }, Duration::ZERO).unwrap();
    assert_eq!(one["count"], 1);
    let none = found(
        &record,
        Wish {
            confidence: 1.0,
            ..wish
        },
        Duration::ZERO,
    )
    .unwrap();
    assert_eq!(
        (&none["message"], &none["predictions"]),
        (&json!("No objects found"), &json!([]))
    );
}

#[test]
fn dropped_frames_are_failures() {
    let mut lost = record(&[]);
    lost.ending = Ending::Dropped {
        dropped: DropReason::SourceLost,
    };
    let wish = form("", &[]).wish().unwrap();
    assert_eq!(
        found(&lost, wish, Duration::ZERO),
        Err("its source was lost")
    );
    let body = failure(
        500,
        "error occured on the server",
        "its source was lost",
        Duration::ZERO,
    );
    assert_eq!(
        (&body["success"], &body["code"]),
        (&json!(false), &json!(500))
    );
    assert_eq!(body["predictions"], json!([]));
}
