//! What must not stand in any file: places on somebody's machine.

use std::path::Path;

use crate::{report, sources};

/// Beginnings of paths that only one machine has.
const PLACES: &[&str] = &["/work/", "/root/", "/home/", "/Users/", "/tmp/"];

/// Where a word may stand all the same: file, word, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// The only registry that `Cargo.lock` may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// True if `place` begins a path in `line`: what stands before it is no part of a longer path.
fn names(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/{}*$".contains(c))
    })
}

#[test]
fn no_file_names_a_machine() {
    let mut complaints = Vec::new();
    let mut excused = Vec::new();
    for file in sources::files(&["", ".rs"]) {
        let name = file.to_string_lossy().into_owned();
        if file == Path::new("tests/tests/tidy/words.rs") {
            continue;
        }
        for (number, line) in (1..).zip(sources::read(&file).lines()) {
            for place in PLACES.iter().filter(|p| names(line, p)) {
                let exception = EXCEPTIONS
                    .iter()
                    .position(|(f, w, _)| *f == name && w == place);
                match exception {
                    Some(at) => excused.push(at),
                    None => complaints.push(format!("{name}:{number}: {place}")),
                }
            }
        }
    }
    for (at, (file, word, _)) in EXCEPTIONS.iter().enumerate() {
        if !excused.contains(&at) {
            complaints.push(format!("{file} no longer says {word}: no exception needed"));
        }
    }
    report(
        &complaints,
        "Name paths relative to the workspace, and let tests make folders with `tempfile`.",
    );
}

#[test]
fn packages_come_from_one_registry() {
    let lock = sources::read(Path::new("Cargo.lock"));
    let others: Vec<String> = lock
        .lines()
        .filter(|l| l.starts_with("source = "))
        .filter(|l| *l != format!("source = {REGISTRY:?}"))
        .map(str::to_owned)
        .collect();
    report(
        &others,
        "Lock the dependencies again without a replacement or a Git repository.",
    );
}

#[test]
fn a_place_inside_a_longer_path_is_no_place() {
    assert!(names("see /home/x", "/home/"));
    assert!(names("\"/tmp/x\"", "/tmp/"));
    assert!(!names("a/tmp/x", "/tmp/"));
    assert!(!names("../home/x", "/home/"));
}
