//! What a stream brought, counted by its thread and read by others.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tessera_plan::files::statistics::StreamCounts;

/// Counters of a stream.
#[derive(Debug)]
pub struct Counts {
    name: String,
    brought: AtomicU64,
    taken: AtomicU64,
    replaced: AtomicU64,
    restarts: AtomicU64,
    stalls: AtomicU64,
}

impl Counts {
    /// All zero; `name` is shown with them.
    pub const fn new(name: String) -> Self {
        Self {
            name,
            brought: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A frame was decoded.
    pub fn brought(&self) {
        self.brought.fetch_add(1, Relaxed);
    }

    /// A frame was taken.
    pub fn took(&self) {
        self.taken.fetch_add(1, Relaxed);
    }

    /// A frame was replaced by a newer one.
    pub fn replaced(&self) {
        self.replaced.fetch_add(1, Relaxed);
    }

    /// The stream is begun anew, because it stood still or not.
    pub fn restarts(&self, stalled: bool) {
        self.restarts.fetch_add(1, Relaxed);
        self.stalls.fetch_add(u64::from(stalled), Relaxed);
    }

    /// The counters as they are.
    pub fn now(&self) -> StreamCounts {
        StreamCounts {
            name: self.name.clone(),
            brought: self.brought.load(Relaxed),
            taken: self.taken.load(Relaxed),
            replaced: self.replaced.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            stalls: self.stalls.load(Relaxed),
        }
    }
}
