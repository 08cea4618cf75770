//! Literal geometry of what a layer reads and writes, and the tokens that address it.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_planner::plan::{Buffer, View};

use crate::names::{affine, int};

/// A view of an input buffer as literals; indices count from the buffer's first value.
#[derive(Clone, Copy, Debug)]
pub struct In {
    /// Index of the view's first pixel.
    pub start: usize,
    /// Values of one padded row.
    pub row: usize,
    /// Rows of the view.
    pub h: usize,
    /// Columns of the view.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Index of column 0 of the view in the zero row.
    pub zero: usize,
}

impl In {
    /// The literals of `view` in `buffer`.
    pub fn new(buffer: &Buffer, view: &View) -> Self {
        let row = (buffer.pad_left + buffer.w + buffer.pad_right) * buffer.c;
        let zero = (buffer.pad_left + view.x) * buffer.c;
        Self {
            start: (view.y + usize::from(buffer.zero_row)) * row + zero,
            row,
            h: view.h,
            w: view.w,
            c: buffer.c,
            zero,
        }
    }

    /// Index of pixel (`y`, `x`): both affine, given as (variable, factor) with an offset in pixels.
    pub fn at(&self, y: (TokenStream, usize), x: (TokenStream, usize)) -> TokenStream {
        let terms = [(y.0, y.1 * self.row), (x.0, x.1 * self.c)];
        affine(&terms, self.start as isize)
    }

    /// Row `y * factor` of the view, without padding: `&x[start..][..w * c]`.
    pub fn row_slice(&self, x: &TokenStream, y: TokenStream, factor: usize) -> TokenStream {
        let from = affine(&[(y, factor * self.row)], self.start as isize);
        let len = int(self.w * self.c);
        quote!(&#x[#from..][..#len])
    }

    /// Whether the view's rows follow each other without a gap.
    pub fn is_packed(&self) -> bool {
        self.row == self.w * self.c || self.h == 1
    }
}

/// The output buffer as literals; a layer's `y` begins with the first row it is to write.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Values of one padded row.
    pub row: usize,
    /// First value of a row that is no padding.
    pub lo: usize,
    /// First value behind it.
    pub hi: usize,
    /// Rows.
    pub h: usize,
    /// Columns without padding.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Out {
    /// The literals of `buffer`.
    pub fn new(buffer: &Buffer) -> Self {
        Self {
            row: (buffer.pad_left + buffer.w + buffer.pad_right) * buffer.c,
            lo: buffer.pad_left * buffer.c,
            hi: (buffer.pad_left + buffer.w) * buffer.c,
            h: buffer.h,
            w: buffer.w,
            c: buffer.c,
        }
    }

    /// Whether rows have padding columns.
    pub fn is_padded(&self) -> bool {
        self.hi - self.lo != self.row
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
