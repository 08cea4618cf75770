//! `run --source`, and `[[source]]` in a cluster file.

use std::{fs, path::Path};

use serde_json::Value;

use crate::rig::Folder;

const CLUSTER: &str = "\
version = 1
[[board]]
name = \"hub\"
roles = [\"gateway\"]
target = \"portable\"
[[board]]
name = \"porch\"
target = \"portable\"
[[board]]
name = \"yard\"
target = \"portable\"
";

/// The demo's pictures as `flags` name them.
fn found(folder: &Folder, flags: &[&str]) -> Vec<(Value, String)> {
    let text = folder.run_demo(flags);
    let images = text["images"].as_array().unwrap().iter();
    let named = |i: &Value| {
        assert!(!i["detections"].as_array().unwrap().is_empty(), "{i}");
        let file = i["file"].as_str().unwrap().rsplit('/').next().unwrap();
        (i["source_name"].clone(), file.to_owned())
    };
    let mut images: Vec<_> = images.map(named).collect();
    images.sort_by_key(|(name, file)| (name.to_string(), file.clone()));
    images
}

#[test]
fn folders_and_lists_are_read_by_the_boards_that_have_them() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo/demo.png");
    let picture = fs::read(demo).unwrap();
    let folder = Folder::new()
        .with("a.png", &picture)
        .with("list.txt", "a.png\na.png\n");
    fs::create_dir(folder.at("shots")).unwrap();
    for name in ["b.png", "c.png"] {
        fs::write(folder.at("shots").join(name), &picture).unwrap();
    }
    let is = |name: &str, file: &str| (Value::from(name), file.to_owned());
    let none = |file: &str| (Value::Null, file.to_owned());
    // By flags: one source has a name.
    let flags = [
        "--target",
        "portable",
        "--edges",
        "2",
        "--source",
        "front=shots",
        "a.png",
    ];
    assert_eq!(
        found(&folder, &flags),
        [is("front", "b.png"), is("front", "c.png"), none("a.png")]
    );
    // By the file: each board its own. A threshold that nothing passes would leave a picture without boxes.
    let sources = "[[source]]\nname = \"front\"\nboard = \"porch\"\nfrom = \"shots\"\nfps = 100\n\
        [[source]]\nname = \"back\"\nboard = \"yard\"\nfrom = \"list.txt\"\nthresh = 0.3\n";
    let folder = folder.with("cluster.toml", format!("{CLUSTER}{sources}"));
    let all = [
        is("back", "a.png"),
        is("back", "a.png"),
        is("front", "b.png"),
        is("front", "c.png"),
    ];
    assert_eq!(found(&folder, &["--cluster", "cluster.toml"]), all);
}

#[test]
fn runs_without_a_source_or_an_end_say_what_is_missing() {
    let folder = Folder::new().with("cluster.toml", CLUSTER);
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo/demo.cfg");
    let model = demo.display().to_string();
    let run = |flags: &[&str]| folder.run(&[&["run", "--model", &model], flags].concat());
    run(&["--cluster", "cluster.toml"]).says(1, &["--source", "[[source]]"]);
    run(&["--source", "rtsp://cam/live"]).says(1, &["rtsp://cam/live has no end", "--frames 100"]);
    run(&["--source", "a.mp4", "--fps", "frnt=2"]).says(1, &["--fps frnt=..", "--source NAME=.."]);
    let ran = run(&["--source", "rstp://cam/live"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no kind of stream"), "{}", ran.err);
}
