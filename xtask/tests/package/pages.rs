//! Manual pages and completions, by man and bash.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use tessera_needs::needs;

use crate::common::{run, scratch};

fn manual() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let out = scratch("manual");
        run(Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["manual", "--out"])
            .arg(&out));
        out
    })
}

fn pages() -> Vec<PathBuf> {
    let dir = fs::read_dir(manual().join("man/man1")).unwrap();
    dir.map(|e| e.unwrap().path()).collect()
}

#[needs(mandoc)]
#[test]
fn pages_have_no_errors() {
    assert!(pages().len() > 20, "a page for each command");
    for page in pages() {
        run(Command::new("mandoc")
            .args(["-T", "lint", "-W", "error"])
            .arg(page));
    }
}

#[needs(mandoc)]
#[test]
fn the_page_of_a_node_says_what_its_help_says() {
    let page = manual().join("man/man1/tessera-node.1");
    let text = run(Command::new("mandoc")
        .args(["-T", "ascii", "-O", "width=120"])
        .arg(page));
    // Bold letters are written twice over each other.
    let mut plain = String::new();
    for c in text.chars() {
        if c == '\u{8}' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    let help = fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../runtime/node/src/args/help.txt"),
    );
    let help = help.unwrap();
    let flags = help.lines().filter_map(|l| l.strip_prefix("  --"));
    for flag in flags {
        let flag = format!("--{}", flag.split(' ').next().unwrap());
        let mut starts = plain.lines().map(str::trim_start);
        assert!(
            starts.any(|l| l.split(' ').next() == Some(&flag)),
            "{flag}: {plain}"
        );
    }
    for heading in ["NAME", "SYNOPSIS", "ROLES", "INPUTS", "KEYS", "FILES"] {
        assert!(plain.lines().any(|l| l == heading), "{heading}: {plain}");
    }
}

/// What bash offers for the last of `words`.
fn offered(file: &str, function: &str, words: &[&str]) -> Vec<String> {
    let file = manual().join("completions").join(file);
    let script = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; COMP_LINE='{1}'; {function} '{}' '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file.display(),
        words.join(" "),
        words.len() - 1,
        words[0],
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let said = run(Command::new("bash").args(["--norc", "-c", &script]));
    said.lines().map(str::to_owned).collect()
}

#[needs(bash)]
#[test]
fn bash_completes_words() {
    let xtask = offered("xtask.bash", "_xtask", &["xtask", "dep"]);
    assert_eq!(xtask, ["deploy"]);
    let targets = offered("xtask.bash", "_xtask", &["xtask", "package", "--for"]);
    assert_eq!(targets, ["--form"]);
    let roles = offered("tessera-node.bash", "_tessera-node", &["tessera-node", "g"]);
    assert_eq!(roles, ["gateway"]);
    let flags = offered(
        "tessera-node.bash",
        "_tessera-node",
        &["tessera-node", "edge", "--mqtt-"],
    );
    assert!(
        flags.iter().any(|f| f == "--mqtt-login") && flags.len() > 4,
        "{flags:?}"
    );
    let levels = offered(
        "tessera-node.bash",
        "_tessera-node",
        &["tessera-node", "--log", "d"],
    );
    assert_eq!(levels, ["debug"]);
}
