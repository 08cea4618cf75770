//! How Winograd kernels compute with AVX2 and AVX-512.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::{ConvKernel, Isa};

use super::{Width, epilogue};
use crate::{
    cpu,
    kernel::{
        printed::Printed,
        winograd::{self, Lanes, literal},
    },
    uses::{Uses, from},
};

/// The items of a Winograd kernel's module.
pub(in super::super) fn module(kernel: &Printed) -> TokenStream {
    winograd::module(kernel, &Vectors(kernel.isa))
}

/// An instruction set's widest vectors.
struct Vectors(Isa);

impl Vectors {
    fn width(&self) -> Width {
        Width::of(self.0, usize::MAX)
    }

    /// A call of an intrinsic.
    fn op<const N: usize>(&self, name: &str, operands: [TokenStream; N]) -> TokenStream {
        let op = self.width().op(name);
        quote!(#op(#(#operands),*))
    }
}

/// `slice.as_ptr().add(at)`.
fn pointer(slice: &TokenStream, at: &TokenStream) -> TokenStream {
    quote!(#slice.as_ptr().add(#at))
}

impl Lanes for Vectors {
    fn lanes(&self) -> usize {
        self.width().lanes()
    }

    fn registers(&self) -> usize {
        match self.width() {
            Width::V256 => 16,
            Width::V512 => 32,
        }
    }

    fn ty(&self) -> TokenStream {
        self.width().ty()
    }

    fn import(&self, uses: &Uses) {
        uses.everything(from::X86_64);
    }

    fn attributes(&self) -> TokenStream {
        cpu::attributes(self.0)
    }

    fn entry(&self) -> TokenStream {
        quote!(super::assert_cpu();)
    }

    fn is_unsafe(&self) -> bool {
        true
    }

    fn zero(&self) -> TokenStream {
        self.op("setzero_ps", [])
    }

    fn constant(&self, c: f64) -> TokenStream {
        self.op("set1_ps", [literal(c)])
    }

    fn broadcast(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        self.width().broadcast(&pointer(&slice, &at))
    }

    fn load(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        self.width().load(&pointer(&slice, &at), false)
    }

    fn prefetch(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(_mm_prefetch::<_MM_HINT_T0>(#slice.as_ptr().wrapping_add(#at).cast());)
    }

    fn prefetch_far(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(_mm_prefetch::<_MM_HINT_T1>(#slice.as_ptr().wrapping_add(#at).cast());)
    }

    fn prefetch_write(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(_mm_prefetch::<_MM_HINT_ET0>(#slice.as_ptr().wrapping_add(#at).cast());)
    }

    fn store(
        &self,
        slice: TokenStream,
        at: TokenStream,
        v: TokenStream,
        part: Option<usize>,
    ) -> TokenStream {
        let to = quote!(#slice.as_mut_ptr().add(#at));
        self.width().store(&to, &v, part.is_some())
    }

    fn constants(&self, k: &ConvKernel, part: Option<usize>) -> TokenStream {
        let mut out = epilogue::constants(k.activation, self.width());
        out.extend(part.map(|n| self.width().mask(n)));
        out
    }

    fn add(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        self.op("add_ps", [a, b])
    }

    fn sub(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        self.op("sub_ps", [a, b])
    }

    fn mul(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        self.op("mul_ps", [a, b])
    }

    fn mul_add(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        self.op("fmadd_ps", [a, b, c])
    }

    fn mul_sub(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        self.op("fnmadd_ps", [a, b, c])
    }

    fn max(&self, value: TokenStream, most: TokenStream) -> TokenStream {
        self.op("max_ps", [value, most])
    }

    fn activate(&self, k: &ConvKernel, v: &Ident) -> TokenStream {
        epilogue::apply(k.activation, v, self.width())
    }

    fn call(&self, call: TokenStream) -> TokenStream {
        let why = cpu::safety();
        quote! { #why unsafe { #call } }
    }
}
