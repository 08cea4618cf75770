//! A command that is told to end while a cluster of real nodes computes: all of them are gone with it.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    rig::Folder,
    told_to_end::{Running, end, runs},
};

/// Longest wait for a compiled cluster's first frame.
const LIMIT: Duration = Duration::from_secs(600);
/// Far more frames than are computed before the end.
const FRAMES: usize = 4000;

/// Processes beneath `pid`, all of them.
fn beneath(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in text.split_whitespace().filter_map(|w| w.parse().ok()) {
            found.push(child);
            found.extend(beneath(child));
        }
    }
    found
}

/// Whether a gateway whose files lie beneath `dir` has written a record.
fn has_record(dir: &Path) -> bool {
    let folders = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut records = folders.map(|f| f.path().join("records.jsonl"));
    records.any(|r| fs::metadata(r).is_ok_and(|m| m.len() > 0))
}

#[test]
fn real_nodes_end_with_the_command() {
    let folder = Folder::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo");
    let picture = demo.join("demo.png");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args([
            "run",
            "--grid",
            "3x3",
            "--offload",
            "8",
            "--workers",
            "2",
            "--model",
        ])
        .arg(demo.join("demo.cfg"))
        .arg("--image")
        .args(std::iter::repeat_n(&picture, FRAMES))
        .env("TMPDIR", folder.at("."));
    let mut child = Running::start(&mut command, &folder);
    let begun = Instant::now();
    while !has_record(&folder.at(".")) {
        let said = || fs::read_to_string(folder.at("said")).unwrap();
        let ended = child.0.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", said());
        assert!(begun.elapsed() < LIMIT, "no frame: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    let nodes = beneath(child.0.id());
    // A gateway, and two edges with two workers each.
    assert_eq!(nodes.iter().filter(|n| runs(**n)).count(), 7, "{nodes:?}");
    assert_eq!(end(&folder, &mut child, "TERM", &nodes), Some(143));
    assert!(!has_record(&folder.at(".")), "its files stay");
}
