//! Readers that go away, and output that cannot be written: commands end without a panic.

use std::{
    fs::File,
    io::{BufRead, BufReader, PipeWriter, pipe},
    process::{Command, Stdio},
};

use crate::rig::{CONV, Folder, net};

/// What a shell gives for a program that SIGPIPE ended.
const CLOSED: i32 = 141;

fn xtask(folder: &Folder, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(words.split(' '))
        .current_dir(folder.at("."))
        .stdin(Stdio::null());
    command
}

/// A pipe that nobody reads any more.
fn unread() -> PipeWriter {
    pipe().unwrap().1
}

/// A network whose table is longer than a pipe holds, with a warning per layer.
fn long() -> Folder {
    let layers = format!("{CONV}learned=1\n").repeat(900);
    Folder::new().with("net.cfg", net(&layers))
}

const COMMANDS: [&str; 5] = [
    "inspect net.cfg",
    "inspect net.cfg --json",
    "plan --model net.cfg --weights random:1 --offload 0 --dry-run --target portable",
    "plan --model net.cfg --offload 0 --dry-run --json --target portable",
    "weights random --model net.cfg --out net.weights",
];

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let folder = Folder::new().with("net.cfg", net(CONV));
    for words in COMMANDS {
        let out = xtask(&folder, words).stdout(unread()).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(CLOSED), "{words}: {said}");
        let complaint = said.contains("panicked") || said.contains("error");
        assert!(!complaint, "{words}: {said}");
    }
}

#[test]
fn one_line_of_a_long_output_may_be_read() {
    let folder = long();
    let mut child = xtask(&folder, "inspect net.cfg --json")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "{\n");
    assert_eq!(child.wait().unwrap().code(), Some(CLOSED));
}

#[test]
fn messages_that_nobody_reads_are_let_go() {
    let folder = long();
    let mut inspect = xtask(&folder, "inspect net.cfg");
    let out = inspect.stderr(unread()).output().unwrap();
    let table = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0));
    assert!(table.contains("899"), "{table}");
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let folder = Folder::new().with("net.cfg", net(CONV));
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for words in COMMANDS {
        let out = xtask(&folder, words).stdout(full()).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{words}: {said}");
        let words = "error: cannot write to standard output: No space left on device";
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let status = xtask(&folder, COMMANDS[2])
        .stdout(Stdio::null())
        .stderr(full())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
