//! A worker process' report of itself, in its line of the segment. The report serves statistics, and tells the
//! worker's process id.

use core::sync::atomic::Ordering::Relaxed;

use super::layout::LINE_WORDS;
use crate::sync::Words;

/// Word of the peak resident memory, in KiB.
const PEAK_KIB: usize = 0;
/// Word that is 1 once the worker has begun to wait for jobs.
const READY: usize = 1;
/// Word of the process id; 0 until the worker writes it.
const PID: usize = 2;

/// A worker's line in the segment.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLine<'a, W> {
    words: &'a W,
    line: usize,
}

impl<'a, W: Words> WorkerLine<'a, W> {
    /// The line of worker number `worker`.
    pub fn new(words: &'a W, worker: usize) -> Self {
        Self {
            words,
            line: worker * LINE_WORDS,
        }
    }

    /// Zeroes the line for a new process.
    pub fn clear(&self) {
        for i in 0..LINE_WORDS {
            self.words.store(self.line + i, 0, Relaxed);
        }
    }

    /// Writes the worker's process id. A command before the worker gives the started process another id.
    pub fn set_pid(&self, pid: u32) {
        self.words.store(self.line + PID, pid, Relaxed);
    }

    /// The worker's process id; `None` until the worker has written the id.
    pub fn pid(&self) -> Option<u32> {
        Some(self.words.load(self.line + PID, Relaxed)).filter(|&pid| pid > 0)
    }

    /// Notes that the worker waits for jobs.
    pub fn set_ready(&self) {
        self.words.store(self.line + READY, 1, Relaxed);
    }

    /// Whether the worker has begun to wait for jobs.
    pub fn is_ready(&self) -> bool {
        self.words.load(self.line + READY, Relaxed) == 1
    }

    /// Writes the peak resident memory (`VmHWM`), rounded to KiB.
    pub fn set_peak_bytes(&self, bytes: u64) {
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        self.words.store(self.line + PEAK_KIB, kib, Relaxed);
    }

    /// The peak resident memory in bytes, as last written.
    pub fn peak_bytes(&self) -> u64 {
        u64::from(self.words.load(self.line + PEAK_KIB, Relaxed)) * 1024
    }
}
