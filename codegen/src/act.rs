//! Activations in emitted code: inside a kernel's epilogue, or as a pass over finished rows.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::graph::Activation;

use crate::names::{ident, int};

/// `use crate::math;` where the function is a call.
pub(crate) fn import(activation: Activation) -> TokenStream {
    if activation == Activation::Linear {
        return TokenStream::new();
    }
    quote!(
        use crate::math;
    )
}

/// `f(value)`: a call of the scalar function; `value` itself for linear.
pub(crate) fn scalar(activation: Activation, value: TokenStream) -> TokenStream {
    if activation == Activation::Linear {
        return value;
    }
    let name = ident(activation.name());
    quote!(math::#name(#value))
}

/// Statements that apply the function to `pixels`, a place of pixels of `c` channels.
pub(crate) fn pass(activation: Activation, pixels: &TokenStream, c: usize) -> TokenStream {
    let name = ident(activation.name());
    match activation {
        Activation::Linear => TokenStream::new(),
        Activation::NormalizeChannels
        | Activation::NormalizeChannelsSoftmax
        | Activation::NormalizeChannelsSoftmaxMaxval => {
            let c = int(c);
            quote! {
                for y in #pixels.chunks_exact_mut(#c) { math::#name(y); }
            }
        }
        _ => quote! {
            for v in #pixels.iter_mut() { *v = math::#name(*v); }
        },
    }
}
