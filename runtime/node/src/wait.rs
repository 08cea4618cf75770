//! The events that a node's loop waits for: its socket, its helper threads, signals, the clock.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        time::TimeSpec,
    },
};

use crate::error::NodeError;
use tessera_protocol::Micros;

/// A clock that counts microseconds since its start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts a clock at 0.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Microseconds since the clock's start.
    pub fn now(self) -> Micros {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Wakes the loop from another thread; clones wake the same loop.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// A waker that is not awake.
    ///
    /// # Errors
    /// When the process has too many open files.
    pub fn new() -> Result<Self, NodeError> {
        let fd = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(NodeError::errno("cannot make an event descriptor"))?;
        Ok(Self(Arc::new(fd)))
    }

    /// Wakes the loop, now or at its next wait.
    pub fn wake(&self) {
        // Fails only when the counter is full: then the loop is awake already.
        let _ = self.0.write(1);
    }

    /// Forgets earlier wakes. Look for work after this call, not before.
    pub fn clear(&self) {
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A request that a signal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT, SIGHUP: end this node in good order.
    End(Signal),
    /// SIGUSR2: a gateway ends, and the cluster with it; an edge takes no more frames.
    EndCluster,
    /// SIGUSR1: write the statistics collected so far.
    Statistics,
    /// SIGPROF: begin a trace, or end the one that is made.
    Trace,
}

/// A file descriptor that receives this process' signals.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals and receives them here. Call this function before threads and processes are started,
    /// which inherit the mask, but after all slow work: signals that come before the loop runs wait for the loop.
    ///
    /// # Errors
    /// When the process has too many open files.
    pub fn new() -> Result<Self, NodeError> {
        let what = "cannot wait for signals";
        let mut set = SigSet::empty();
        for signal in [
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGPROF,
        ] {
            set.add(signal);
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if is_ignored(&status, Signal::SIGHUP) {
            set.remove(Signal::SIGHUP); // started by nohup
        }
        set.thread_block().map_err(NodeError::errno(what))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&set, flags).map_err(NodeError::errno(what))?;
        Ok(Self(fd))
    }

    /// The next request that has arrived; `None` when no signal waits.
    pub fn next(&self) -> Option<Asked> {
        let signal = self.0.read_signal().ok().flatten()?;
        let signal = i32::try_from(signal.ssi_signo).ok()?;
        Some(match Signal::try_from(signal).ok()? {
            Signal::SIGUSR1 => Asked::Statistics,
            Signal::SIGUSR2 => Asked::EndCluster,
            Signal::SIGPROF => Asked::Trace,
            signal => Asked::End(signal),
        })
    }
}

/// Whether a signal is ignored, from the text of `/proc/self/status`. A blocked one would arrive all the same.
fn is_ignored(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|m| m >> (signal as u32 - 1) & 1 == 1)
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `fds` can be read, at most `timeout_us` microseconds.
///
/// # Errors
/// When the system call fails.
pub fn wait<const N: usize>(fds: [BorrowedFd<'_>; N], timeout_us: u64) -> Result<(), NodeError> {
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    // A day at most: the kernel refuses times that it cannot count.
    let timeout = TimeSpec::from_duration(Duration::from_micros(timeout_us.min(86_400_000_000)));
    match ppoll(&mut fds, Some(timeout), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(NodeError::errno("cannot wait")(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_seen() {
        let status = "Name:\tnode\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001002\n";
        assert!(is_ignored(status, Signal::SIGPIPE) && is_ignored(status, Signal::SIGINT));
        assert!(!is_ignored(status, Signal::SIGHUP));
    }

    #[test]
    fn a_waker_ends_a_wait_once() {
        let waker = Waker::new().unwrap();
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        // Would take a day otherwise.
        wait([waker.as_fd()], u64::MAX).unwrap();
        thread.join().unwrap();
        waker.wake();
        waker.clear();
        let clock = Clock::start();
        wait([waker.as_fd()], 2_000).unwrap();
        assert!(clock.now() >= 2_000, "cleared wakes do not end a wait");
    }
}
