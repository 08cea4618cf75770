//! An area of a segment as atomic words.

use std::sync::{Arc, atomic::AtomicU32};

use memmap2::MmapRaw;

/// Atomic 32-bit words of a mapped segment. The words keep the mapping alive.
#[derive(Clone, Debug)]
pub struct ShmWords {
    pub(super) map: Arc<MmapRaw>,
    /// Offset of the first word in bytes, a multiple of 4.
    pub(super) start: usize,
    pub(super) words: usize,
}

impl AsRef<[AtomicU32]> for ShmWords {
    fn as_ref(&self) -> &[AtomicU32] {
        // SAFETY: `Segment::words` checked that the words lie in the mapping, which lives as long
        // as `self.map` and, being sealed, is backed everywhere. They begin on a multiple of 4 of a
        // page-aligned mapping. Every process accesses the bytes before the slots as atomic words
        // only (the header is not among them), so no access races with a plain one.
        unsafe {
            std::slice::from_raw_parts(
                self.map
                    .as_mut_ptr()
                    .add(self.start)
                    .cast::<AtomicU32>()
                    .cast_const(),
                self.words,
            )
        }
    }
}
