//! `emit`: a `plan.toml` gives the crate that `plan` wrote, and nothing else does.

use std::{collections::BTreeMap, fs, path::Path};

use crate::rig::Folder;

/// All files below a folder, but for the lock.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![dir.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_none_or(|n| n != "Cargo.lock") {
                let name = path.strip_prefix(dir).unwrap().to_string_lossy();
                found.insert(name.into_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Plans the demo into the folder's `planned`.
fn planned(weights: &[&str]) -> Folder {
    let folder = Folder::new();
    let typed = ["plan", "--model", "demo.cfg", "--grid", "2x2"];
    let more = ["--offload", "8", "--target", "portable", "--out", "planned"];
    folder
        .run(&[&typed[..], weights, &more[..]].concat())
        .is_fine();
    folder
}

#[test]
fn a_plan_alone_gives_the_same_bytes() {
    let folder = planned(&["--weights", "random:7"]);
    let emit = ["emit", "planned/plan.toml", "--weights", "random:7"];
    folder
        .run(&[&emit[..], &["--out", "emitted"]].concat())
        .is_fine();
    let [plan, emitted] = ["planned", "emitted"].map(|d| files(&folder.at(d)));
    assert!(plan.contains_key("weights.bin") && plan.contains_key("src/s0/r0_c0.rs"));
    assert_eq!(
        plan.keys().collect::<Vec<_>>(),
        emitted.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &plan {
        assert!(emitted[name] == *bytes, "{name} differs");
    }
}

#[test]
fn emit_says_what_to_do() {
    let folder = planned(&["--weights", "random:7"]);
    let emit = |more: &[&str]| {
        let base = ["emit", "planned/plan.toml", "--out", "emitted"];
        folder.run(&[&base[..], more].concat())
    };
    emit(&["--weights", "random:8"]).says(1, &["made with other weights", "cargo xtask plan"]);
    emit(&["--weights", "random:x"]).says(1, &["the seed must be a whole number"]);
    emit(&["--weights", "none.weights"]).says(1, &["none.weights"]);
    emit(&["--target", "armv7"]).says(1, &["the plan is for portable"]);
    assert!(!folder.at("emitted").exists());
    emit(&[]).says(0, &["weights.bin was not written", "--weights FILE"]);

    let text = fs::read_to_string(folder.at("planned/plan.toml")).unwrap();
    let edited = text.replace("size = 3, stride_y = 1", "size = 3, stride_y = 2");
    assert_ne!(edited, text);
    for (name, text, words) in [
        ("edited.toml", edited.as_str(), "network, node 0"),
        ("old.toml", "schema = 1\n", "plan schema 1"),
        ("half.toml", &text[..text.len() / 2], "no plan.toml"),
    ] {
        fs::write(folder.at(name), text).unwrap();
        folder
            .run(&["emit", name, "--out", "emitted"])
            .says(1, &[name, words]);
    }
}
