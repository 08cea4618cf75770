//! Memory that several threads write side by side, each a strip of it: some channels of every pixel,
//! or some tiles of every matrix.

use std::{
    marker::PhantomData,
    ops::{Index, IndexMut, Range},
};

/// Values `0..width` of every `stride`, as far as `len` goes, borrowed mutably. The values between them belong
/// to others and are out of reach.
///
/// ```text
/// |<- width ->|             |<- width ->|             |<- width
/// |<-------- stride ------->|<-------- stride ------->|<------- ..  len
/// ```
#[derive(Debug)]
pub struct Strip<'a> {
    first: *mut f32,
    len: usize,
    stride: usize,
    width: usize,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: a strip is a mutable borrow of the values that are its own, and of no others; those may go
// where a `&mut [f32]` may.
unsafe impl Send for Strip<'_> {}

impl<'a> Strip<'a> {
    /// Values `own` of every `stride` values of `memory`.
    ///
    /// # Panics
    /// If `own` leaves the stride or the memory, or is empty.
    pub fn new(memory: &'a mut [f32], stride: usize, own: Range<usize>) -> Self {
        // SAFETY: the pointer and the length are the slice's, which is borrowed as a whole.
        unsafe { Self::from_raw(memory.as_mut_ptr(), memory.len(), stride, own) }
    }

    /// As [`Self::new`], over the `len` values from `memory` on.
    ///
    /// # Safety
    /// The values from `memory` on are valid for reads and writes for `'a`; nobody else
    /// reads or writes those that are the strip's own meanwhile.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub unsafe fn from_raw(memory: *mut f32, len: usize, stride: usize, own: Range<usize>) -> Self {
        assert!(
            own.start < own.end && own.end <= stride && own.start < len,
            "a strip of its memory"
        );
        Self {
            // SAFETY: `own.start` is less than the memory's length.
            first: unsafe { memory.add(own.start) },
            len: len - own.start,
            stride,
            width: own.len(),
            memory: PhantomData,
        }
    }

    /// The part of the strip from index `at` on, with `width` values per piece.
    ///
    /// # Panics
    /// If they are not all the strip's own.
    pub fn part(&mut self, at: usize, width: usize) -> Strip<'_> {
        let column = at % self.stride;
        assert!(
            0 < width && column + width <= self.width && at < self.len,
            "a part of the strip"
        );
        Strip {
            // SAFETY: `at` is less than `len`.
            first: unsafe { self.first.add(at) },
            len: self.len - at,
            stride: self.stride,
            width,
            memory: PhantomData,
        }
    }

    /// The `n` values from index `at` on, which lie side by side.
    ///
    /// # Panics
    /// If they are not all the strip's own.
    pub fn values(&mut self, at: usize, n: usize) -> &mut [f32] {
        assert!(
            n <= self.width.min(self.len)
                && at % self.stride <= self.width - n
                && at <= self.len - n,
            "values of the strip"
        );
        // SAFETY: they are the strip's own and inside the memory, which is borrowed for longer.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(at), n) }
    }

    /// Number of values from the strip's first one to the end of the memory, those of others included.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Always false: a strip has at least one value.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Values from the beginning of one piece to that of the next.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Number of values of a piece.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Pointer to the first value. The strip owns the values at `i * stride + j` with `j < width`, as far as
    /// that is less than `len`.
    pub const fn as_mut_ptr(&mut self) -> *mut f32 {
        self.first
    }

    fn check(&self, at: usize) {
        assert!(
            at < self.len && at % self.stride < self.width,
            "value {at} of a strip"
        );
    }
}

impl Index<usize> for Strip<'_> {
    type Output = f32;

    fn index(&self, at: usize) -> &f32 {
        self.check(at);
        // SAFETY: it is the strip's own and inside the memory, which is borrowed for longer.
        unsafe { &*self.first.add(at) }
    }
}

impl IndexMut<usize> for Strip<'_> {
    fn index_mut(&mut self, at: usize) -> &mut f32 {
        self.check(at);
        // SAFETY: as for `index`, and the strip is borrowed mutably.
        unsafe { &mut *self.first.add(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_reaches_what_is_its_own() {
        let mut memory = [0.0; 14];
        let mut strip = Strip::new(&mut memory, 4, 1..3);
        assert_eq!((strip.len(), strip.stride(), strip.width()), (13, 4, 2));
        for at in [0, 1, 4, 5, 8, 9, 12] {
            strip[at] = 1.0;
        }
        assert_eq!(strip.values(4, 2), [1.0, 1.0]);
        let mut part = strip.part(5, 1);
        part[0] = 2.0;
        part[4] = 2.0;
        let want = [0., 1., 1., 0., 0., 1., 2., 0., 0., 1., 2., 0., 0., 1.];
        assert_eq!(memory, want);
    }

    #[test]
    fn others_values_are_refused() {
        let mut memory = [0.0; 12];
        let mut refused = |f: &dyn Fn(&mut Strip<'_>)| {
            let call = std::panic::AssertUnwindSafe(|| f(&mut Strip::new(&mut memory, 4, 1..3)));
            std::panic::catch_unwind(call).is_err()
        };
        assert!(!refused(&|s| s[9] = 1.0));
        assert!(refused(&|s| s[2] = 1.0));
        assert!(refused(&|s| s[3] = 1.0));
        assert!(refused(&|s| s[12] = 1.0));
        assert!(refused(&|s| _ = s.part(1, 2)));
        assert!(refused(&|s| _ = s.part(2, 1)));
        assert!(refused(&|s| _ = s.part(0, 0)));
        assert!(refused(&|s| _ = s.part(12, 1)));
        assert!(refused(&|s| _ = s.values(1, 2)));
        assert!(refused(&|s| _ = s.values(0, usize::MAX)));
        assert!(refused(&|s| _ = s.values(12, 1)));
        assert!(refused(&|s| s.part(1, 1)[1] = 1.0));
    }
}
