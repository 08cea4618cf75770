//! Atomic words behind a trait, so that one source runs in shared memory (production), on the heap
//! (tests, miri) and on loom's words (`tests/loom.rs`).

use core::sync::atomic::{AtomicU32, Ordering};

/// A fixed run of atomic words, all zero when new. Indices out of range panic.
pub trait Words {
    /// Number of words in the run.
    fn count(&self) -> usize;

    /// Reads word `i`.
    fn load(&self, i: usize, order: Ordering) -> u32;

    /// Writes word `i`.
    fn store(&self, i: usize, value: u32, order: Ordering);

    /// Writes `new` into word `i` if it holds `current`.
    ///
    /// # Errors
    /// The word's value, when it differs from `current`.
    fn compare_exchange(
        &self,
        i: usize,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32>;

    /// Orders the accesses before the fence and those behind it.
    fn fence(&self, order: Ordering);
}

/// Types that hold real atomics: `Arc<[AtomicU32]>` on the heap, [`crate::shm::ShmWords`].
impl<T: AsRef<[AtomicU32]>> Words for T {
    fn count(&self) -> usize {
        self.as_ref().len()
    }

    fn load(&self, i: usize, order: Ordering) -> u32 {
        self.as_ref()[i].load(order)
    }

    fn store(&self, i: usize, value: u32, order: Ordering) {
        self.as_ref()[i].store(value, order);
    }

    fn compare_exchange(
        &self,
        i: usize,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.as_ref()[i].compare_exchange(current, new, success, failure)
    }

    fn fence(&self, order: Ordering) {
        core::sync::atomic::fence(order);
    }
}

/// `count` zero words on the heap.
pub fn heap_words(count: usize) -> std::sync::Arc<[AtomicU32]> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}
