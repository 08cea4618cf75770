//! How Winograd kernels compute with AVX2 and FMA.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_planner::plan::ConvKernel;

use super::{LANES, epilogue, mask};
use crate::{
    kernel::winograd::{Lanes, literal},
    names::comment,
};

/// Vectors of eight values.
pub struct Avx2;

/// `slice.as_ptr().add(at)`.
fn from(slice: &TokenStream, at: &TokenStream) -> TokenStream {
    quote!(#slice.as_ptr().add(#at))
}

impl Lanes for Avx2 {
    fn lanes(&self) -> usize {
        LANES
    }

    fn ty(&self) -> TokenStream {
        quote!(__m256)
    }

    fn uses(&self, _: &ConvKernel) -> TokenStream {
        quote!(
            use std::arch::x86_64::*;
        )
    }

    fn attributes(&self) -> TokenStream {
        quote!(#[target_feature(enable = "avx2,fma")])
    }

    fn entry(&self) -> TokenStream {
        quote!(super::assert_cpu();)
    }

    fn is_unsafe(&self) -> bool {
        true
    }

    fn zero(&self) -> TokenStream {
        quote!(_mm256_setzero_ps())
    }

    fn constant(&self, c: f64) -> TokenStream {
        let c = literal(c);
        quote!(_mm256_set1_ps(#c))
    }

    fn broadcast(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        let from = from(&slice, &at);
        quote!(_mm256_broadcast_ss(&*#from))
    }

    fn load(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        let from = from(&slice, &at);
        quote!(_mm256_loadu_ps(#from))
    }

    fn prefetch(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(_mm_prefetch::<_MM_HINT_T0>(#slice.as_ptr().wrapping_add(#at).cast());)
    }

    fn store(
        &self,
        slice: TokenStream,
        at: TokenStream,
        v: TokenStream,
        part: Option<usize>,
    ) -> TokenStream {
        let to = quote!(#slice.as_mut_ptr().add(#at));
        if part.is_some() {
            quote!(_mm256_maskstore_ps(#to, mask, #v);)
        } else {
            quote!(_mm256_storeu_ps(#to, #v);)
        }
    }

    fn constants(&self, k: &ConvKernel, part: Option<usize>) -> TokenStream {
        let mut out = epilogue::constants(k.activation);
        out.extend(part.map(mask));
        out
    }

    fn add(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(_mm256_add_ps(#a, #b))
    }

    fn sub(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(_mm256_sub_ps(#a, #b))
    }

    fn mul(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(_mm256_mul_ps(#a, #b))
    }

    fn mul_add(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        quote!(_mm256_fmadd_ps(#a, #b, #c))
    }

    fn mul_sub(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        quote!(_mm256_fnmadd_ps(#a, #b, #c))
    }

    fn activate(&self, k: &ConvKernel, v: &Ident) -> TokenStream {
        epilogue::apply(k.activation, v)
    }

    fn call(&self, call: TokenStream) -> TokenStream {
        let why = comment("SAFETY: the processor has AVX2 and FMA.");
        quote! { #why unsafe { #call } }
    }
}
