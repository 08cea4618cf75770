//! Working memory, lent buffer by buffer: one to write and several to read, checked once per firing.

use std::ops::Range;

use super::Buffer;
use crate::profile::Profile;

/// Working memory of one task.
#[derive(Debug)]
pub struct Arena<'a> {
    pub(super) floats: &'a mut [f32],
    profile: Option<&'a mut Profile>,
}

impl<'a> Arena<'a> {
    /// An arena in the memory `floats`.
    pub fn new(floats: &'a mut [f32]) -> Self {
        Self {
            floats,
            profile: None,
        }
    }

    /// An arena in the memory `floats`, which notes in `profile` when each layer begins.
    pub fn profiled(floats: &'a mut [f32], profile: &'a mut Profile) -> Self {
        Self {
            floats,
            profile: Some(profile),
        }
    }

    /// Buffers `ins` to read and rows `out` to write, at the same time. `ins` may overlap each other.
    /// A firing of layer `layer` (counted in the chain) begins with this call.
    ///
    /// # Panics
    /// If a range leaves the arena or an input overlaps the output: an error of the plan.
    pub fn io<const N: usize>(
        &mut self,
        layer: usize,
        ins: [Range<usize>; N],
        out: Range<usize>,
    ) -> ([&[f32]; N], &mut [f32]) {
        self.begin(layer);
        buffers(self.floats, ins, out)
    }

    /// As [`Self::io`], with working memory for the firing: the arena's first `scratch` values.
    ///
    /// # Panics
    /// As [`Self::io`]; and if the working memory leaves the arena or overlaps an input or the output.
    pub fn io_scratch<const N: usize>(
        &mut self,
        layer: usize,
        ins: [Range<usize>; N],
        out: Range<usize>,
        scratch: usize,
    ) -> ([&[f32]; N], &mut [f32], &mut [f32]) {
        let behind = |r: Range<usize>| {
            assert!(r.start >= scratch, "working memory overlaps a buffer");
            r.start - scratch..r.end - scratch
        };
        self.begin(layer);
        let (work, rest) = self.floats.split_at_mut(scratch);
        let (xs, y) = buffers(rest, ins.map(behind), behind(out));
        (xs, y, work)
    }

    /// Buffers `ins` to read and the arena's first `scratch` values to work in, for a firing of layer
    /// `layer` that writes outside the arena.
    ///
    /// # Panics
    /// If a range leaves the arena or overlaps the working memory: an error of the plan.
    pub fn read<const N: usize>(
        &mut self,
        layer: usize,
        ins: [Range<usize>; N],
        scratch: usize,
    ) -> ([&[f32]; N], &mut [f32]) {
        self.begin(layer);
        let (work, rest) = self.floats.split_at_mut(scratch);
        let rest: &[f32] = rest;
        let xs = ins.map(|r| {
            assert!(r.start >= scratch, "working memory overlaps a buffer");
            &rest[r.start - scratch..r.end - scratch]
        });
        (xs, work)
    }

    fn begin(&mut self, layer: usize) {
        if let Some(profile) = &mut self.profile {
            profile.begin(layer);
        }
    }

    /// Zeroes the zero row and the zero columns of a buffer. Emitted code calls it before the
    /// buffer's rows are written: the arena's memory is shared by buffers of different shapes.
    pub fn clear_padding(&mut self, b: &Buffer) {
        let row = b.row_floats();
        let all = &mut self.floats[b.range()];
        let body = if b.zero_row {
            let (zero, body) = all.split_at_mut(row);
            zero.fill(0.0);
            body
        } else {
            all
        };
        if b.pad_left + b.pad_right == 0 {
            return;
        }
        for r in body.chunks_exact_mut(row) {
            r[..b.pad_left * b.c].fill(0.0);
            r[(b.pad_left + b.w) * b.c..].fill(0.0);
        }
    }
}

/// Ranges `ins` of `floats` to read and `out` to write.
fn buffers<const N: usize>(
    floats: &mut [f32],
    ins: [Range<usize>; N],
    out: Range<usize>,
) -> ([&[f32]; N], &mut [f32]) {
    assert!(
        out.start <= out.end && out.end <= floats.len(),
        "output leaves the arena"
    );
    let (before, rest) = floats.split_at_mut(out.start);
    let (y, after) = rest.split_at_mut(out.end - out.start);
    let (before, after): (&[f32], &[f32]) = (before, after);
    let xs = ins.map(|r| {
        if r.end <= out.start {
            &before[r]
        } else {
            assert!(r.start >= out.end, "an input overlaps the output");
            &after[r.start - out.end..r.end - out.end]
        }
    });
    (xs, y)
}
