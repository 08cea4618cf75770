//! Working memory of tasks, and memory for objects that lie outside of slots: allocated once, on a 64-byte
//! boundary. Pages that nobody touches stay absent.

pub mod guarded;

use crate::element;

/// Bytes of a cache line: what the memory is aligned to.
const LINE_BYTES: usize = 64;

/// Zeroed bytes on a 64-byte boundary.
#[derive(Debug)]
pub struct AlignedBytes {
    memory: Vec<u8>,
    /// Bytes before the boundary.
    skipped: usize,
    length: usize,
}

impl AlignedBytes {
    /// `length` zeroed bytes.
    pub fn new(length: usize) -> Self {
        let memory = vec![0; length + LINE_BYTES];
        let skipped = memory.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES);
        Self {
            memory,
            skipped,
            length,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.skipped..self.skipped + self.length]
    }

    /// The bytes, mutably borrowed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.skipped..self.skipped + self.length]
    }
}

/// Working memory that outlives the tasks that use it.
#[derive(Debug)]
pub struct ArenaMemory(AlignedBytes);

impl ArenaMemory {
    /// Zeroed memory for `floats` values.
    pub fn new(floats: usize) -> Self {
        Self(AlignedBytes::new(4 * floats))
    }

    /// The memory. It holds what the last task left.
    pub fn floats(&mut self) -> &mut [f32] {
        element::floats_mut(self.0.bytes_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::{AlignedBytes, ArenaMemory};

    #[test]
    fn aligned_and_as_long_as_asked() {
        for floats in [0, 1, 15, 16, 17, 1 << 16] {
            let mut a = ArenaMemory::new(floats);
            assert_eq!(a.floats().len(), floats);
            assert_eq!(a.floats().as_ptr() as usize % 64, 0);
        }
        for length in [0, 1, 63, 64, 65] {
            let mut a = AlignedBytes::new(length);
            assert_eq!(
                (a.bytes().len(), a.bytes().as_ptr() as usize % 64),
                (length, 0)
            );
            a.bytes_mut().fill(7);
            assert!(a.bytes().iter().all(|b| *b == 7));
        }
    }
}
