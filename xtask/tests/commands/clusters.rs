//! `--cluster`: plans, mistakes, and a cluster of nodes for two instruction sets.

use std::path::Path;

use serde_json::Value;
use tessera_plan::plan::Plan;

use crate::rig::Folder;

/// Largest accepted difference of scores and boxes between instruction sets.
const CLOSE: f64 = 2e-4;

const CLUSTER: &str = "\
version = 1

[[link]]
name = \"wifi\"
rate = \"38.4Mbit\"
delay = \"3ms\"

[[board]]
name = \"hub\"
roles = [\"gateway\"]
target = \"x86-64-v3\"
cores = 4

[[board]]
name = \"porch\"
target = \"x86-64-v3\"
memory = \"256MiB\"

[[board]]
name = \"shed\"
target = \"portable\"
cores = 4
used = 2
";

#[test]
fn plans_are_made_for_described_boards() {
    let folder = Folder::new().with("cluster.toml", CLUSTER);
    let flags = [
        "plan",
        "--model",
        "yolov2.cfg",
        "--cluster",
        "cluster.toml",
        "--grid",
        "2x2",
        "--offload",
        "8",
        "--dry-run",
    ];
    let ran = folder.run(&flags);
    ran.is_fine();
    for words in ["x86-64-v3", "portable", "38.4 Mbit/s", "shed", "porch"] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let ran = folder.run(&[&flags[..], &["--json"]].concat());
    let plan: Plan = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(plan.target.len(), 2);
    let command =
        "cargo xtask plan --model yolov2.cfg --grid 2x2 --offload 8 --cluster cluster.toml";
    assert_eq!(plan.command, command);
    let workers: Vec<usize> = plan.boards.iter().map(|b| b.workers).collect();
    assert_eq!(workers, [1, 2, 4]);
}

#[test]
fn mistakes_in_a_cluster_are_shown_in_place() {
    let text = CLUSTER
        .replace("memory", "memmory")
        .replace("portable", "portabel");
    let folder = Folder::new().with("cluster.toml", text);
    let plan = |flags: &[&str]| {
        folder.run(&[&["plan", "--model", "yolov2.cfg", "--dry-run"], flags].concat())
    };
    plan(&["--cluster", "cluster.toml"]).says(
        1,
        &[
            "cluster.toml:17:1",
            "was `memory` meant?",
            "cluster.toml:21:10",
            "was \"portable\" meant?",
            "2 problem(s)",
        ],
    );
    plan(&["--cluster", "none.toml"]).says(1, &["--cluster", "none.toml"]);
    let ran = plan(&["--cluster", "cluster.toml", "--edges", "3"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("cannot be used with"), "{}", ran.err);
    plan(&["--rate", "fast"]).says(1, &["--rate", "38.4Mbit"]);
    plan(&["--delay", "long"]).says(1, &["--delay", "3ms"]);
    plan(&["--goal", "all"]).says(1, &["--goal all", "throughput"]);
}

/// Detections of the demo's picture on the boards that `flags` describe.
fn detections(folder: &Folder, flags: &[&str]) -> Vec<Value> {
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo/demo.png");
    let picture = picture.display().to_string();
    let found = folder.run_demo(&[flags, &["--exact", "--image", &picture]].concat());
    found["images"][0]["detections"].as_array().unwrap().clone()
}

/// A gateway and an edge for x86-64-v3 and an edge for portable code find what one kind of node finds. Vector kernels
/// fuse multiplication and addition, portable ones do not, so the last bits of scores differ.
#[cfg(target_arch = "x86_64")]
#[test]
fn boards_of_two_instruction_sets_find_the_same() {
    let folder = Folder::new().with("cluster.toml", CLUSTER);
    let mixed = detections(&folder, &["--cluster", "cluster.toml"]);
    let alike = detections(&folder, &["--edges", "2", "--target", "portable"]);
    assert!(
        !alike.is_empty() && mixed.len() == alike.len(),
        "{mixed:?} {alike:?}"
    );
    for (a, b) in mixed.iter().zip(&alike) {
        assert_eq!(a["class"], b["class"]);
        let pairs = [
            &a["score"],
            &a["box"][0],
            &a["box"][1],
            &a["box"][2],
            &a["box"][3],
        ]
        .into_iter()
        .zip([
            &b["score"],
            &b["box"][0],
            &b["box"][1],
            &b["box"][2],
            &b["box"][3],
        ]);
        for (x, y) in pairs {
            let apart = (x.as_f64().unwrap() - y.as_f64().unwrap()).abs();
            assert!(apart <= CLOSE, "{a} {b}");
        }
    }
}
