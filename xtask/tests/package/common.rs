//! Packages of the demo, made once for all tests, and programs that look at them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder of the demo.
pub fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo")
}

/// A folder for `name` alone, empty.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("package")
        .join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs a command that ends well; what it printed.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let out = command.output();
    let out = out.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}{complaints}");
    said
}

/// Makes packages of the demo in `out`.
pub fn package(out: &Path, target: &str, with: &str, more: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["package", "--grid", "3x3", "--offload", "8", "--edges", "2"])
        .args(["--target", target, "--with", with])
        .args(["--maintainer", "Ada <ada@example.org>"])
        .args(more)
        .arg("--model")
        .arg(demo().join("demo.cfg"))
        .arg("--out")
        .arg(out);
    run(&mut command);
}

/// All packages for this machine.
pub fn packages() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let out = scratch("all");
        package(&out, "portable", "service", &[]);
        out
    })
}

/// The one file below `dir` whose name ends so, and does not end with `but`.
pub fn file(dir: &Path, end: &str, but: &str) -> PathBuf {
    let all = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut fitting = all.filter(|p| {
        let name = p.file_name().unwrap().to_string_lossy();
        name.ends_with(end) && (but.is_empty() || !name.ends_with(but))
    });
    let found = fitting.next().unwrap_or_else(|| panic!("no {end}"));
    assert_eq!(fitting.next(), None);
    found
}

/// Runs a node on the demo's picture; its records.
#[track_caller]
pub fn detects(node: &mut Command) {
    let said = run(node);
    let record: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let found = record["detections"].as_array().unwrap();
    assert!(
        !found.is_empty() && found[0]["label"].is_string(),
        "{record}"
    );
}
