//! How Winograd kernels compute with NEON.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::ConvKernel;

use super::{LANES, epilogue};
use crate::{
    kernel::{
        printed::Printed,
        winograd::{self, Lanes, literal},
    },
    names::{comment, int},
    uses::{Uses, from},
};

/// The items of a Winograd kernel's module.
pub(in super::super) fn module(kernel: &Printed) -> TokenStream {
    winograd::module(kernel, &Neon)
}

/// Vectors of four values.
struct Neon;

impl Lanes for Neon {
    fn lanes(&self) -> usize {
        LANES
    }

    fn registers(&self) -> usize {
        32
    }

    fn ty(&self) -> TokenStream {
        quote!(float32x4_t)
    }

    fn import(&self, uses: &Uses) {
        uses.everything(from::AARCH64);
    }

    fn attributes(&self) -> TokenStream {
        quote!(#[target_feature(enable = "neon")])
    }

    fn is_unsafe(&self) -> bool {
        true
    }

    fn zero(&self) -> TokenStream {
        quote!(vdupq_n_f32(0.0))
    }

    fn constant(&self, c: f64) -> TokenStream {
        let c = literal(c);
        quote!(vdupq_n_f32(#c))
    }

    fn broadcast(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(vld1q_dup_f32(#slice.as_ptr().add(#at)))
    }

    fn load(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(vld1q_f32(#slice.as_ptr().add(#at)))
    }

    fn store(
        &self,
        slice: TokenStream,
        at: TokenStream,
        v: TokenStream,
        part: Option<usize>,
    ) -> TokenStream {
        let to = quote!(#slice.as_mut_ptr().add(#at));
        match part {
            Some(1) => quote!(vst1q_lane_f32::<0>(#to, #v);),
            Some(2) => quote!(vst1_f32(#to, vget_low_f32(#v));),
            Some(_) => quote! {
                let (to, v) = (#to, #v);
                vst1_f32(to, vget_low_f32(v));
                vst1q_lane_f32::<2>(to.add(2), v);
            },
            None => quote!(vst1q_f32(#to, #v);),
        }
    }

    fn constants(&self, k: &ConvKernel, _: Option<usize>) -> TokenStream {
        epilogue::constants(k.activation)
    }

    fn add(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(vaddq_f32(#a, #b))
    }

    fn sub(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(vsubq_f32(#a, #b))
    }

    fn mul(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(vmulq_f32(#a, #b))
    }

    fn mul_add(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        quote!(vfmaq_f32(#c, #a, #b))
    }

    fn mul_sub(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        quote!(vfmsq_f32(#c, #a, #b))
    }

    fn mul_add_lane(
        &self,
        values: TokenStream,
        lane: usize,
        b: TokenStream,
        c: TokenStream,
    ) -> Option<TokenStream> {
        let lane = int(lane);
        Some(quote!(vfmaq_laneq_f32::<#lane>(#c, #b, #values)))
    }

    fn mul_lane(&self, values: TokenStream, lane: usize, b: TokenStream) -> Option<TokenStream> {
        let lane = int(lane);
        Some(quote!(vmulq_laneq_f32::<#lane>(#b, #values)))
    }

    fn max(&self, value: TokenStream, most: TokenStream) -> TokenStream {
        quote!(vmaxq_f32(#value, #most))
    }

    fn activate(&self, k: &ConvKernel, v: &Ident) -> TokenStream {
        epilogue::value(k.activation, v)
    }

    fn call(&self, call: TokenStream) -> TokenStream {
        let why = comment("SAFETY: NEON belongs to the target's baseline.");
        quote! { #why unsafe { #call } }
    }
}
