//! Working memory that shows how much of it a task uses, for `solo --guard`.

use std::{ffi::c_void, num::NonZero, ptr::NonNull};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Bits that no task computes: a signalling NaN with a pattern.
const POISON: u32 = 0x7fa5_5a5a;
const PAGE: usize = 4096;
const LINE: usize = 64;

/// Memory whose last line ends at a page that nobody may touch: a task that reaches beyond its arena ends with
/// a segmentation fault instead of with values of others.
#[derive(Debug)]
pub struct GuardedArena {
    map: NonNull<c_void>,
    /// Bytes before the guard page.
    bytes: usize,
}

impl GuardedArena {
    /// Memory for at most `floats` values.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(floats: usize) -> nix::Result<Self> {
        let bytes = (4 * floats).next_multiple_of(PAGE).max(PAGE);
        let length = NonZero::new(bytes + PAGE).ok_or(nix::Error::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping at a place of the kernel's choice touches nobody's memory.
        let map = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE)? };
        let arena = Self { map, bytes };
        // SAFETY: the last page of the mapping; no reference into the mapping exists yet.
        unsafe { mprotect(map.byte_add(bytes), PAGE, ProtFlags::PROT_NONE)? };
        Ok(arena)
    }

    /// Poisoned memory for `floats` values, on a 64-byte boundary, with the guard page less than 64
    /// bytes behind it.
    ///
    /// # Panics
    /// If it was made for fewer.
    pub fn floats(&mut self, floats: usize) -> &mut [f32] {
        // SAFETY: the values lie inside the mapping, before the guard page; they are aligned, all bit
        // patterns are values, and `self` is borrowed for as long as they are.
        let values = unsafe { std::slice::from_raw_parts_mut(self.first(floats).as_ptr(), floats) };
        values.fill(f32::from_bits(POISON));
        values
    }

    /// The values that [`Self::floats`] last gave. `floats` is their number.
    pub fn last(&self, floats: usize) -> &[f32] {
        // SAFETY: as there; the borrow that it gave has ended.
        unsafe { std::slice::from_raw_parts(self.first(floats).as_ptr(), floats) }
    }

    /// First of the `floats` values before the guard page.
    fn first(&self, floats: usize) -> NonNull<f32> {
        let taken = (4 * floats).next_multiple_of(LINE);
        assert!(taken <= self.bytes, "an arena of {floats} values");
        // SAFETY: inside the mapping.
        unsafe { self.map.byte_add(self.bytes - taken).cast() }
    }
}

/// Number of values up to the last one that was written since [`GuardedArena::floats`] gave them.
pub fn high_water(values: &[f32]) -> usize {
    let written = |v: &f32| v.to_bits() != POISON;
    values.iter().rposition(written).map_or(0, |i| i + 1)
}

impl Drop for GuardedArena {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone, and no reference outlives it. An error leaves the
        // mapping to the end of the process.
        let _ = unsafe { munmap(self.map, self.bytes + PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::{GuardedArena, high_water};

    #[test]
    fn what_was_written_shows() {
        let mut arena = GuardedArena::new(5000).unwrap();
        for floats in [0, 1, 100, 1024, 5000] {
            let values = arena.floats(floats);
            assert_eq!((values.len(), values.as_ptr() as usize % 64), (floats, 0));
            assert_eq!(high_water(values), 0);
            for i in [0, floats / 2, floats.saturating_sub(1)] {
                if let Some(v) = values.get_mut(i) {
                    *v = 0.0;
                    assert_eq!(high_water(values), i + 1);
                }
            }
        }
    }
}
