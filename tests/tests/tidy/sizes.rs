//! How long files and crates may be.

use std::collections::BTreeMap;

use crate::{report, sources};

/// Most lines of a file, without the tests at its end. Far fewer are usual: a file holds one idea.
const FILE_LINES_MAX: usize = 600;

/// Longer files, and why: file, lines, reason.
const LONG_FILES: &[(&str, usize, &str)] = &[];

/// Most lines of crates that are to stay small.
const CRATE_LINES_MAX: &[(&str, usize)] = &[("tessera-runtime", 4000)];

/// Lines before a module of tests at the end.
fn lines(text: &str) -> usize {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    text.lines().count()
}

#[test]
fn files_hold_one_idea() {
    let mut files: Vec<(usize, String)> = sources::rust()
        .iter()
        .map(|(f, _)| (lines(&sources::read(f)), f.to_string_lossy().into_owned()))
        .collect();
    files.sort_by(|a, b| b.cmp(a));
    println!("longest files, without tests at their ends:");
    for (lines, file) in files.iter().take(10) {
        println!("  {lines:5} {file}");
    }
    let mut complaints = Vec::new();
    for (lines, file) in &files {
        let exception = LONG_FILES.iter().find(|(f, ..)| f == file);
        let max = exception.map_or(FILE_LINES_MAX, |(_, max, _)| *max);
        if *lines > max {
            complaints.push(format!("{file}: {lines} lines, more than {max}"));
        } else if exception.is_some() && *lines <= FILE_LINES_MAX {
            complaints.push(format!("{file}: {lines} lines, no exception needed"));
        }
    }
    report(
        &complaints,
        "Cut the file at its nouns (or change LONG_FILES in tests/tests/tidy/sizes.rs and say why).",
    );
}

#[test]
fn crates_keep_their_share() {
    let mut crates: BTreeMap<String, usize> = BTreeMap::new();
    for (file, package) in sources::rust() {
        *crates.entry(package.name).or_default() += sources::read(&file).lines().count();
    }
    let whole: usize = crates.values().sum();
    let mut complaints = Vec::new();
    for (name, lines) in &crates {
        println!("{lines:6} {name}");
        if 3 * lines > whole {
            complaints.push(format!(
                "{name}: {lines} of {whole} lines, more than a third"
            ));
        }
        let max = CRATE_LINES_MAX.iter().find(|(n, _)| n == name);
        if let Some((_, max)) = max.filter(|(_, max)| lines > max) {
            complaints.push(format!("{name}: {lines} lines, more than {max}"));
        }
    }
    for (name, _) in CRATE_LINES_MAX {
        assert!(crates.contains_key(*name), "no crate {name}");
    }
    report(
        &complaints,
        "Move what does not belong there to the crate that it is about.",
    );
}

#[test]
fn tests_at_the_end_do_not_count() {
    assert_eq!(lines("a\nb\n\n#[cfg(test)]\nmod tests {\n    c\n}\n"), 2);
    assert_eq!(lines("a\nb\n"), 2);
}
