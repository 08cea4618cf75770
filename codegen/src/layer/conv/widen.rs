//! Weights that are stored in half precision.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::ConvKernel;

use crate::{layer::LayerCx, names::int, uses::from};

/// The module of the kernels.
pub(super) fn kernels(cx: &LayerCx) -> Ident {
    cx.uses.name(from::CRATE, "kernels")
}

/// Makes the packed block `w` float32 in `wide`, where it is stored otherwise.
pub(super) fn widen(cx: &LayerCx, k: &ConvKernel) -> TokenStream {
    if !cx.step.weights.is_f16() {
        return TokenStream::new();
    }
    let (nr, kernels) = (int(k.nr), kernels(cx));
    quote! { let w = #kernels::widen(w, #nr, wide); }
}
