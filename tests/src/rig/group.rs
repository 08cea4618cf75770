//! A process and everything that it starts: started, watched, ended; never left behind.

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

/// A process and everything it started: they form one process group, which ends with this.
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
    /// When it cannot be started.
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

    /// Standard output, once, where the command pipes it.
    pub const fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub const fn id(&self) -> i32 {
        self.group.as_raw()
    }

    /// Sends a signal to the process alone.
    ///
    /// # Errors
    /// When it is not there.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.group, signal)?)
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

    /// Stops one of [`Group::children`] in its tracks, or lets it go on.
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

    /// All that it wrote to standard error.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// The last lines of that.
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
