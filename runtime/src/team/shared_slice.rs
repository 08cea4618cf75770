//! A layer's output and working memory, of which every thread of a team has parts of its own.

use std::{marker::PhantomData, ops::Range, slice};

use crate::strip::Strip;

/// SharedSlice that threads have disjoint parts of.
#[derive(Clone, Copy)]
pub(super) struct SharedSlice<'a> {
    first: *mut f32,
    len: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: whoever takes a part promises that nobody else has it.
unsafe impl Sync for SharedSlice<'_> {}

impl<'a> SharedSlice<'a> {
    /// All of `memory`.
    pub(super) const fn new(memory: &'a mut [f32]) -> Self {
        Self {
            first: memory.as_mut_ptr(),
            len: memory.len(),
            borrowed: PhantomData,
        }
    }

    /// A part of it.
    ///
    /// # Safety
    /// Nobody else has any of it while the result lives.
    ///
    /// # Panics
    /// If the part leaves the memory.
    pub(super) unsafe fn part(&self, part: Range<usize>) -> &'a mut [f32] {
        assert!(part.start <= part.end && part.end <= self.len, "a part");
        // SAFETY: it lies inside a slice that was borrowed mutably, and the caller has it alone.
        unsafe { slice::from_raw_parts_mut(self.first.add(part.start), part.len()) }
    }

    /// Values `own` of every `stride`.
    ///
    /// # Safety
    /// As for [`Self::part`].
    ///
    /// # Panics
    /// As [`Strip::new`].
    pub(super) unsafe fn strip(&self, stride: usize, own: Range<usize>) -> Strip<'a> {
        // SAFETY: it is a part of a slice that was borrowed mutably, and the caller has it alone.
        unsafe { Strip::from_raw(self.first, self.len, stride, own) }
    }
}
