//! Clocks: time that passes, and time that a thread worked.

use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

/// Microseconds since its start.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock at 0.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since its start.
    pub fn now_us(self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// CPU time of the calling thread so far, in user and kernel, in microseconds.
pub fn thread_cpu_us() -> u64 {
    let Ok(used) = getrusage(UsageWho::RUSAGE_THREAD) else {
        return 0;
    };
    let us = |t: nix::sys::time::TimeVal| (t.tv_sec() * 1_000_000 + t.tv_usec()) as u64;
    us(used.user_time()) + us(used.system_time())
}
