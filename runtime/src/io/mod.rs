//! What a running task sees: pieces of its inputs, weights, its arena, places for its outputs.
//!
//! Emitted drivers are safe code. They name buffers by literal ranges of the arena; [`Arena::io`]
//! hands out one buffer to write and several to read, and checks once per layer that they do not
//! overlap.
//!
//! In an arena all values are float32. Objects are bytes of their tensor's [`ElementType`]: [`TaskIo::load`]
//! and [`TaskIo::store`] convert, row by row. What is read or written where it lies must be float32.
//!
//! A task may begin while rows of its inputs are on their way ([`PieceBytes::Arriving`]): a load waits for the rows
//! that it brings.

mod arena;
mod buffer;
mod scaled;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::{element, scales::Scales, team::Team};
pub use arena::Arena;
pub use buffer::{Buffer, View};
use tessera_plan::{
    dataflow::Port,
    element::ElementType,
    region::{Region, Span},
};

/// A box of an input's tensor that lies somewhere in readable memory, packed `[h][w][c]`.
#[derive(Clone, Copy, Debug)]
pub struct InputPiece<'a> {
    /// Which box of the tensor lies in `bytes`.
    pub region: Region,
    /// How its values are stored.
    pub element: ElementType,
    /// `region.len()` values, little-endian.
    pub bytes: PieceBytes<'a>,
}

/// The packed values of a piece.
#[derive(Clone, Copy, Debug)]
pub enum PieceBytes<'a> {
    /// All of them are here.
    Here(&'a [u8]),
    /// The last rows are on their way.
    Arriving(&'a dyn ArrivingRows),
}

/// A piece whose rows arrive, from the first to the last.
pub trait ArrivingRows: std::fmt::Debug {
    /// The bytes of rows `rows`, counted from the piece's first row. Waits until they are here, or will not
    /// come; then the bytes are any, and nobody uses what the task makes of them.
    fn rows(&self, rows: Range<usize>) -> &[u8];
}

/// Who wants to know which rows of outputs are stored, while their task runs.
pub trait MadeRows: std::fmt::Debug {
    /// Notes that rows `rows` of output `output` are stored.
    fn made(&self, output: usize, rows: Range<usize>);
}

/// Everything a task touches.
#[derive(Debug)]
pub struct TaskIo<'a> {
    /// What the task reads: for tasks [`crate::program::TaskSpec::inputs`], for the tail whole tensors.
    pub ports_in: &'a [Port],
    /// What the task makes.
    pub ports_out: &'a [Port],
    /// Per input, the pieces that together cover its box; they may be larger than the box.
    pub inputs: &'a [&'a [InputPiece<'a>]],
    /// Per output its packed box, as bytes.
    pub outputs: &'a mut [&'a mut [u8]],
    /// Per output how its values are stored.
    pub elements_out: &'a [ElementType],
    /// Who hears of rows that [`Self::store`] has brought to their output.
    pub made: Option<&'a dyn MadeRows>,
    /// `weights.bin` behind its header.
    pub weights: &'a [f32],
    /// Working memory of at least `arena_floats` values, 64-byte aligned. Its content is undefined.
    pub arena: Arena<'a>,
    /// The threads that may share this task's layers.
    pub team: &'a Team,
}

impl<'a> InputPiece<'a> {
    /// The values, where they lie.
    ///
    /// # Panics
    /// If they are not float32, or not aligned: an error of the plan.
    pub fn floats(&self) -> &'a [f32] {
        assert_eq!(self.element, ElementType::F32, "values read in place");
        element::floats(self.all())
    }

    /// All bytes, where they lie; waits for the last row.
    pub fn all(&self) -> &'a [u8] {
        self.rows(0..self.region.h())
    }

    /// The bytes of rows `rows`, counted from the piece's first row; waits for them.
    fn rows(&self, rows: Range<usize>) -> &'a [u8] {
        match self.bytes {
            PieceBytes::Here(bytes) => {
                let row_bytes = self.region.w() * self.region.ch() * self.element.bytes();
                &bytes[rows.start * row_bytes..rows.end * row_bytes]
            }
            PieceBytes::Arriving(arriving) => arriving.rows(rows),
        }
    }
}

impl<'a> TaskIo<'a> {
    /// Brings rows `rows` of input `k` from its pieces into buffer `b` as float32; with the first rows it
    /// clears the padding. Waits for rows that are on their way.
    ///
    /// # Panics
    /// If the buffer's shape differs from the input's box: an error of the plan. Values that no
    /// piece covers keep what the arena held; the caller checks coverage before it runs a task.
    pub fn load(&mut self, k: usize, b: &Buffer, rows: Range<usize>) {
        assert_eq!(
            self.ports_in[k].region.h(),
            b.h,
            "input {k} does not fit its buffer"
        );
        self.load_rows(k, b, 0, rows);
    }

    /// As [`Self::load`], of an input that is not all of the buffer: its rows lie there from row `first` on. `rows`
    /// counts from the buffer's first row.
    ///
    /// # Panics
    /// If the input's box does not fit the buffer there: an error of the plan.
    pub fn load_rows(&mut self, k: usize, b: &Buffer, first: usize, rows: Range<usize>) {
        self.load_with(k, b, first, rows, None);
    }

    /// As [`Self::load`], of an input that is the box `v` of the buffer; what lies around it others bring or make. `rows`
    /// counts from the buffer's first row.
    ///
    /// # Panics
    /// If the input's box is not that of the buffer: an error of the plan.
    pub fn load_box(&mut self, k: usize, b: &Buffer, v: View, rows: Range<usize>) {
        let whole = self.ports_in[k].region;
        assert!(
            (whole.h(), whole.w(), whole.ch()) == (v.h, v.w, b.c) && v.x + v.w <= b.w,
            "input {k} does not fit its box"
        );
        let place = Place {
            box_lo: whole.y.lo,
            first: v.y,
            x: v.x,
        };
        self.load_at(k, b, place, rows, None);
    }

    fn load_with(
        &mut self,
        k: usize,
        b: &Buffer,
        first: usize,
        rows: Range<usize>,
        scales: Option<&Scales>,
    ) {
        let whole = self.ports_in[k].region;
        assert!(
            (whole.w(), whole.ch()) == (b.w, b.c),
            "input {k} does not fit its buffer"
        );
        let place = Place {
            box_lo: whole.y.lo,
            first,
            x: 0,
        };
        self.load_at(k, b, place, rows, scales);
    }

    fn load_at(
        &mut self,
        k: usize,
        b: &Buffer,
        place: Place,
        rows: Range<usize>,
        scales: Option<&Scales>,
    ) {
        let (whole, first) = (self.ports_in[k].region, place.first);
        assert!(
            first + whole.h() <= b.h,
            "input {k} does not fit its buffer"
        );
        assert!(
            first <= rows.start && rows.end <= first + whole.h(),
            "rows of input {k}"
        );
        if rows.start == 0 {
            self.arena.clear_padding(b);
        }
        let mut want = whole;
        let row_in = |row: usize| whole.y.lo + row - first;
        want.y = Span::new(row_in(rows.start), row_in(rows.end));
        let dst = &mut self.arena.floats[b.range()];
        for p in self.inputs[k] {
            match (p.element, scales.map(|s| s.of(want.c.meet(p.region.c)))) {
                (ElementType::U8, Some(scales)) => {
                    load_piece::<1>(p, place, want, b, dst, |from, to| scales.load(from, to));
                }
                (ElementType::U8, None) => {
                    load_piece::<1>(p, place, want, b, dst, element::u8_to_f32);
                }
                (ElementType::F16, _) => {
                    load_piece::<2>(p, place, want, b, dst, element::f16_to_f32);
                }
                (ElementType::F32, _) => {
                    load_piece::<4>(p, place, want, b, dst, element::f32_to_f32);
                }
            }
        }
    }

    /// Input `k`, which arrived as one packed map and is buffer `b`. Only float32 inputs can be read in place.
    ///
    /// # Panics
    /// If it arrived otherwise: an error of the plan.
    pub fn packed(&self, k: usize, b: &Buffer) -> &'a [f32] {
        match self.inputs[k] {
            [piece] if piece.region == self.ports_in[k].region => {
                let values = piece.floats();
                assert_eq!(values.len(), b.floats(), "input {k} in its place");
                values
            }
            _ => panic!("input {k} must arrive as one packed map"),
        }
    }

    /// Brings rows `rows` of box `v` of buffer `b` to output `k`, rounded to its element type.
    ///
    /// # Panics
    /// If the box's size differs from the output's: an error of the plan.
    pub fn store(&mut self, k: usize, b: &Buffer, v: View, rows: Range<usize>) {
        match self.elements_out[k] {
            ElementType::F32 => self.store_with(k, b, v, rows, element::store_f32),
            other => self.store_with(k, b, v, rows, |values, bytes| {
                element::store(other, values, bytes);
            }),
        }
    }

    fn store_with(
        &mut self,
        k: usize,
        b: &Buffer,
        v: View,
        rows: Range<usize>,
        convert: impl Fn(&[f32], &mut [u8]),
    ) {
        let src = &self.arena.floats[b.range()];
        let (out, element) = (&mut *self.outputs[k], self.elements_out[k]);
        let row_floats = v.w * b.c;
        let row_bytes = row_floats * element.bytes();
        assert_eq!(
            out.len(),
            v.h * row_bytes,
            "output {k} does not fit its box"
        );
        let out = &mut out[rows.start * row_bytes..rows.end * row_bytes];
        let row_of = |y: usize| {
            let first = b.at(v.y + y, v.x);
            &src[first..first + row_floats]
        };
        let places = rows.clone().zip(out.chunks_exact_mut(row_bytes.max(1)));
        places.for_each(|(y, place)| convert(row_of(y), place));
        if let Some(made) = self.made {
            made.made(k, rows);
        }
    }

    /// All of output `k`, where it lies: for tasks written by hand.
    ///
    /// # Panics
    /// If its values are not float32.
    pub fn floats_out(&mut self, k: usize) -> &mut [f32] {
        assert_eq!(
            self.elements_out[k],
            ElementType::F32,
            "values written in place"
        );
        element::floats_mut(self.outputs[k])
    }
}

/// The rows of a buffer that an input's box has.
#[derive(Clone, Copy)]
struct Place {
    /// First row of the box in its map.
    box_lo: usize,
    /// The row of the buffer in which that row lies.
    first: usize,
    /// The column of the buffer in which the box' first column lies.
    x: usize,
}

/// Brings what `p` has of box `want` to its `place` in buffer `b`, whose memory is `dst`. `convert` writes the
/// values of equally many elements of `BYTES` bytes.
fn load_piece<const BYTES: usize>(
    p: &InputPiece<'_>,
    place: Place,
    want: Region,
    b: &Buffer,
    dst: &mut [f32],
    convert: impl Fn(&[u8], &mut [f32]),
) {
    let m = want.meet(p.region);
    if m.is_empty() {
        return;
    }
    let n = m.ch();
    let src = p.rows(m.y.lo - p.region.y.lo..m.y.hi - p.region.y.lo);
    for y in m.y.lo..m.y.hi {
        let (sy, dy) = (y - m.y.lo, y - place.box_lo + place.first);
        let src_px = |x: usize| {
            (sy * p.region.w() + x - p.region.x.lo) * p.region.ch() + m.c.lo - p.region.c.lo
        };
        let dst_px = |x: usize| b.at(dy, place.x + x - want.x.lo) + m.c.lo - want.c.lo;
        let mut bring = |x: usize, floats: usize| {
            let (s, d) = (src_px(x), dst_px(x));
            convert(
                &src[s * BYTES..(s + floats) * BYTES],
                &mut dst[d..d + floats],
            );
        };
        if n == b.c && n == p.region.ch() {
            bring(m.x.lo, m.w() * n);
        } else {
            (m.x.lo..m.x.hi).for_each(|x| bring(x, n));
        }
    }
}
