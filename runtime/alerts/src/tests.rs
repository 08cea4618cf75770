use super::*;
use tessera_plan::files::{
    alerts::AlertEntry,
    records::{Detection, DropReason, Found, Subject},
};

fn labels() -> Vec<String> {
    vec!["person".into(), "car".into()]
}

fn rules(text: &str) -> Result<Vec<Rule>, RuleError> {
    #[derive(serde::Deserialize)]
    struct File {
        alert: Vec<AlertEntry>,
    }
    let file: File = toml::from_str(text).expect("the form is right");
    Rule::all(&file.alert, &labels())
}

fn detection(class: u32, score: f32, bbox: [f32; 4]) -> Detection {
    Detection {
        class,
        label: labels().get(class as usize).cloned(),
        score,
        objectness: score,
        bbox,
        box_px: [0; 4],
    }
}

fn record(name: &str, frame: u32, detections: Vec<Detection>) -> Record {
    Record {
        subject: Subject {
            source: 1,
            epoch: Some(7),
            frame,
            source_name: Some(name.into()),
            ..Subject::default()
        },
        timing: None,
        width: 640,
        height: 480,
        ending: Ending::Computed(Found {
            detections,
            top: None,
        }),
    }
}

/// A car that drives from left to right, `k` frames after its start.
fn driving(k: u8) -> Detection {
    detection(1, 0.9, [0.1 + 0.05 * f32::from(k), 0.5, 0.2, 0.2])
}

const GATE: &str = "
[[alert]]
name = \"car at the gate\"
classes = [\"car\"]
zone = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
frames = 2
cooldown = 10
";

#[test]
fn a_car_is_said_once_when_it_has_been_in_the_zone_for_two_frames() {
    let mut alerts = Alerts::new(rules(GATE).unwrap());
    let mut said = Vec::new();
    for k in 0..16_u8 {
        let found = alerts.record(
            &record("front", u32::from(k), vec![driving(k)]),
            f64::from(k),
        );
        said.extend(found.into_iter().map(|a| (k, a)));
    }
    let [(k, alert)] = &said[..] else {
        panic!("{said:?}");
    };
    // Its foot passes the middle with the ninth frame.
    assert_eq!(*k, 9);
    assert_eq!(
        (alert.alert.as_str(), alert.track, alert.count, alert.frame),
        ("car at the gate", 1, 1, 9)
    );
    let json: serde_json::Value = serde_json::from_str(&alert.json()).unwrap();
    assert_eq!(json["source_name"], "front");
    assert_eq!(json["label"], "car");
    assert!(json.get("webhook").is_none(), "{json}");
}

#[test]
fn another_car_is_counted_and_silent_while_the_alert_is_fresh() {
    let mut alerts = Alerts::new(rules(GATE).unwrap());
    let mut said = Vec::new();
    let mut look = |alerts: &mut Alerts, k: u32, boxes: Vec<Detection>| {
        said.extend(alerts.record(&record("front", k, boxes), f64::from(k)));
    };
    for k in 0..4 {
        let there = detection(1, 0.9, [0.7, 0.3, 0.2, 0.2]);
        let second = detection(1, 0.9, [0.7, 0.8, 0.2, 0.2]);
        let boxes = if k < 2 {
            vec![there]
        } else {
            vec![there, second]
        };
        look(&mut alerts, k, boxes);
    }
    // Long after the first alert.
    for k in 20..23 {
        look(
            &mut alerts,
            k,
            vec![detection(1, 0.9, [0.6, 0.5, 0.2, 0.2])],
        );
    }
    let counts: Vec<u64> = said.iter().map(|a| a.count).collect();
    assert_eq!(counts, [1, 3]);
}

#[test]
fn rules_look_at_class_score_and_source() {
    let text = "
[[alert]]
name = \"anybody\"
classes = [\"person\"]
sources = [\"front\"]
score = 0.8
frames = 1
cooldown = 0
";
    let person = |score| vec![detection(0, score, [0.5, 0.5, 0.2, 0.2])];
    let said = |name: &str, boxes: Vec<Detection>| {
        let mut alerts = Alerts::new(rules(text).unwrap());
        alerts.record(&record(name, 0, boxes), 0.0).len()
    };
    assert_eq!(said("front", person(0.9)), 1);
    assert_eq!(said("front", person(0.7)), 0);
    assert_eq!(said("back", person(0.9)), 0);
    assert_eq!(
        said("front", vec![detection(1, 0.9, [0.5, 0.5, 0.2, 0.2])]),
        0
    );
}

#[test]
fn frames_that_were_overtaken_and_lost_ones_change_nothing() {
    let mut alerts = Alerts::new(rules(GATE).unwrap());
    let there = || vec![detection(1, 0.9, [0.7, 0.5, 0.2, 0.2])];
    assert!(alerts.record(&record("front", 5, there()), 0.0).is_empty());
    assert!(alerts.record(&record("front", 4, there()), 0.1).is_empty());
    let lost = Record {
        ending: Ending::Dropped {
            dropped: DropReason::SourceLost,
        },
        ..record("front", 6, Vec::new())
    };
    assert!(alerts.record(&lost, 0.2).is_empty());
    assert_eq!(alerts.record(&record("front", 7, there()), 0.3).len(), 1);
    // A source that was started anew counts from 0.
    let mut anew = record("front", 0, there());
    anew.subject.epoch = Some(8);
    assert!(alerts.record(&anew, 20.0).is_empty());
    anew.subject.frame = 1;
    assert_eq!(
        alerts.record(&anew, 20.1).len(),
        0,
        "it is the same car, which is counted once"
    );
}

#[test]
fn names_of_sources_do_not_take_memory_without_end() {
    let mut alerts = Alerts::new(rules(GATE).unwrap());
    for k in 0..2 * SOURCES_MAX {
        alerts.record(&record(&format!("s{k}"), 0, vec![driving(0)]), 0.0);
    }
    assert_eq!(alerts.sources.len(), SOURCES_MAX);
}

#[test]
fn what_makes_no_sense_is_said() {
    for (line, said) in [
        ("classes = [\"cra\"]", "no class \"cra\""),
        ("zone = [[0.1, 0.1], [0.2, 0.2]]", "3 to 64 corners"),
        (
            "zone = [[0.1, 0.1], [0.2, 0.2], [1.5, 0.0]]",
            "each from 0 to 1",
        ),
        ("score = 2.0", "from 0 to 1"),
        ("frames = 0", "in 1 frame at least"),
        ("cooldown = -1.0", "seconds from 0"),
        ("webhook = \"ftp://x\"", "http://"),
    ] {
        let error = rules(&format!("[[alert]]\nname = \"a\"\n{line}")).unwrap_err();
        assert!(error.to_string().contains(said), "{line}: {error}");
    }
    let twice = "[[alert]]\nname = \"a\"\n[[alert]]\nname = \"a\"";
    assert_eq!(rules(twice), Err(RuleError::Twice("a".into())));
    assert!(rules("[[alert]]\nname = \"\"").is_err());
    let many: String = (0..=RULES_MAX)
        .map(|k| format!("[[alert]]\nname = \"a{k}\"\n"))
        .collect();
    assert_eq!(rules(&many), Err(RuleError::TooMany(RULES_MAX + 1)));
    let unknown = Rule::all(
        &[AlertEntry {
            name: "a".into(),
            classes: vec!["car".into()],
            ..AlertEntry::default()
        }],
        &[],
    );
    assert!(unknown.unwrap_err().to_string().contains("weights.names"));
}
