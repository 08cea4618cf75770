//! What an instruction set gives Winograd kernels: expressions on vectors.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::ConvKernel;

use crate::{names::float, uses::Uses};

/// How an instruction set computes on a vector of values. Expressions stand inside `unsafe` where
/// [`Self::is_unsafe`] says so.
pub trait Lanes {
    /// Values of a vector.
    fn lanes(&self) -> usize;
    /// Registers that hold a vector.
    fn registers(&self) -> usize;
    /// The vector's type.
    fn ty(&self) -> TokenStream;
    /// Imports that all of a module's vector code needs.
    fn import(&self, _uses: &Uses) {}
    /// Attributes of functions that use vectors.
    fn attributes(&self) -> TokenStream;
    /// Statements at the entry of public functions: that the processor can, if it might not.
    fn entry(&self) -> TokenStream {
        TokenStream::new()
    }
    /// Whether loads and stores are unchecked.
    fn is_unsafe(&self) -> bool;
    /// All lanes zero.
    fn zero(&self) -> TokenStream;
    /// All lanes the value of a constant.
    fn constant(&self, c: f64) -> TokenStream;
    /// All lanes `slice[at]`.
    fn broadcast(&self, slice: TokenStream, at: TokenStream) -> TokenStream;
    /// Lanes from `slice[at]` on.
    fn load(&self, slice: TokenStream, at: TokenStream) -> TokenStream;
    /// Fetches what `slice[at]` and its neighbours hold, which may lie behind the slice; nothing
    /// where stable Rust has no word for it.
    fn prefetch(&self, _slice: TokenStream, _at: TokenStream) -> TokenStream {
        TokenStream::new()
    }
    /// The same, as far as the second-level cache.
    fn prefetch_far(&self, _slice: TokenStream, _at: TokenStream) -> TokenStream {
        TokenStream::new()
    }
    /// Fetches what `slice[at]` and its neighbours hold, which will be written, and may lie behind the slice.
    fn prefetch_write(&self, _slice: TokenStream, _at: TokenStream) -> TokenStream {
        TokenStream::new()
    }
    /// Stores lanes from `slice[at]` on; only the first `part` if it is given.
    fn store(
        &self,
        slice: TokenStream,
        at: TokenStream,
        v: TokenStream,
        part: Option<usize>,
    ) -> TokenStream;
    /// Constants that partial stores and the activation use.
    fn constants(&self, k: &ConvKernel, part: Option<usize>) -> TokenStream;
    /// `a + b`.
    fn add(&self, a: TokenStream, b: TokenStream) -> TokenStream;
    /// `a - b`.
    fn sub(&self, a: TokenStream, b: TokenStream) -> TokenStream;
    /// `a * b`.
    fn mul(&self, a: TokenStream, b: TokenStream) -> TokenStream;
    /// `a * b + c`.
    fn mul_add(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream;
    /// The statement that adds `a * b` to `sum`, a place.
    fn accumulate(&self, sum: TokenStream, a: TokenStream, b: TokenStream) -> TokenStream {
        let fused = self.mul_add(a, b, sum.clone());
        quote!(#sum = #fused;)
    }
    /// `c - a * b`.
    fn mul_sub(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream;
    /// `values[lane] * b + c`, where that is one instruction: then inputs are loaded four at a time.
    fn mul_add_lane(
        &self,
        _values: TokenStream,
        _lane: usize,
        _b: TokenStream,
        _c: TokenStream,
    ) -> Option<TokenStream> {
        None
    }
    /// `values[lane] * b`, where that is one instruction.
    fn mul_lane(&self, _values: TokenStream, _lane: usize, _b: TokenStream) -> Option<TokenStream> {
        None
    }
    /// The greater of two values.
    fn max(&self, value: TokenStream, most: TokenStream) -> TokenStream;
    /// The activation of `v`, if it has a form in registers, else `v`.
    fn activate(&self, k: &ConvKernel, v: &Ident) -> TokenStream;
    /// A call from a public function to one that uses vectors.
    fn call(&self, call: TokenStream) -> TokenStream;
}

/// A constant, rounded once.
#[expect(clippy::cast_possible_truncation, reason = "rounded once, here")]
pub fn literal(c: f64) -> TokenStream {
    let c = c as f32;
    if c == SQRT_2 {
        quote!(std::f32::consts::SQRT_2)
    } else if c == FRAC_1_SQRT_2 {
        quote!(std::f32::consts::FRAC_1_SQRT_2)
    } else {
        float(c)
    }
}
