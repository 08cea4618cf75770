//! Activations of running sums, in vector form with the bits of the scalar functions.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::graph::Activation;

use super::Width;

/// Constants that [`apply`] uses, set before the loop.
pub(super) fn constants(a: Activation, width: Width) -> TokenStream {
    let (zero, set) = (width.op("setzero_ps"), width.op("set1_ps"));
    let zero = quote!(let zero = #zero(););
    match a {
        Activation::Relu => zero,
        Activation::Relu6 => quote! { #zero let six = #set(6.0); },
        Activation::Leaky => quote!(let slope = #set(0.1);),
        Activation::Relie => quote!(let slope = #set(0.01);),
        Activation::Ramp => quote! { #zero let slope = #set(0.1); },
        _ => TokenStream::new(),
    }
}

/// `f(p)`. The comparisons choose as the scalar functions do, signed zeros and NaN included: `max`
/// and `min` give their second operand when neither is greater.
pub(super) fn apply(a: Activation, p: &Ident, width: Width) -> TokenStream {
    let [max, min, mul, add] = ["max_ps", "min_ps", "mul_ps", "add_ps"].map(|o| width.op(o));
    match a {
        Activation::Relu => quote!(#max(#p, zero)),
        Activation::Relu6 => quote!(#min(#max(#p, zero), six)),
        Activation::Leaky | Activation::Relie => quote!(#max(#mul(#p, slope), #p)),
        Activation::Ramp => quote!(#add(#max(#p, zero), #mul(#p, slope))),
        _ => quote!(#p),
    }
}
