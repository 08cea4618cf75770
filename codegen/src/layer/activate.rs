//! An activation on its own.

use quote::quote;
use tessera_plan::graph::Activation;

use super::{Body, LayerCx};
use crate::act;

/// Copies the row, then applies the function in place.
pub(super) fn emit(cx: &LayerCx, activation: Activation) -> Body {
    let row = cx.input().row_slice(&quote!(x), quote!(row), 1);
    let (pixels, pass) = (
        cx.out.pixels(),
        act::pass(activation, &cx.out.pixels(), cx.out.c, cx.uses),
    );
    let code = cx
        .out
        .for_rows(quote! { #pixels.copy_from_slice(#row); #pass });
    Body::plain(format!("activation {}", activation.name()), code)
}
