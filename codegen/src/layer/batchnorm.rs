//! A batch norm on its own, folded: `y = x * factor + shift` per channel.

use quote::quote;

use super::{Body, LayerCx};
use crate::names::int;

/// Packed weights: `[c]` factors, then `[c]` shifts.
pub(super) fn emit(cx: &LayerCx) -> Body {
    let x = cx.input();
    let row = x.row_slice(&quote!(x), quote!(row), 1);
    let (pixels, c) = (cx.out.pixels(), int(x.c));
    let rows = cx.out.for_rows(quote! {
        let x = #row;
        for (y, x) in #pixels.chunks_exact_mut(#c).zip(x.chunks_exact(#c)) {
            for (((y, x), factor), shift) in y.iter_mut().zip(x).zip(factor).zip(shift) {
                *y = x * factor + shift;
            }
        }
    });
    Body::weighted(
        "batchnorm",
        quote! { let (factor, shift) = w.split_at(#c); #rows },
    )
}
