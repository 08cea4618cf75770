//! Process groups: a process and everything that the process starts. No process outlives its group's owner.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
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

/// Time between two looks during a wait.
const LOOK: Duration = Duration::from_millis(5);

/// Ticks of processor time in a second, as Linux tells them on every processor that this project knows (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process exited with this code.
    Code(i32),
    /// This signal killed the process.
    Signal(Signal),
}

/// A process and everything that the process started, as one process group. Dropping the value kills the group.
#[derive(Debug)]
pub struct Group {
    name: String,
    child: Child,
    group: Pid,
    stderr: PathBuf,
}

impl Group {
    /// Starts `command`, without standard input; standard error goes to `DIR/NAME.stderr`.
    ///
    /// # Errors
    /// When the command cannot be started.
    pub fn start(mut command: Command, name: &str, dir: &Path) -> Result<Self> {
        let stderr = dir.join(format!("{name}.stderr"));
        let child = command
            .stdin(Stdio::null())
            .stderr(File::create(&stderr)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self {
            name: name.into(),
            group: Pid::from_raw(i32::try_from(child.id())?),
            child,
            stderr,
        })
    }

    /// Takes the pipe of standard output; `None` without a pipe, and after the first call.
    pub const fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Name of the process, as given to [`Self::start`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id of the group's leader.
    pub const fn id(&self) -> i32 {
        self.group.as_raw()
    }

    /// Sends a signal to the process alone.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.group, signal)?)
    }

    /// The process's end; `None` while the process runs. The ended process stays a zombie, so that no other process
    /// gets its id.
    ///
    /// # Errors
    /// When the system does not know the process.
    pub fn end(&self) -> Result<Option<End>> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        Ok(match waitid(Id::Pid(self.group), flags)? {
            WaitStatus::Exited(_, code) => Some(End::Code(code)),
            WaitStatus::Signaled(_, signal, _) => Some(End::Signal(signal)),
            _ => None,
        })
    }

    /// Waits at most `within` for the process's end.
    ///
    /// # Errors
    /// When the process still runs after `within`.
    pub fn wait(&self, within: Duration) -> Result<End> {
        wait_for(within, || self.end())
            .with_context(|| format!("{} did not end:\n{}", self.name, self.complaint()))
    }

    /// Kills the process (SIGKILL), but not the processes that it started, and waits for its end.
    ///
    /// # Errors
    /// When the process had ended before.
    pub fn kill(&self) -> Result<()> {
        if let Some(end) = self.end()? {
            bail!("{} had already ended: {end:?}", self.name);
        }
        kill(self.group, Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10)).map(|_| ())
    }

    /// Asks the process to end (SIGTERM) and waits at most `within` for its end.
    ///
    /// # Errors
    /// When the process does not end in time.
    pub fn stop(&self, within: Duration) -> Result<End> {
        if let Some(end) = self.end()? {
            return Ok(end);
        }
        kill(self.group, Signal::SIGTERM)?;
        self.wait(within)
    }

    /// Pauses all processes of the group if `on` is true, otherwise continues them.
    ///
    /// # Errors
    /// When the group has no processes left.
    pub fn pause(&self, on: bool) -> Result<()> {
        let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
        killpg(self.group, signal).with_context(|| self.name.clone())
    }

    /// Ids of the children that still run.
    ///
    /// # Errors
    /// When the system does not list the children.
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

    /// Seconds of processor time that the process and its children have taken, user and system.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn processor_s(&self) -> Result<f64> {
        let mut all = self.children()?;
        all.push(self.group.as_raw());
        let mut ticks = 0;
        for id in all {
            // A child may end in between. The name, which may have spaces, is in parentheses.
            let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let behind = text.rsplit(')').next().unwrap_or_default();
            let times = behind.split_whitespace().skip(11).take(2);
            ticks += times.filter_map(|t| t.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(ticks as f64 / TICKS_PER_S)
    }

    /// Proportional set size (`Pss`) of the process and its children, in bytes: pages that several processes share
    /// count in parts.
    ///
    /// # Errors
    /// When the system does not list the children.
    pub fn proportional_bytes(&self) -> Result<u64> {
        let mut all = self.children()?;
        all.push(self.group.as_raw());
        let bytes = |id: &i32| {
            // A process may end in between.
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
            let word = line.and_then(|l| l.split_whitespace().next());
            1024 * word.and_then(|w| w.parse::<u64>().ok()).unwrap_or(0)
        };
        Ok(all.iter().map(bytes).sum())
    }

    /// Kills (SIGKILL) one of [`Group::children`].
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

    /// Pauses one of [`Group::children`] if `on` is true, otherwise continues the child.
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

    /// Waits, after the leader's end, until no process of the group runs any more.
    ///
    /// # Errors
    /// When a process still runs after `within`.
    pub fn wait_alone(&self, within: Duration) -> Result<()> {
        wait_for(within, || {
            let others = members(self.group)?;
            Ok(others.is_empty().then_some(()))
        })
        .with_context(|| format!("{} left processes behind", self.name))
    }

    /// All text that the process wrote to standard error.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// The last lines of [`Self::errors`].
    pub fn complaint(&self) -> String {
        let text = self.errors();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The leader is not reaped yet, so the group's id cannot have become somebody else's.
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
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

/// Calls `look` again and again until it returns a value.
///
/// # Errors
/// When `look` fails, or returns no value within `within`.
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
