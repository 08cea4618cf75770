//! A thread that does a thing over and over until it is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// See the module. Whoever drops it waits for the end of the last turn.
#[derive(Debug)]
pub struct Turning {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Turning {
    /// Starts the thread. `turn` returns soon, so that the thread sees its end.
    pub fn start(mut turn: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                turn();
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
