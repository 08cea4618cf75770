//! Activations in emitted code: inside a kernel's epilogue, or as a pass over finished rows.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::graph::Activation;

use crate::{names::int, uses::Uses};

/// `f(value)`: a call of the scalar function; `value` itself for linear.
pub(crate) fn scalar(activation: Activation, value: TokenStream, uses: &Uses) -> TokenStream {
    if activation.is_linear() {
        return value;
    }
    let function = uses.math(activation.name());
    quote!(#function(#value))
}

/// Statements that apply the function to `pixels`, a place of pixels of `c` channels.
pub(crate) fn pass(
    activation: Activation,
    pixels: &TokenStream,
    c: usize,
    uses: &Uses,
) -> TokenStream {
    if activation.is_linear() {
        return TokenStream::new();
    }
    let function = uses.math(activation.name());
    if activation.is_pointwise() {
        quote! {
            for v in #pixels.iter_mut() { *v = #function(*v); }
        }
    } else {
        let c = int(c);
        quote! {
            for y in #pixels.chunks_exact_mut(#c) { #function(y); }
        }
    }
}
