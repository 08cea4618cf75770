//! Literal geometry of what a layer reads and writes, and the tokens that address it.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::{Buffer, View};

use crate::names::{affine, int};

/// A view of an input buffer as literals; indices count from the buffer's first value.
#[derive(Clone, Copy, Debug)]
pub struct In {
    /// First row of the view in the buffer's map.
    pub y: usize,
    /// Rows of the buffer's map.
    pub map_h: usize,
    /// Rows that the buffer holds.
    pub ring: usize,
    /// Index of the view's first channel of column 0 in the buffer's first row.
    pub base: usize,
    /// Values of one padded row.
    pub row: usize,
    /// Rows of the view.
    pub h: usize,
    /// Columns of the view.
    pub w: usize,
    /// Channels of the buffer.
    pub c: usize,
    /// Index of column 0 of the view in the zero row.
    pub zero: usize,
}

impl In {
    /// The literals of `view` in `buffer`.
    pub fn new(buffer: &Buffer, view: &View) -> Self {
        let row = (buffer.pad_left + buffer.w + buffer.pad_right) * buffer.c;
        let zero = (buffer.pad_left + view.x) * buffer.c + view.channel;
        Self {
            y: view.y,
            map_h: buffer.h,
            ring: buffer.ring,
            base: usize::from(buffer.zero_row) * row + zero,
            row,
            h: view.h,
            w: view.w,
            c: buffer.c,
            zero,
        }
    }

    /// Whether the buffer holds fewer rows than pass through it.
    pub fn is_ring(&self) -> bool {
        self.ring < self.map_h
    }

    /// Index of the view's first pixel, where the buffer holds all rows.
    pub fn start(&self) -> usize {
        debug_assert!(
            !self.is_ring(),
            "an operation on whole maps reads a whole map"
        );
        self.base + self.y * self.row
    }

    /// Index of the value `values` (affine, with `constant`) in row `rows` (affine, with `shift`) of
    /// the view.
    pub fn index(
        &self,
        rows: &[(TokenStream, usize)],
        shift: isize,
        values: &[(TokenStream, usize)],
        constant: isize,
    ) -> TokenStream {
        let first = self.y as isize + shift;
        let constant = constant + self.base as isize;
        if !self.is_ring() {
            let mut terms: Vec<_> = rows
                .iter()
                .map(|(v, f)| (v.clone(), f * self.row))
                .collect();
            terms.extend_from_slice(values);
            return affine(&terms, constant + first * self.row as isize);
        }
        let place = affine(rows, first);
        let ring = int(self.ring);
        let place = match rows {
            // One variable, as it is.
            [(_, 1)] if first == 0 => quote!(#place % #ring),
            _ => quote!((#place) % #ring),
        };
        let mut terms = vec![(place, self.row)];
        terms.extend_from_slice(values);
        affine(&terms, constant)
    }

    /// Index of pixel (`y`, `x`): both affine, given as (variable, factor) with an offset in pixels.
    pub fn at(&self, y: (TokenStream, usize), x: (TokenStream, usize)) -> TokenStream {
        self.index(&[y], 0, &[(x.0, x.1 * self.c)], 0)
    }

    /// Row `y * factor` of the view, without padding: `&x[start..][..w * c]`.
    pub fn row_slice(&self, x: &TokenStream, y: TokenStream, factor: usize) -> TokenStream {
        let from = self.index(&[(y, factor)], 0, &[], 0);
        let len = int(self.w * self.c);
        quote!(&#x[#from..][..#len])
    }

    /// Whether the view's rows follow each other without a gap.
    pub fn is_packed(&self) -> bool {
        !self.is_ring() && self.row == self.w * self.c || self.h == 1
    }
}

/// The output buffer as literals; a layer's `y` begins with the first row it is to write.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Values of one padded row.
    pub row: usize,
    /// The row of the buffer in which the first row lies.
    pub first: usize,
    /// First value of a row's pixels, behind padding.
    pub lo: usize,
    /// First channel that is written: others before and behind may be other steps'.
    pub channel: usize,
    /// Channels that are written.
    pub own: usize,
    /// First value behind the row's pixels.
    pub hi: usize,
    /// Rows.
    pub h: usize,
    /// Columns without padding.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Whether a zero row stands before the rows.
    pub zero_row: bool,
}

impl Out {
    /// The literals of the box `view` of `buffer`, of whose channels `own` are written from `channel` on. What lies beside
    /// the box is as good as padding.
    pub fn new(buffer: &Buffer, view: &View, channel: usize, own: usize) -> Self {
        Self {
            row: (buffer.pad_left + buffer.w + buffer.pad_right) * buffer.c,
            first: view.y,
            lo: (buffer.pad_left + view.x) * buffer.c,
            channel,
            own,
            hi: (buffer.pad_left + view.x + view.w) * buffer.c,
            h: view.h,
            w: view.w,
            c: buffer.c,
            zero_row: buffer.zero_row,
        }
    }

    /// Whether rows have padding columns.
    pub fn is_padded(&self) -> bool {
        self.w * self.c != self.row
    }

    /// The pixels of a row `y`, padding left out, as a place expression to call methods on.
    pub fn pixels(&self) -> TokenStream {
        if self.is_padded() {
            let (lo, hi) = (int(self.lo), int(self.hi));
            quote!(y[#lo..#hi])
        } else {
            quote!(y)
        }
    }

    /// Narrows `y`, all channels of a pixel, to those that are written.
    pub fn narrow(&self) -> TokenStream {
        if self.own == self.c {
            return TokenStream::new();
        }
        let (from, to) = (int(self.channel), int(self.channel + self.own));
        quote!(let y = &mut y[#from..#to];)
    }

    /// The pixels of a row `y` as a mutable slice.
    pub fn pixels_mut(&self) -> TokenStream {
        let px = self.pixels();
        if self.is_padded() {
            quote!(&mut #px)
        } else {
            px
        }
    }

    /// `for (row, y) in rows of y { body }`: `y` is a whole padded row.
    pub fn for_rows(&self, body: TokenStream) -> TokenStream {
        let row = int(self.row);
        quote! {
            for (row, y) in rows.zip(y.chunks_exact_mut(#row)) { #body }
        }
    }
}
