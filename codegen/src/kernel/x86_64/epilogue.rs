//! Activations of running sums, in vector form with the bits of the scalar functions.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_planner::graph::Activation;

/// Constants that [`apply`] uses, set before the loop.
pub(super) fn constants(a: Activation) -> TokenStream {
    let zero = quote!(let zero = _mm256_setzero_ps(););
    match a {
        Activation::Relu => zero,
        Activation::Relu6 => quote! { #zero let six = _mm256_set1_ps(6.0); },
        Activation::Leaky => quote!(let slope = _mm256_set1_ps(0.1);),
        Activation::Relie => quote!(let slope = _mm256_set1_ps(0.01);),
        Activation::Ramp => quote! { #zero let slope = _mm256_set1_ps(0.1); },
        _ => TokenStream::new(),
    }
}

/// `f(p)`. The comparisons choose as the scalar functions do, signed zeros and NaN included: `max`
/// and `min` give their second operand when neither is greater.
pub(super) fn apply(a: Activation, p: &Ident) -> TokenStream {
    match a {
        Activation::Relu => quote!(_mm256_max_ps(#p, zero)),
        Activation::Relu6 => quote!(_mm256_min_ps(_mm256_max_ps(#p, zero), six)),
        Activation::Leaky | Activation::Relie => {
            quote!(_mm256_max_ps(_mm256_mul_ps(#p, slope), #p))
        }
        Activation::Ramp => {
            quote!(_mm256_add_ps(_mm256_max_ps(#p, zero), _mm256_mul_ps(#p, slope)))
        }
        _ => quote!(#p),
    }
}
