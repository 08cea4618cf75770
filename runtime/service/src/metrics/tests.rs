use std::collections::BTreeSet;

use super::*;
use crate::{state::About, tally::Tally};

fn shown() -> Arc<Shown> {
    let about = Arc::new(About {
        program: "de\"mo\\\n".into(),
        labels: vec!["dog".into(), String::new()],
        boards: vec![(1, "porch".into()), (2, "shed".into())],
        own_edge: Some(3),
        ..About::default()
    });
    let mut tally = Tally::new(&about);
    for ms in [3.0, 300.0, 30_000.0] {
        tally.add(&about, &crate::tally::tests::record(1, ms, &[0, 1]));
    }
    Arc::new(Shown {
        about,
        tally,
        ..Shown::default()
    })
}

/// What the format asks of a text; returns the names of all families, and the samples.
fn check(text: &str, form: Form) -> (BTreeSet<String>, Vec<(String, f64)>) {
    let open = form == Form::OpenMetrics;
    assert_eq!(text.ends_with("# EOF\n"), open);
    let (mut families, mut samples) = (BTreeSet::new(), Vec::new());
    let (mut helped, mut family, mut kind) = (String::new(), String::new(), String::new());
    for line in text.lines().filter(|l| *l != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split(' ').next().unwrap().to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').unwrap();
            assert_eq!(helped, name, "help and type go together");
            assert!(families.insert(name.to_owned()), "{name} twice");
            (family, kind) = (name.to_owned(), of.to_owned());
            let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(valid), "{name}");
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let endings: &[&str] = match (&*kind, open) {
                ("counter", true) => &["_total"],
                ("info", true) => &["_info"],
                ("histogram", _) => &["_sum", "_count", "_bucket"],
                _ => &[""],
            };
            let ending = name.strip_prefix(&family);
            assert!(ending.is_some_and(|e| endings.contains(&e)), "{line}");
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.iter().all(|(s, _)| s != series), "{series} twice");
            samples.push((series.to_owned(), value.parse().unwrap()));
        }
    }
    (families, samples)
}

fn value(samples: &[(String, f64)], series: &str) -> f64 {
    let found = samples.iter().find(|(s, _)| s == series);
    found.unwrap_or_else(|| panic!("no {series}")).1
}

#[test]
fn both_forms_follow_their_rules_and_say_the_same() {
    let shown = shown();
    let [open, classic] = [Form::OpenMetrics, Form::Classic].map(|form| {
        let text = text(&shown, form).unwrap();
        check(&text, form)
    });
    // What the process uses differs between two looks.
    let own = |(s, _): &&(String, f64)| s.starts_with("tessera_");
    let of = |samples: &[(String, f64)]| samples.iter().filter(own).cloned().collect::<Vec<_>>();
    assert_eq!(of(&open.1), of(&classic.1));
    assert!(open.0.contains("tessera_frames") && classic.0.contains("tessera_frames_total"));
    assert!(open.0.contains("tessera_build") && classic.0.contains("tessera_build_info"));
}

#[test]
fn buckets_are_cumulative_and_names_are_escaped() {
    let text = text(&shown(), Form::OpenMetrics).unwrap();
    let (_, samples) = check(&text, Form::OpenMetrics);
    let bucket = |le: &str| {
        let series =
            format!("tessera_frame_duration_seconds_bucket{{le=\"{le}\",source=\"porch\"}}");
        value(&samples, &series)
    };
    assert_eq!(
        [bucket("0.005"), bucket("0.25"), bucket("0.5")],
        [1.0, 1.0, 2.0]
    );
    assert_eq!([bucket("10.0"), bucket("+Inf")], [2.0, 3.0]);
    let count = value(
        &samples,
        "tessera_frame_duration_seconds_count{source=\"porch\"}",
    );
    assert_eq!(count, 3.0);
    assert!(text.contains(r#"model="de\"mo\\\n""#), "{text}");
    for (source, class, n) in [
        ("porch", "dog", 3.0),
        ("porch", "class 1", 3.0),
        ("shed", "dog", 0.0),
    ] {
        let series = format!("tessera_detections_total{{source=\"{source}\",class=\"{class}\"}}");
        assert_eq!(value(&samples, &series), n);
    }
    // Boards of the cluster file have their series before they come.
    assert_eq!(value(&samples, "tessera_edge_up{edge=\"shed\"}"), 0.0);
}

#[test]
fn boards_that_tell_have_their_measurements() {
    let mut shown = (*shown()).clone();
    let health = Health {
        temperature_c: Some(81.25),
        throttled: Some(true),
        throttle_flags: Some(0x5_0005),
        memory_available_bytes: Some(300 << 20),
        ..Health::default()
    };
    shown.state.boards = vec![Board {
        number: 1,
        up: true,
        health: Some(health),
        health_age_s: 3.0,
        ..Board::default()
    }];
    let samples = |shown: &Shown| {
        let text = text(&Arc::new(shown.clone()), Form::OpenMetrics).unwrap();
        check(&text, Form::OpenMetrics).1
    };
    let now = samples(&shown);
    let of = |name: &str| format!("tessera_edge_{name}{{edge=\"porch\"}}");
    assert_eq!(value(&now, &of("temperature_celsius")), 81.25);
    assert_eq!(value(&now, &of("memory_available_bytes")), 314_572_800.0);
    let has = |samples: &[(String, f64)], series: &str| samples.iter().any(|(s, _)| s == series);
    assert!(!has(&now, &of("busy_ratio")), "it does not know");
    let throttled = |samples: &[(String, f64)], edge: &str, reason: &str| {
        let series = format!("tessera_edge_throttled{{edge=\"{edge}\",reason=\"{reason}\"}}");
        value(samples, &series)
    };
    for (reason, on) in [
        ("under_voltage", 1.0),
        ("capped", 0.0),
        ("throttled", 1.0),
        ("soft_limit", 0.0),
    ] {
        assert_eq!(throttled(&now, "porch", reason), on, "{reason}");
        assert_eq!(throttled(&now, "shed", reason), 0.0, "it never came");
    }
    // What it said before it went is history.
    shown.state.boards[0].up = false;
    let later = samples(&shown);
    assert!(!has(&later, &of("temperature_celsius")));
    assert_eq!(throttled(&later, "porch", "throttled"), 0.0);
}

#[test]
fn clients_get_the_form_that_they_ask_for() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    assert_eq!(Form::accepted(Some(prometheus)), Form::OpenMetrics);
    assert_eq!(Form::accepted(Some("*/*")), Form::Classic);
    assert_eq!(Form::accepted(None), Form::Classic);
}
