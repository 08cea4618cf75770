//! What a running task sees: pieces of its inputs, weights, its arena, places for its outputs.
//!
//! Emitted drivers are safe code. They name buffers by literal ranges of the arena; [`Arena::io`]
//! hands out one buffer to write and several to read, and checks once per layer that they do not
//! overlap.

use std::ops::Range;

use crate::{profile::Profile, team::Team};
use tessera_plan::{
    dataflow::Port,
    region::{Region, Span},
};

/// A box of a tensor that lies somewhere in readable memory, packed `[h][w][c]`.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which box of the tensor lies in `data`.
    pub region: Region,
    /// `region.len()` values.
    pub data: &'a [f32],
}

/// Everything a task touches.
#[derive(Debug)]
pub struct TaskIo<'a> {
    /// What the task reads: for tasks [`crate::program::TaskSpec::inputs`], for the tail whole tensors.
    pub ports_in: &'a [Port],
    /// What the task makes.
    pub ports_out: &'a [Port],
    /// Per input, the pieces that together cover its box; they may be larger than the box.
    pub inputs: &'a [&'a [Piece<'a>]],
    /// Per output its packed box.
    pub outputs: &'a mut [&'a mut [f32]],
    /// `weights.bin` behind its header.
    pub weights: &'a [f32],
    /// Working memory of at least `arena_floats` values, 64-byte aligned. Its content is undefined.
    pub arena: Arena<'a>,
    /// The threads that may share this task's layers.
    pub team: &'a Team,
}

/// A buffer of a chain, as literals in emitted code; see the planner's `plan::Buffer`.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// First value in the arena.
    pub offset: usize,
    /// Rows that pass through.
    pub h: usize,
    /// Rows held at a time: row `y` lies in place `y % ring`.
    pub ring: usize,
    /// Columns without padding.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Zero columns on the left.
    pub pad_left: usize,
    /// Zero columns on the right.
    pub pad_right: usize,
    /// Whether a zero row stands before the rows.
    pub zero_row: bool,
}

/// A box of pixels inside a buffer, all channels.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// First row.
    pub y: usize,
    /// First column.
    pub x: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

/// Working memory of one task.
#[derive(Debug)]
pub struct Arena<'a> {
    floats: &'a mut [f32],
    profile: Option<&'a mut Profile>,
}

impl Buffer {
    /// Values of one padded row.
    pub const fn row_floats(&self) -> usize {
        (self.pad_left + self.w + self.pad_right) * self.c
    }

    /// Values of the whole buffer, zero row included.
    pub const fn floats(&self) -> usize {
        self.row_floats() * (self.ring + self.zero_row as usize)
    }

    /// The buffer's place in the arena, zero row included.
    pub const fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.floats()
    }

    /// The place of rows `rows`, zero row left out: what a firing writes.
    ///
    /// # Panics
    /// If the rows do not lie side by side: an error of the plan.
    pub const fn rows(&self, rows: &Range<usize>) -> Range<usize> {
        let (first, count) = (rows.start % self.ring, rows.end - rows.start);
        assert!(first + count <= self.ring, "rows lie side by side");
        let at = self.offset + (first + self.zero_row as usize) * self.row_floats();
        at..at + count * self.row_floats()
    }

    /// Rows `rows` of an output that the buffer is, and that a firing writes.
    ///
    /// # Panics
    /// If the output's size is another: an error of the plan.
    pub fn handed<'o>(&self, output: &'o mut [f32], rows: &Range<usize>) -> &'o mut [f32] {
        assert_eq!(output.len(), self.floats(), "an output in its place");
        &mut output[self.rows(rows)]
    }

    /// Index of pixel (`y`, `x`) from the buffer's first value, zero row and columns counted.
    pub const fn at(&self, y: usize, x: usize) -> usize {
        (y % self.ring + self.zero_row as usize) * self.row_floats() + (self.pad_left + x) * self.c
    }
}

impl<'a> Arena<'a> {
    /// Working memory over `floats`.
    pub fn new(floats: &'a mut [f32]) -> Self {
        Self {
            floats,
            profile: None,
        }
    }

    /// The same, noting in `profile` when every layer begins.
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

    /// As [`Self::io`], and working memory for the firing: the arena's first `scratch` values.
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

impl<'a> TaskIo<'a> {
    /// Copies rows `rows` of input `k` from its pieces into buffer `b`; with the first rows it clears
    /// the padding.
    ///
    /// # Panics
    /// If the buffer's shape differs from the input's box: an error of the plan. Values that no
    /// piece covers keep what the arena held; the caller checks coverage before it runs a task.
    pub fn load(&mut self, k: usize, b: &Buffer, rows: Range<usize>) {
        let whole = self.ports_in[k].region;
        assert_eq!(
            (whole.h(), whole.w(), whole.ch()),
            (b.h, b.w, b.c),
            "input {k} does not fit its buffer"
        );
        assert!(rows.end <= b.h, "rows of input {k}");
        if rows.start == 0 {
            self.arena.clear_padding(b);
        }
        let mut want = whole;
        want.y = Span::new(whole.y.lo + rows.start, whole.y.lo + rows.end);
        let dst = &mut self.arena.floats[b.range()];
        for p in self.inputs[k] {
            let m = want.meet(p.region);
            if m.is_empty() {
                continue;
            }
            let n = m.ch();
            for y in m.y.lo..m.y.hi {
                let (sy, dy) = (y - p.region.y.lo, y - whole.y.lo);
                let src_px = |x: usize| {
                    (sy * p.region.w() + x - p.region.x.lo) * p.region.ch() + m.c.lo - p.region.c.lo
                };
                let dst_px = |x: usize| b.at(dy, x - want.x.lo) + m.c.lo - want.c.lo;
                if n == b.c && n == p.region.ch() {
                    let (s, d, len) = (src_px(m.x.lo), dst_px(m.x.lo), m.w() * n);
                    dst[d..d + len].copy_from_slice(&p.data[s..s + len]);
                } else {
                    for x in m.x.lo..m.x.hi {
                        let (s, d) = (src_px(x), dst_px(x));
                        dst[d..d + n].copy_from_slice(&p.data[s..s + n]);
                    }
                }
            }
        }
    }

    /// Input `k`, which arrived as one packed map and is buffer `b`.
    ///
    /// # Panics
    /// If it arrived otherwise: an error of the plan.
    pub fn packed(&self, k: usize, b: &Buffer) -> &'a [f32] {
        match self.inputs[k] {
            [piece] if piece.region == self.ports_in[k].region => {
                assert_eq!(piece.data.len(), b.floats(), "input {k} in its place");
                piece.data
            }
            _ => panic!("input {k} must arrive as one packed map"),
        }
    }

    /// Copies rows `rows` of box `v` of buffer `b` to output `k`.
    ///
    /// # Panics
    /// If the box's size differs from the output's: an error of the plan.
    pub fn store(&mut self, k: usize, b: &Buffer, v: View, rows: Range<usize>) {
        let src = &self.arena.floats[b.range()];
        let out = &mut *self.outputs[k];
        let len = v.w * b.c;
        assert_eq!(out.len(), v.h * len, "output {k} does not fit its box");
        let out = &mut out[rows.start * len..rows.end * len];
        for (y, row) in rows.zip(out.chunks_exact_mut(len.max(1))) {
            let s = b.at(v.y + y, v.x);
            row.copy_from_slice(&src[s..s + len]);
        }
    }
}
