//! Words whose user dies before its n-th access: a SIGKILL at any instruction, as far as others can
//! see.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tessera_node::sync::Words;

/// Words that count their user's accesses.
#[derive(Clone, Debug)]
pub struct Mortal<W> {
    words: W,
    /// Accesses left, shared by all words of one life. Not part of what is tested.
    left: Arc<AtomicU32>,
}

/// Unwinds out of a life that is over.
struct Died;

impl<W> Mortal<W> {
    /// Words for a life of so many accesses.
    pub fn new(words: W, left: &Arc<AtomicU32>) -> Self {
        Self {
            words,
            left: Arc::clone(left),
        }
    }

    fn live(&self) -> &W {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            resume_unwind(Box::new(Died));
        }
        self.left.store(left - 1, Ordering::Relaxed);
        &self.words
    }
}

/// Runs a life; `None` when it ended early.
pub fn life<T>(f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(v) => Some(v),
        Err(e) if e.is::<Died>() => None,
        Err(e) => resume_unwind(e),
    }
}

impl<W: Words> Words for Mortal<W> {
    fn count(&self) -> usize {
        self.words.count()
    }

    fn load(&self, i: usize, order: Ordering) -> u32 {
        self.live().load(i, order)
    }

    fn store(&self, i: usize, value: u32, order: Ordering) {
        self.live().store(i, value, order);
    }

    fn compare_exchange(
        &self,
        i: usize,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.live()
            .compare_exchange(i, current, new, success, failure)
    }

    fn fence(&self, order: Ordering) {
        self.live().fence(order);
    }
}
