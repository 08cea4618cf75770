//! The processes that a command starts. Signals that end, stop or continue the command do the same to its children.
//!
//! A child leads a process group of its own: the processes that the child starts (a node's workers, cargo's
//! compilers) end with the child. A terminal's Ctrl-C and Ctrl-Z therefore reach the command alone. One thread waits
//! for SIGINT, SIGTERM and SIGHUP: the thread ends every group, gives the command's own work a moment to return, and
//! ends the command. On SIGTSTP the thread stops every group and the command; when a shell continues the command, the
//! groups continue too. Handlers catch the signals, and no mask blocks them: children would inherit a mask (the
//! standard library does not reset masks) and would ignore requests to end.

use std::{
    collections::BTreeSet,
    io,
    ops::{Deref, DerefMut},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use signal_hook::{iterator::Signals, low_level::emulate_default_handler};

/// Signals that end a command.
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// Time that children have to end.
const GRACE: Duration = Duration::from_secs(2);
/// Time that the command has, after its children's end, to remove its temporary files.
const TIDY: Duration = Duration::from_millis(500);

/// Running children, and the signal to end, if one came.
struct Running {
    /// Process groups of children that nobody has waited for.
    groups: BTreeSet<i32>,
    /// The signal that told the command to end.
    told: Option<Signal>,
}

static RUNNING: Mutex<Running> = Mutex::new(Running {
    groups: BTreeSet::new(),
    told: None,
});

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signals that the command ignores because its parent asked so, as `nohup` does.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok())
        .unwrap_or(0)
}

/// Begins to listen for signals. The command and its children keep ignoring signals that the command ignores at
/// its start.
///
/// # Errors
/// When the handlers or the thread cannot be set up.
pub fn listen() -> io::Result<()> {
    let ignored = ignored();
    let heard = ENDS
        .into_iter()
        .chain([Signal::SIGTSTP])
        .map(|s| s as i32)
        .filter(|s| ignored & (1 << (s - 1)) == 0);
    let mut signals = Signals::new(heard)?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                match Signal::try_from(signal) {
                    Ok(Signal::SIGTSTP) => stop(),
                    Ok(signal) => end(signal),
                    Err(_) => {}
                }
            }
        })?;
    Ok(())
}

/// The exit code of a command that a signal ended, as shells report the code: 128 + N.
fn code(signal: Signal) -> i32 {
    128 + signal as i32
}

/// The exit code, if a signal told the command to end; `None` otherwise.
pub fn told() -> Option<i32> {
    running().told.map(code)
}

impl Running {
    fn signal(&self, signal: Signal) {
        for group in &self.groups {
            let _ = killpg(Pid::from_raw(*group), signal);
        }
    }
}

/// Stops all children and the command. When somebody continues the command, continues the children and returns.
fn stop() {
    // The lock is held until the end, so that no child starts in between.
    let running = running();
    running.signal(Signal::SIGSTOP);
    let _ = emulate_default_handler(Signal::SIGTSTP as i32);
    running.signal(Signal::SIGCONT);
}

/// What is to be put in order before a signal ends the command.
static AT_END: Mutex<Option<fn()>> = Mutex::new(None);

/// Calls `tidy` before a signal ends the command.
pub fn at_end(tidy: fn()) {
    *AT_END.lock().unwrap_or_else(PoisonError::into_inner) = Some(tidy);
}

/// Ends all children, then the command, with the exit code of `signal`.
fn end(signal: Signal) {
    running().told = Some(signal);
    let tidy = *AT_END.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tidy) = tidy {
        tidy();
    }
    if running().groups.is_empty() {
        std::process::exit(code(signal));
    }
    running().signal(Signal::SIGTERM);
    let begun = Instant::now();
    while !running().groups.is_empty() && begun.elapsed() < GRACE {
        thread::sleep(Duration::from_millis(5));
    }
    running().signal(Signal::SIGKILL);
    thread::sleep(TIDY);
    std::process::exit(code(signal));
}

/// A child that ends when a signal tells the command to end.
#[derive(Debug)]
pub struct Started {
    child: Child,
    _group: Group,
}

/// A process group's entry in [`RUNNING`].
#[derive(Debug)]
struct Group(i32);

impl Drop for Group {
    fn drop(&mut self) {
        running().groups.remove(&self.0);
    }
}

impl Deref for Started {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Started {
    /// Waits for the child's end; returns its status and output.
    ///
    /// # Errors
    /// As [`Child::wait_with_output`].
    pub fn output(self) -> io::Result<Output> {
        self.child.wait_with_output()
    }
}

/// Starts a child as [`Command::spawn`] does. Wait for the child before you drop it.
///
/// # Errors
/// As [`Command::spawn`], and when a signal has told the command to end.
pub fn spawn(command: &mut Command) -> io::Result<Started> {
    // The lock is held while the child starts: a signal either reaches the child or prevents its start.
    let mut running = running();
    if running.told.is_some() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let child = command.process_group(0).spawn()?;
    let group = i32::try_from(child.id()).map_err(io::Error::other)?;
    running.groups.insert(group);
    Ok(Started {
        child,
        _group: Group(group),
    })
}

/// Runs a child and collects its output as [`Command::output`] does.
///
/// # Errors
/// As [`Command::output`] and [`spawn`].
pub fn output(command: &mut Command) -> io::Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    spawn(command)?.output()
}

/// Runs a child to its end as [`Command::status`] does.
///
/// # Errors
/// As [`Command::status`] and [`spawn`].
pub fn status(command: &mut Command) -> io::Result<ExitStatus> {
    spawn(command)?.wait()
}
