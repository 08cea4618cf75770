//! One node process: started, watched, ended; never left behind.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use serde_json::Value;

/// Most lines of a node's standard output that are kept; the oldest go first.
const LINES_MAX: usize = 4096;
/// Longest line.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Between two looks at something awaited.
const LOOK: Duration = Duration::from_millis(5);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It left with this code.
    Code(i32),
    /// It was killed.
    Signal(Signal),
}

/// A node process and everything it started: they form one process group, which ends with this.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Fills `lines`.
    reader: Option<JoinHandle<()>>,
    stderr: PathBuf,
    stats: PathBuf,
}

impl Process {
    /// Starts `command` with `--stats FILE`; its files are `DIR/NAME.*`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, name: &str, dir: &Path) -> Result<Self> {
        let stats = dir.join(format!("{name}.stats.json"));
        let stderr = dir.join(format!("{name}.stderr"));
        let _ = fs::remove_file(&stats);
        let mut child = command
            .arg("--stats")
            .arg(&stats)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let group = Pid::from_raw(i32::try_from(child.id())?);
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let reader = child.stdout.take().map(|out| {
            let into = Arc::clone(&lines);
            // Ends when the last process of the group closes its output.
            std::thread::spawn(move || collect(out, &into))
        });
        Ok(Self {
            name: name.into(),
            child,
            group,
            lines,
            reader,
            stderr,
            stats,
        })
    }

    /// Name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub fn id(&self) -> i32 {
        self.group.as_raw()
    }

    /// Lines of standard output so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Lines of standard output once nobody writes there any more.
    ///
    /// # Errors
    /// When somebody still does after `within`.
    pub fn all_lines(&self, within: Duration) -> Result<Vec<String>> {
        let ended = || self.reader.as_ref().is_none_or(JoinHandle::is_finished);
        wait_for(within, || Ok(ended().then_some(())))
            .with_context(|| format!("{}: waiting for the end of its output", self.name))?;
        Ok(self.lines())
    }

    /// Waits for a JSON line whose `event` is `name`.
    ///
    /// # Errors
    /// When it does not come in time or the process ends first.
    pub fn event(&self, name: &str, within: Duration) -> Result<Value> {
        let mut ended = None;
        wait_for(within, || {
            // In this order: what it wrote before its end counts.
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
                    self.name,
                    self.complaint()
                );
            }
            ended = self.end()?;
            Ok(found)
        })
        .with_context(|| format!("{}: waiting for {name:?}", self.name))
    }

    /// How it ended; `None` while it runs. It stays a zombie, so that its id stays its own.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn end(&self) -> Result<Option<End>> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        Ok(match waitid(Id::Pid(self.group), flags)? {
            WaitStatus::Exited(_, code) => Some(End::Code(code)),
            WaitStatus::Signaled(_, signal, _) => Some(End::Signal(signal)),
            _ => None,
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs then.
    pub fn wait(&self, within: Duration) -> Result<End> {
        wait_for(within, || self.end())
            .with_context(|| format!("{} did not end:\n{}", self.name, self.complaint()))
    }

    /// Kills it (SIGKILL), not the processes that it started, and waits for its end.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn kill(&self) -> Result<()> {
        if let Some(end) = self.end()? {
            bail!("{} had already ended: {end:?}", self.name);
        }
        kill(self.group, Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10)).map(|_| ())
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&self, within: Duration) -> Result<End> {
        if let Some(end) = self.end()? {
            return Ok(end);
        }
        kill(self.group, Signal::SIGTERM)?;
        self.wait(within)
    }

    /// Stops it in its tracks together with all it started, or lets them go on.
    ///
    /// # Errors
    /// When there is nobody left.
    pub fn pause(&self, on: bool) -> Result<()> {
        let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
        killpg(self.group, signal).with_context(|| self.name.clone())
    }

    /// Ids of the processes that it started and that still run.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn children(&self) -> Result<Vec<i32>> {
        let mut ids = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.group))? {
            // A thread may end in between.
            let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
            ids.extend(
                text.split_whitespace()
                    .filter_map(|w| w.parse::<i32>().ok()),
            );
        }
        Ok(ids)
    }

    /// Kills (SIGKILL) one of [`Process::children`].
    ///
    /// # Errors
    /// When it is not a child of this process.
    pub fn kill_child(&self, id: i32) -> Result<()> {
        if !self.children()?.contains(&id) {
            bail!("{id} was not started by {}", self.name);
        }
        kill(Pid::from_raw(id), Signal::SIGKILL)?;
        Ok(())
    }

    /// Stops one of [`Process::children`] in its tracks, or lets it go on.
    ///
    /// # Errors
    /// When it is not a child of this process.
    pub fn pause_child(&self, id: i32, on: bool) -> Result<()> {
        if !self.children()?.contains(&id) {
            bail!("{id} was not started by {}", self.name);
        }
        let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
        kill(Pid::from_raw(id), signal)?;
        Ok(())
    }

    /// Asks it for its statistics so far (SIGUSR1) and waits for them. Only when it is known to
    /// listen for signals: it has told something.
    ///
    /// # Errors
    /// When they do not come in time.
    pub fn ask(&self, within: Duration) -> Result<Value> {
        let _ = fs::remove_file(&self.stats);
        kill(self.group, Signal::SIGUSR1)?;
        let stats = wait_for(within, || Ok(self.stats.exists().then(|| self.stats())))?;
        stats.with_context(|| format!("{}: statistics", self.name))
    }

    /// Waits until no process that it started runs any more; it has ended itself.
    ///
    /// # Errors
    /// When some still run then.
    pub fn wait_alone(&self, within: Duration) -> Result<()> {
        wait_for(within, || {
            let others = members(self.group)?;
            Ok(others.is_empty().then_some(()))
        })
        .with_context(|| format!("{} left processes behind", self.name))
    }

    /// Its statistics, when it has written them.
    ///
    /// # Errors
    /// When there are none.
    pub fn stats(&self) -> Result<Value> {
        let text =
            fs::read(&self.stats).with_context(|| format!("{} wrote no statistics", self.name))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The last lines that it wrote to standard error.
    pub fn complaint(&self) -> String {
        let text = fs::read(&self.stderr).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The leader is not reaped yet, so the group's id cannot have become somebody else's.
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
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

/// Running processes of a group, from `/proc/ID/stat`; zombies do not count.
fn members(group: Pid) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // `id (name) state parent group ...`; the name may hold anything.
        let mut words = stat.rsplit(") ").next().unwrap_or("").split(' ');
        let (state, its) = (words.next(), words.nth(1));
        if state != Some("Z") && its == Some(&group.to_string()) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Looks until `look` gives something.
///
/// # Errors
/// When it fails, or time is over.
pub fn wait_for<T>(within: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(e) if e.downcast_ref::<Errno>() == Some(&Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
        if begun.elapsed() > within {
            bail!("nothing after {:.0} s", within.as_secs_f64());
        }
        std::thread::sleep(LOOK);
    }
}
