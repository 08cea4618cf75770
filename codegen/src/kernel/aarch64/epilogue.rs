//! Activations of running sums, in vector form with the bits of the scalar functions.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::graph::Activation;

/// Constants that [`apply`] uses, set before the loop.
pub(super) fn constants(a: Activation) -> TokenStream {
    let zero = quote!(let zero = vdupq_n_f32(0.0););
    match a {
        Activation::Relu => zero,
        Activation::Relu6 => quote! { #zero let six = vdupq_n_f32(6.0); },
        Activation::Leaky => quote!(let slope = vdupq_n_f32(0.1);),
        Activation::Relie => quote!(let slope = vdupq_n_f32(0.01);),
        Activation::Ramp => quote! { #zero let slope = vdupq_n_f32(0.1); },
        _ => TokenStream::new(),
    }
}

/// Lets `p` be `f(p)`.
pub(super) fn apply(a: Activation, p: &Ident) -> TokenStream {
    if constants(a).is_empty() {
        return TokenStream::new();
    }
    let value = value(a, p);
    quote!(let #p = #value;)
}

/// `f(p)`. Sums are never signalling NaN, so `maxnm` of NaN and zero is zero, as in the scalar
/// functions; `max` keeps NaN, as they do.
pub(super) fn value(a: Activation, p: &Ident) -> TokenStream {
    match a {
        Activation::Relu => quote!(vmaxnmq_f32(#p, zero)),
        Activation::Relu6 => quote!(vminnmq_f32(vmaxnmq_f32(#p, zero), six)),
        Activation::Leaky | Activation::Relie => quote!(vmaxq_f32(vmulq_f32(#p, slope), #p)),
        Activation::Ramp => quote!(vaddq_f32(vmaxnmq_f32(#p, zero), vmulq_f32(#p, slope))),
        _ => quote!(#p),
    }
}
