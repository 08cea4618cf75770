//! A command that is told to end or to stop takes its processes with it: here of a cluster whose nodes, and a
//! compiler beneath cargo, are shell scripts that never end by themselves.

use std::{
    fs,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
    unistd::mkfifo,
};

use crate::{
    rig::{CONV, Folder, net},
    stand_ins,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// Instead of cargo: a compiler that hangs.
const HANGS: &str =
    "#!/bin/sh\nsleep 600 & echo $! >> pids/compiler\necho $$ >> pids/cargo\nwait\n";

/// A node: gateways tell their address; edges have a worker; neither ends.
const NODE: &str = r#"#!/bin/sh
trap '' TERM
if [ "$1" = gateway ]; then
  echo "$TEST_EVENT"
fi
sleep 600 &
echo $! >> "$TEST_PIDS/$1-worker"
echo $$ >> "$TEST_PIDS/$1"
wait
"#;

/// A picture of one pixel.
const PICTURE: &[u8] = b"P6\n1 1\n255\nabc";

/// A command under test; told to end, with what it started, when a test fails.
pub struct Running(pub Child);

impl Running {
    /// Starts a command in a folder, alone: it reads nothing, and its words go to the file `said` there.
    pub fn start(command: &mut Command, folder: &Folder) -> Self {
        let started = command
            .current_dir(folder.at("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.at("said")).unwrap())
            .spawn();
        Self(started.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            signal("TERM", self.0.id());
            let _ = self.0.wait();
        }
    }
}

/// Starts `run` of a cluster of two edges with this script for cargo, from a shell that does `before` first.
fn run(folder: &Folder, before: &str, cargo: &str, name: &str) -> Running {
    let script = stand_ins::cargo(folder, &cargo.replace("pids/", "$TEST_PIDS/"));
    let model = format!("{name}.cfg");
    fs::write(folder.at(&model), net(CONV)).unwrap();
    fs::write(folder.at("one.ppm"), PICTURE).unwrap();
    fs::create_dir(folder.at("pids")).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{before}\nexec \"$@\""), "sh"])
        .arg(env!("CARGO_BIN_EXE_xtask"))
        .args(["run", "--model", &model, "--weights", "random:1"])
        .args(["--grid", "1x1", "--offload", "1", "--target", "portable"])
        .args(["--image", "one.ppm"])
        .env("CARGO", &script)
        .env("TEST_PIDS", folder.at("pids"))
        .env("TEST_EVENT", stand_ins::listening())
        .env("TMPDIR", folder.at("."));
    Running::start(&mut command, folder)
}

/// Waits until `n` processes have written their numbers, all files together.
fn pids(folder: &Folder, n: usize, child: &mut Running) -> Vec<u32> {
    let begun = Instant::now();
    loop {
        let files = fs::read_dir(folder.at("pids")).unwrap();
        let text: String = files
            .map(|f| fs::read_to_string(f.unwrap().path()).unwrap())
            .collect();
        if text.lines().count() >= n && text.ends_with('\n') {
            return text.lines().map(|l| l.parse().unwrap()).collect();
        }
        let said = || fs::read_to_string(folder.at("said")).unwrap();
        let ended = child.0.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", said());
        assert!(begun.elapsed() < LIMIT, "not started: {}", said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The letter that the system has for what a process does; `None` when there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .and_then(|s| s.trim_start().chars().next())
}

/// Whether a process runs; one that has ended and was not waited for does not.
pub fn runs(pid: u32) -> bool {
    state(pid).is_some_and(|s| !matches!(s, 'Z' | 'X'))
}

/// Waits until all processes are stopped, or none is.
fn wait_until_stopped(pids: &[u32], stopped: bool) {
    let begun = Instant::now();
    while let Some(pid) = pids.iter().find(|p| (state(**p) == Some('T')) != stopped) {
        assert!(
            begun.elapsed() < LIMIT,
            "{pid} of {pids:?}: {:?}",
            state(*pid)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Signals that a process holds back, as a mask.
fn blocked(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigBlk:"));
    u64::from_str_radix(mask.unwrap().trim(), 16).unwrap()
}

fn signal(name: &str, pid: u32) {
    let done = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(done.unwrap().success());
}

/// Sends the signal; gives the exit code once everything has ended.
pub fn end(folder: &Folder, child: &mut Running, name: &str, pids: &[u32]) -> Option<i32> {
    assert!(pids.iter().all(|p| runs(*p)), "{pids:?}");
    signal(name, child.0.id());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < LIMIT, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    while let Some(pid) = pids.iter().find(|p| runs(**p)) {
        assert!(begun.elapsed() < LIMIT, "{pid} of {pids:?} still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(status.signal(), None);
    let said = fs::read_to_string(folder.at("said")).unwrap();
    let complaint = said.contains("error") || said.contains("panicked");
    assert!(!complaint, "{said}");
    status.code()
}

#[test]
fn compilers_end_with_the_command() {
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let folder = Folder::new();
        let mut child = run(&folder, "", HANGS, "told-to-end-compiling");
        let pids = pids(&folder, 2, &mut child);
        // Children hear every signal: a test or a script that cargo runs may wait for one.
        assert_eq!(pids.iter().map(|p| blocked(*p)).max(), Some(0));
        assert_eq!(end(&folder, &mut child, name, &pids), Some(code));
    }
}

#[test]
fn nodes_and_their_workers_end_with_the_command() {
    let folder = Folder::new();
    let mut child = run(
        &folder,
        "",
        &stand_ins::makes_nodes(NODE),
        "told-to-end-running",
    );
    // A gateway and two edges, each with a process beneath it.
    let pids = pids(&folder, 6, &mut child);
    assert_eq!(end(&folder, &mut child, "TERM", &pids), Some(143));
    // What it keeps while it runs is gone too.
    let left: Vec<_> = fs::read_dir(folder.at("."))
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.is_dir() && p.file_name() != Path::new("pids").file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nodes_stop_and_go_on_with_the_command() {
    let folder = Folder::new();
    let node = stand_ins::makes_nodes(NODE);
    let mut child = run(&folder, "", &node, "told-to-stop");
    let pids = pids(&folder, 6, &mut child);
    let all: Vec<u32> = pids.iter().copied().chain([child.0.id()]).collect();
    for _ in 0..2 {
        signal("TSTP", child.0.id());
        wait_until_stopped(&all, true);
        signal("CONT", child.0.id());
        wait_until_stopped(&all, false);
    }
    assert_eq!(end(&folder, &mut child, "TERM", &pids), Some(143));
}

#[test]
fn a_signal_that_was_ignored_before_stays_ignored() {
    let folder = Folder::new();
    // As `nohup` does.
    let mut child = run(&folder, "trap '' HUP", HANGS, "told-to-end-without-hup");
    let pids = pids(&folder, 2, &mut child);
    signal("HUP", child.0.id());
    // Signals of one process are heard in the order of their numbers, and HUP is 1: it would win.
    assert_eq!(end(&folder, &mut child, "TERM", &pids), Some(143));
}

#[test]
fn a_reader_that_stands_still_does_not_keep_a_command() {
    let folder = Folder::new().with("net.cfg", net(&CONV.replace("filters=4", "filters=4096")));
    let pipe = folder.at("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // For reading and writing, so that opening waits for nobody. It is never read.
    let reader = fs::File::options().read(true).write(true).open(&pipe);
    let reader = reader.unwrap();
    let full = || {
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 0
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["weights", "random", "--model", "net.cfg", "--out", "pipe"]);
    let mut child = Running::start(&mut command, &folder);
    let begun = Instant::now();
    while !full() {
        assert!(begun.elapsed() < LIMIT, "it does not write");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pids = [child.0.id()];
    assert_eq!(end(&folder, &mut child, "TERM", &pids), Some(143));
}
