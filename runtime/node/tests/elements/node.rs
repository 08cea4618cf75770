//! Processes of the cluster: this test's binary, in a role.

use std::{
    fs::File,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use tessera_plan::files::events::Event;

use super::program::PROGRAM;

/// Longest time that nothing may happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary's `main`: a node of [`PROGRAM`] when it is started with a role, else the harness of one test. The test
/// gives the reason when it is ignored.
pub fn main(name: &str, test: impl FnOnce() -> Result<(), &'static str>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let roles = ["gateway", "edge", "worker"];
    if words.iter().any(|w| roles.contains(&w.as_str())) {
        return tessera_node::main(&[&PROGRAM]);
    }
    let filters: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    if !filters.is_empty() && !filters.iter().any(|f| name.contains(f.as_str())) {
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|w| w == "--list") {
        println!("{name}: test");
        return ExitCode::SUCCESS;
    }
    match test() {
        Ok(()) => println!("test {name} ... ok"),
        Err(reason) => println!("test {name} ... ignored, {reason}"),
    }
    ExitCode::SUCCESS
}

/// A process of the cluster; killed when it is dropped.
pub struct Node {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    statistics: PathBuf,
    log: PathBuf,
}

impl Node {
    /// Starts this binary as `role`.
    pub fn start(dir: &Path, role: &str, args: &[&str], more: impl FnOnce(&mut Command)) -> Self {
        let name = format!(
            "{role}{}",
            args.iter()
                .position(|a| *a == "--id")
                .map_or("", |i| args[i + 1])
        );
        let (statistics, log) = (
            dir.join(format!("{name}.json")),
            dir.join(format!("{name}.log")),
        );
        let exe = std::env::current_exe().expect("this binary");
        let runner = std::env::var("TESSERA_RUNNER").unwrap_or_default();
        let mut words = runner.split_whitespace();
        let mut command = match words.next() {
            Some(first) => {
                let mut c = Command::new(first);
                c.args(words).arg(exe);
                c
            }
            None => Command::new(exe),
        };
        command.arg(role).args(args);
        more(&mut command);
        command
            .arg("--weights")
            .arg(dir.join("weights.bin"))
            .arg("--stats")
            .arg(&statistics)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"));
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self {
            child,
            lines,
            statistics,
            log,
        }
    }

    /// What it tells next.
    pub fn event(&mut self) -> Event {
        let line = self.lines.next();
        let line = line.unwrap_or_else(|| panic!("it tells nothing:\n{}", self.complaint()));
        serde_json::from_str(&line.expect("text")).expect("an event")
    }

    /// Waits until the log of the node contains `words`.
    #[allow(dead_code, reason = "not every test looks at logs")]
    pub fn says(&self, words: &str) {
        let began = Instant::now();
        while !self.complaint().contains(words) {
            assert!(began.elapsed() < PATIENCE, "{}", self.complaint());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn complaint(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for its end; gives what it says of itself.
    pub fn end<T: DeserializeOwned>(mut self) -> T {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => {
                    panic!("it does not end:\n{}", self.complaint())
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        assert!(status.success(), "{status}:\n{}", self.complaint());
        let text = std::fs::read_to_string(&self.statistics).expect("statistics");
        serde_json::from_str(&text).expect("statistics of its role")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
