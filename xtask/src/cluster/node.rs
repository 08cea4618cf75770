//! A node's process: its start, its events and its end.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::de::DeserializeOwned;
use tessera_plan::files::{events::Event, statistics::EdgeStatistics};

use super::Program;
use crate::children::{self, Started};

/// Most events that the command keeps of one node.
const EVENTS_MAX: usize = 10_000;

/// Events that a node printed on standard output.
type Events = Arc<Mutex<Vec<Event>>>;

/// A running node. Dropping the value kills the node.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) child: Started,
    statistics: PathBuf,
    log: PathBuf,
    events: Events,
}

impl Node {
    /// Asks the node to end, with SIGTERM.
    pub(super) fn terminate(&self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// The events so far that `pick` selects.
    pub(super) fn events<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        let all = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(pick).collect()
    }

    /// The node's statistics; `None` if the node did not end by itself.
    ///
    /// # Errors
    /// When the statistics have another form.
    pub(super) fn statistics<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.read(&self.statistics)
    }

    /// The statistics of the edge that a gateway has started on its board.
    ///
    /// # Errors
    /// As [`Self::statistics`].
    pub(super) fn edge_statistics(&self) -> Result<Option<EdgeStatistics>> {
        self.read(&self.statistics.with_extension("json.edge"))
    }

    fn read<T: DeserializeOwned>(&self, file: &Path) -> Result<Option<T>> {
        let Ok(text) = std::fs::read_to_string(file) else {
            return Ok(None);
        };
        let read = serde_json::from_str(&text);
        read.with_context(|| format!("cannot understand the statistics of {}", self.name))
            .map(Some)
    }

    /// The last lines that the node wrote to stderr.
    pub(super) fn complaint(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `program` with `args`; its files lie in `dir`.
pub(super) fn spawn(
    program: Program<'_>,
    name: String,
    args: &[String],
    dir: &Path,
) -> Result<Node> {
    let statistics = dir.join(format!("{name}.stats.json"));
    let log = dir.join(format!("{name}.log"));
    let mut words = program.runner.iter().copied();
    let mut command = match words.next() {
        Some(runner) => {
            let mut c = Command::new(runner);
            c.args(words).arg(program.node);
            // An edge starts its workers the same way.
            c.env("TESSERA_RUNNER", program.runner.join(" "));
            c
        }
        None => Command::new(program.node),
    };
    command
        .args(args)
        .arg("--stats")
        .arg(&statistics)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?);
    let mut child = children::spawn(&mut command)
        .with_context(|| format!("cannot start {}", program.node.display()))?;
    let events = Events::default();
    if let Some(out) = child.stdout.take() {
        let into = Arc::clone(&events);
        // The thread ends when the last process with the pipe ends.
        std::thread::spawn(move || collect(out, &into));
    }
    Ok(Node {
        name,
        child,
        statistics,
        log,
        events,
    })
}

fn collect(out: ChildStdout, into: &Mutex<Vec<Event>>) {
    let mut out = BufReader::new(out);
    let mut line = String::new();
    while matches!((&mut out).take(1 << 20).read_line(&mut line), Ok(n) if n > 0) {
        if let Ok(event) = serde_json::from_str(&line) {
            let mut all = into.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() < EVENTS_MAX {
                all.push(event);
            }
        }
        line.clear();
    }
}
