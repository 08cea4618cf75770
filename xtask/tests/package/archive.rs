//! `NAME.tar.xz` and `SHA256SUMS`.

use std::{fs, path::Path, process::Command};

use tessera_needs::needs;

use crate::common::{demo, detects, file, package, packages, run, scratch};

/// Most bytes of the node of an edge: docs/package.md has what it takes now.
const EDGE_BYTES_MAX: u64 = 6_000_000;

fn unpack(archive: &Path, to: &Path) -> std::path::PathBuf {
    run(Command::new("tar")
        .arg("-xJf")
        .arg(archive)
        .arg("-C")
        .arg(to));
    let stem = archive.file_name().unwrap().to_string_lossy();
    let stem = stem.trim_end_matches(".tar.xz");
    to.join(stem.trim_end_matches("-symbols"))
}

#[needs(xz)]
#[test]
fn an_archive_runs_where_it_is_unpacked() {
    let archive = file(packages(), ".tar.xz", "-symbols.tar.xz");
    let dir = unpack(&archive, &scratch("unpacked"));
    for name in [
        "weights.bin",
        "plan.toml",
        "README",
        "LICENSE",
        "node.1",
        "tessera-node.service",
    ] {
        assert!(dir.join(name).is_file(), "{name}");
    }
    let mut node = Command::new(dir.join("node"));
    detects(
        node.arg("solo")
            .arg("--image")
            .arg(demo().join("demo.png"))
            .current_dir(&dir),
    );
}

#[needs(xz)]
#[test]
fn symbols_belong_to_the_node() {
    let dir = scratch("symbols");
    let node = unpack(&file(packages(), ".tar.xz", "-symbols.tar.xz"), &dir).join("node");
    let symbols = unpack(&file(packages(), "-symbols.tar.xz", ""), &dir).join("node.debug");
    let sections = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let has = |name: &[u8]| bytes.windows(name.len()).any(|w| w == name);
        (has(b"\0.debug_line\0"), has(b"\0.symtab\0"))
    };
    assert_eq!(sections(&node), (false, false));
    assert_eq!(sections(&symbols), (true, true));
    // Debuggers tell by the build id that they belong together.
    let id = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let head = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
        let at = bytes.windows(head.len()).position(|w| w == head);
        at.map(|at| bytes[at + head.len()..][..20].to_vec())
    };
    assert_eq!(id(&node), id(&symbols));
    assert!(fs::metadata(&node).unwrap().len() < fs::metadata(&symbols).unwrap().len());
}

#[test]
fn sums_are_right_and_the_same_input_gives_the_same_bytes() {
    run(Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(packages()));
    let again = scratch("again");
    package(&again, "portable", "service", &[]);
    let sums = |dir: &Path| fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(packages()), sums(&again));
}

/// Bytes of the node of an edge.
fn edge_bytes(target: &str) -> u64 {
    let dir = scratch(&format!("edge-{target}"));
    package(&dir, target, "nothing", &["--form", "tar"]);
    let dir = unpack(&file(&dir, ".tar.xz", "-symbols.tar.xz"), &dir);
    fs::metadata(dir.join("node")).unwrap().len()
}

#[needs(xz)]
#[test]
fn a_node_of_an_edge_is_small() {
    let bytes = edge_bytes("x86-64-v3");
    assert!(bytes < EDGE_BYTES_MAX, "{bytes}");
}

#[ignore = "a cross build of minutes: docs/package.md has the result"]
#[test]
fn a_node_of_an_edge_is_small_on_aarch64() {
    let bytes = edge_bytes("aarch64");
    assert!(bytes < EDGE_BYTES_MAX, "{bytes}");
}

#[ignore = "a cross build of minutes: docs/package.md has the result"]
#[test]
fn a_node_of_an_edge_is_small_on_armv7() {
    let bytes = edge_bytes("armv7");
    assert!(bytes < EDGE_BYTES_MAX, "{bytes}");
}
