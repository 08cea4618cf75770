//! Vectors of 256 bits (AVX2) and of 512 (AVX-512), by the names of their intrinsics.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use tessera_plan::plan::Isa;

/// A vector's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Eight values.
    V256,
    /// Sixteen values.
    V512,
}

impl Width {
    /// The width for blocks of `channels` channels: half of a wide vector would be idle with eight or
    /// fewer. AVX-512 has 32 registers of either width.
    pub const fn of(isa: Isa, channels: usize) -> Self {
        match isa {
            Isa::X86_64V4 if channels > 8 => Self::V512,
            _ => Self::V256,
        }
    }

    /// Values of a vector.
    pub const fn lanes(self) -> usize {
        match self {
            Self::V256 => 8,
            Self::V512 => 16,
        }
    }

    /// The vector's type.
    pub fn ty(self) -> TokenStream {
        match self {
            Self::V256 => quote!(__m256),
            Self::V512 => quote!(__m512),
        }
    }

    /// The intrinsic of an operation: `fmadd_ps`.
    pub fn op(self, name: &str) -> TokenStream {
        let name = match self {
            Self::V256 => format_ident!("_mm256_{name}"),
            Self::V512 => format_ident!("_mm512_{name}"),
        };
        quote!(#name)
    }

    /// All lanes the value at `from`.
    pub fn broadcast(self, from: &TokenStream) -> TokenStream {
        match self {
            Self::V256 => quote!(_mm256_broadcast_ss(&*#from)),
            Self::V512 => quote!(_mm512_set1_ps(*#from)),
        }
    }

    /// Loads a vector; only lanes of `mask`, the others zero, if it is partial.
    pub fn load(self, from: &TokenStream, partial: bool) -> TokenStream {
        match (self, partial) {
            (_, false) => {
                let load = self.op("loadu_ps");
                quote!(#load(#from))
            }
            (Self::V256, true) => quote!(_mm256_maskload_ps(#from, mask)),
            (Self::V512, true) => quote!(_mm512_maskz_loadu_ps(mask, #from)),
        }
    }

    /// Stores a vector; only lanes of `mask` if it is partial.
    pub fn store(self, to: &TokenStream, value: &TokenStream, partial: bool) -> TokenStream {
        match (self, partial) {
            (_, false) => {
                let store = self.op("storeu_ps");
                quote!(#store(#to, #value);)
            }
            (Self::V256, true) => quote!(_mm256_maskstore_ps(#to, mask, #value);),
            (Self::V512, true) => quote!(_mm512_mask_storeu_ps(#to, mask, #value);),
        }
    }

    /// `let mask = ..` for the first `n` lanes.
    pub fn mask(self, n: usize) -> TokenStream {
        match self {
            Self::V256 => {
                let lane = (0..self.lanes()).map(|l| if l < n { quote!(-1) } else { quote!(0) });
                quote!(let mask = _mm256_setr_epi32(#(#lane),*);)
            }
            Self::V512 => {
                let bits = syn::LitInt::new(
                    &format!("0x{:x}", (1u32 << n) - 1),
                    proc_macro2::Span::call_site(),
                );
                quote!(let mask: __mmask16 = #bits;)
            }
        }
    }
}
