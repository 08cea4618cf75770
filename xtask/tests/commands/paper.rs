//! `paper`: interrupted and resumed, it gives the same files; what is half-written is not believed.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{rig::Folder, told_to_end::Running};

/// A figure of few cases.
const FIGURE: &str = "failures";
/// Longest wait for a first result.
const LIMIT: Duration = Duration::from_secs(60);

fn command(kept: &str, out: &str) -> Vec<String> {
    ["paper", "--only", FIGURE, "--kept", kept, "--out", out]
        .map(str::to_owned)
        .to_vec()
}

fn run(folder: &Folder, kept: &str, out: &str) -> String {
    let words = command(kept, out);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = folder.run(&words);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.err
}

/// The whole files of a folder, by name.
fn files(folder: &Folder, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder.at(name))
        .into_iter()
        .flatten()
        .flatten();
    let whole = entries.map(|e| e.path());
    let whole = whole.filter(|p| {
        !p.file_name()
            .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."))
    });
    let mut list: Vec<PathBuf> = whole.collect();
    list.sort();
    let read = |p: PathBuf| (p.file_name().unwrap().into(), fs::read(&p).unwrap());
    list.into_iter().map(read).collect()
}

/// Begins, and ends with this signal as soon as there is a result, but not all of them.
fn interrupted(folder: &Folder, kept: &str, out: &str, signal: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(self::command(kept, out));
    let mut running = Running::start(&mut command, folder);
    let begun = Instant::now();
    while files(folder, kept).is_empty() {
        assert!(begun.elapsed() < LIMIT, "no result");
        std::thread::sleep(Duration::from_millis(2));
    }
    let id = running.0.id().to_string();
    let sent = Command::new("kill")
        .args([format!("-{signal}"), id])
        .stdin(Stdio::null())
        .status();
    assert!(sent.unwrap().success());
    assert!(!running.0.wait().unwrap().success(), "it had ended before");
}

#[test]
fn an_interrupted_run_goes_on_and_gives_the_same_files() {
    let folder = Folder::new();
    run(&folder, "all", "whole");
    let whole = files(&folder, "whole");
    assert_eq!(whole.len(), 2, "a table and a drawing");
    let results = files(&folder, "all").len();
    for signal in ["INT", "KILL"] {
        let (kept, out) = (format!("kept-{signal}"), format!("out-{signal}"));
        interrupted(&folder, &kept, &out, signal);
        let before = files(&folder, &kept).len();
        assert!((1..results).contains(&before), "{before} of {results}");
        assert!(files(&folder, &out).is_empty());
        let said = run(&folder, &kept, &out);
        assert!(
            said.contains(&format!("{before} of {results} results are kept")),
            "{said}"
        );
        assert!(files(&folder, &out) == whole, "{signal}");
    }
}

#[test]
fn results_that_are_cut_off_or_of_another_program_are_made_anew() {
    let folder = Folder::new();
    run(&folder, "kept", "out");
    let (whole, results) = (files(&folder, "out"), files(&folder, "kept"));
    let place = |k: usize| folder.at("kept").join(&results[k].0);
    let text = |k: usize| String::from_utf8(results[k].1.clone()).unwrap();
    // Cut off, of zeroes, of another program, of another case.
    fs::write(place(0), &results[0].1[..results[0].1.len() / 2]).unwrap();
    fs::write(place(1), vec![0; results[1].1.len()]).unwrap();
    let (before, program) = text(2)
        .split_once("\"program\": \"")
        .map(|(a, b)| (a.len(), b.to_owned()))
        .unwrap();
    let other = program.replacen(&program[..16], "0123456789abcdef", 1);
    fs::write(
        place(2),
        format!("{}\"program\": \"{other}", &text(2)[..before]),
    )
    .unwrap();
    fs::write(place(3), &results[2].1).unwrap();
    let said = run(&folder, "kept", "again");
    assert!(
        said.contains(&format!(
            "{} of {} results are kept",
            results.len() - 4,
            results.len()
        )),
        "{said}"
    );
    assert!(
        said.contains("is made anew") && said.contains("is of another case"),
        "{said}"
    );
    assert!(files(&folder, "again") == whole);
    assert!(files(&folder, "kept") == results);
    folder
        .run(&["paper", "--only", "figure99"])
        .says(1, &["there is no such figure", "figure13", "cameras"]);
}
