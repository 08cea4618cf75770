//! Product of two equal maps (`[sam]`).

use quote::quote;
use tessera_plan::graph::Activation;

use super::{Body, LayerCx};
use crate::act;

/// `y = f(x0 * x1)`.
pub(super) fn emit(cx: &LayerCx, activation: Activation) -> Body {
    let (a, b) = (
        cx.ins[0].row_slice(&quote!(x0), quote!(row), 1),
        cx.ins[1].row_slice(&quote!(x1), quote!(row), 1),
    );
    let (pixels, pass) = (
        cx.out.pixels(),
        act::pass(activation, &cx.out.pixels(), cx.out.c, cx.uses),
    );
    let code = cx.out.for_rows(quote! {
        let (x0, x1) = (#a, #b);
        for ((y, x0), x1) in #pixels.iter_mut().zip(x0).zip(x1) { *y = x0 * x1; }
        #pass
    });
    Body::plain(format!("product, {}", activation.name()), code)
}
