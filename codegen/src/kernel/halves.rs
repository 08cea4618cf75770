//! `widen`: weights in half precision are made float32, a packed block at a time, before kernels read
//! them. Exact: every half is a float32.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::Isa;

use crate::{
    cpu,
    uses::{Uses, from},
};

/// The function.
pub(super) fn widen(isa: Isa, uses: &Uses) -> TokenStream {
    let attributes = cpu::attributes(isa);
    let (helper, each) = match isa {
        Isa::X86_64V3 | Isa::X86_64V4 => (TokenStream::new(), by_instruction(uses)),
        Isa::Portable | Isa::Aarch64 | Isa::Armv7 => (half(), by_arithmetic()),
    };
    quote! {
        #helper
        /// A packed block as float32 in `wide`: `nr` biases, and weights that come two in a value's place.
        #attributes
        pub fn widen<'a>(w: &[f32], nr: usize, wide: &'a mut [f32]) -> &'a [f32] {
            let (bias, halves) = w.split_at(nr);
            let wide = &mut wide[..nr + 2 * halves.len()];
            let (to_bias, to) = wide.split_at_mut(nr);
            to_bias.copy_from_slice(bias);
            #each
            wide
        }
    }
}

/// Blocks are multiples of eight channels wide: every eight halves are four places.
fn by_instruction(uses: &Uses) -> TokenStream {
    let safety = cpu::safety();
    let [load, widen, store] = ["_mm_loadu_si128", "_mm256_cvtph_ps", "_mm256_storeu_ps"]
        .map(|name| uses.name(from::X86_64, name));
    quote! {
        debug_assert!(halves.len().is_multiple_of(4));
        for (from, to) in halves.chunks_exact(4).zip(to.chunks_exact_mut(8)) {
            #safety
            unsafe {
                let eight = #load(from.as_ptr().cast());
                #store(to.as_mut_ptr(), #widen(eight));
            }
        }
    }
}

fn by_arithmetic() -> TokenStream {
    quote! {
        for (from, to) in halves.iter().zip(to.chunks_exact_mut(2)) {
            let bits = from.to_bits();
            to[0] = half(bits & 0xffff);
            to[1] = half(bits >> 16);
        }
    }
}

/// Exponents of float32 are biased by 112 more; multiplying also makes subnormal halves normal.
fn half() -> TokenStream {
    quote! {
        /// The half of these bits; no infinity, no NaN.
        #[inline]
        fn half(bits: u32) -> f32 {
            const TO_112: f32 = f32::from_bits(0x7780_0000);
            let size = f32::from_bits((bits & 0x7fff) << 13) * TO_112;
            f32::from_bits(size.to_bits() | (bits & 0x8000) << 16)
        }
    }
}
