//! Node processes: a process group with the events, lines and statistics of a node.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, Read},
    ops::Deref,
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::group::{Group, wait_for};

/// Most lines of a node's standard output that the rig keeps; the oldest lines go first.
const LINES_MAX: usize = 4096;
/// Longest accepted line, in bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// A node's process group, with the node's events from standard output and its statistics from a file.
#[derive(Debug)]
pub struct Process {
    group: Group,
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Fills `lines`.
    reader: Option<JoinHandle<()>>,
    stats: PathBuf,
}

impl Deref for Process {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.group
    }
}

impl Process {
    /// Starts `command` with `--stats FILE`; the process's files are `DIR/NAME.*`.
    ///
    /// # Errors
    /// When the command cannot be started.
    pub fn start(mut command: Command, name: &str, dir: &Path) -> Result<Self> {
        let stats = dir.join(format!("{name}.stats.json"));
        let _ = fs::remove_file(&stats);
        command.arg("--stats").arg(&stats).stdout(Stdio::piped());
        let mut group = Group::start(command, name, dir)?;
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let reader = group.take_output().map(|out| {
            let into = Arc::clone(&lines);
            // The thread ends when the last process of the group closes its output.
            std::thread::spawn(move || collect(out, &into))
        });
        Ok(Self {
            group,
            lines,
            reader,
            stats,
        })
    }

    /// Lines of standard output so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// All lines of standard output, after the last writer has closed the output.
    ///
    /// # Errors
    /// When a process still has the output open after `within`.
    pub fn all_lines(&self, within: Duration) -> Result<Vec<String>> {
        let ended = || self.reader.as_ref().is_none_or(JoinHandle::is_finished);
        wait_for(within, || Ok(ended().then_some(())))
            .with_context(|| format!("{}: waiting for the end of its output", self.name()))?;
        Ok(self.lines())
    }

    /// Waits for a JSON line whose `event` is `name`.
    ///
    /// # Errors
    /// When the line does not come in time or the process ends first.
    pub fn event(&self, name: &str, within: Duration) -> Result<Value> {
        let mut ended = None;
        wait_for(within, || {
            // The end comes first: lines that the process wrote before its end count.
            let end = ended.take();
            let found = self
                .lines()
                .iter()
                .filter_map(|l| serde_json::from_str::<Value>(l).ok())
                .find(|v| v["event"] == name);
            if found.is_none()
                && let Some(end) = end
            {
                bail!(
                    "{} ended ({end:?}) before {name:?}:\n{}",
                    self.name(),
                    self.complaint()
                );
            }
            ended = self.end()?;
            Ok(found)
        })
        .with_context(|| format!("{}: waiting for {name:?}", self.name()))
    }

    /// Asks the node for its statistics so far (SIGUSR1) and waits for them. The node must listen for signals
    /// already: call this function only after the node's first event.
    ///
    /// # Errors
    /// When the statistics do not come in time.
    pub fn ask(&self, within: Duration) -> Result<Value> {
        let _ = fs::remove_file(&self.stats);
        self.signal(Signal::SIGUSR1)?;
        let stats = wait_for(within, || Ok(self.stats.exists().then(|| self.stats())))?;
        stats.with_context(|| format!("{}: statistics", self.name()))
    }

    /// The file of the node's statistics.
    pub fn stats_file(&self) -> &Path {
        &self.stats
    }

    /// Statistics that the node has written.
    ///
    /// # Errors
    /// When the node has written no statistics.
    pub fn stats(&self) -> Result<Value> {
        let text = fs::read(&self.stats)
            .with_context(|| format!("{} wrote no statistics", self.name()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

fn collect(out: ChildStdout, into: &Mutex<VecDeque<String>>) {
    let mut out = BufReader::new(out);
    loop {
        let mut line = Vec::new();
        match (&mut out).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut lines = into.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_string());
    }
}
