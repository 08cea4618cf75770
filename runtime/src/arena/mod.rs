//! Working memory of tasks: one block, allocated once, on a 64-byte boundary.

pub mod guarded;

/// float32 values in a cache line: what the memory is aligned to.
const LINE: usize = 16;

/// Working memory that outlives the tasks that use it. Pages that no task touches stay absent.
#[derive(Debug)]
pub struct ArenaMemory {
    memory: Vec<f32>,
    skip: usize,
    floats: usize,
}

impl ArenaMemory {
    /// Zeroed memory for `floats` values.
    pub fn new(floats: usize) -> Self {
        let memory = vec![0.0f32; floats + LINE];
        // Distances between aligned floats are whole floats, less than a line of them.
        let skip = memory.as_ptr().align_offset(4 * LINE).min(LINE);
        Self {
            memory,
            skip,
            floats,
        }
    }

    /// The memory; content is what the last task left.
    pub fn floats(&mut self) -> &mut [f32] {
        &mut self.memory[self.skip..self.skip + self.floats]
    }
}

#[cfg(test)]
mod tests {
    use super::ArenaMemory;

    #[test]
    fn aligned_and_as_long_as_asked() {
        for floats in [0, 1, 15, 16, 17, 1 << 16] {
            let mut a = ArenaMemory::new(floats);
            assert_eq!(a.floats().len(), floats);
            assert_eq!(a.floats().as_ptr() as usize % 64, 0);
        }
    }
}
