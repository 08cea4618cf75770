//! Where a layer's rows lie in the arena.

use std::ops::Range;

use tessera_plan::element::ElementType;

use crate::element;

/// A buffer of a chain, as literals in emitted code; see [`tessera_plan::plan::Buffer`].
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// First value in the arena.
    pub offset: usize,
    /// Rows that pass through the buffer.
    pub h: usize,
    /// Rows that the buffer holds at a time. Row `y` lies in place `y % ring`.
    pub ring: usize,
    /// Columns without padding.
    pub w: usize,
    /// Channels of a pixel.
    pub c: usize,
    /// Zero columns on the left.
    pub pad_left: usize,
    /// Zero columns on the right.
    pub pad_right: usize,
    /// True if a zero row stands before the rows.
    pub zero_row: bool,
}

/// A box of pixels inside a buffer, with all channels.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// First row.
    pub y: usize,
    /// First column.
    pub x: usize,
    /// Rows of the box.
    pub h: usize,
    /// Columns of the box.
    pub w: usize,
}

impl Buffer {
    /// Number of values of one padded row.
    pub const fn row_floats(&self) -> usize {
        (self.pad_left + self.w + self.pad_right) * self.c
    }

    /// Number of values of the whole buffer, zero row included.
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

    /// Rows `rows` of an output that the buffer is, and that a firing writes. Only float32 outputs can be
    /// written in place.
    ///
    /// # Panics
    /// If the output's size is another, as it is with another element type, or the output is not aligned to
    /// its values: an error of the plan.
    pub fn handed<'o>(&self, output: &'o mut [u8], rows: &Range<usize>) -> &'o mut [f32] {
        let bytes = self.floats() * ElementType::F32.bytes();
        assert_eq!(output.len(), bytes, "a float32 output in its place");
        &mut element::floats_mut(output)[self.rows(rows)]
    }

    /// Index of pixel (`y`, `x`) from the buffer's first value, zero row and columns counted.
    pub const fn at(&self, y: usize, x: usize) -> usize {
        (y % self.ring + self.zero_row as usize) * self.row_floats() + (self.pad_left + x) * self.c
    }
}
