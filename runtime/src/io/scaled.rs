//! Objects of bytes with a scale per channel. Emitted drivers name the scales; everything else is as with other objects.

use std::ops::Range;

use super::{Buffer, TaskIo, View};
use crate::scales::Scales;
use tessera_plan::element::ElementType;

impl TaskIo<'_> {
    /// As [`Self::load_rows`], of a tensor of bytes with these scales.
    ///
    /// # Panics
    /// As [`Self::load_rows`].
    pub fn load_scaled(
        &mut self,
        k: usize,
        b: &Buffer,
        first: usize,
        rows: Range<usize>,
        scales: &Scales,
    ) {
        self.load_with(k, b, first, rows, Some(scales));
    }

    /// As [`Self::store`], of a tensor of bytes with these scales.
    ///
    /// # Panics
    /// As [`Self::store`]; if the output is not of bytes.
    pub fn store_scaled(
        &mut self,
        k: usize,
        b: &Buffer,
        v: View,
        rows: Range<usize>,
        scales: &Scales,
    ) {
        assert_eq!(self.elements_out[k], ElementType::U8, "bytes with scales");
        let scales = scales.of(self.ports_out[k].region.c);
        self.store_with(k, b, v, rows, |values, bytes| scales.store(values, bytes));
    }
}
