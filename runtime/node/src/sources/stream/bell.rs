//! Wakes the thread that waits for several streams.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Longest wait without a look.
const LOOK: Duration = Duration::from_secs(1);

/// A bell that threads ring and one waits for; clones are the same bell.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    /// Rings; whoever waits next does not wait.
    pub fn ring(&self) {
        let (rung, changed) = &*self.0;
        *rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Waits until the bell has rung since the last wait, until `until`, or for a second.
    pub fn wait(&self, until: Option<Instant>) {
        let (rung, changed) = &*self.0;
        let left = until.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()));
        let held = rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(held, left.min(LOOK), |rung| !*rung);
        let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *held = false;
    }
}
