//! Centre crop (`[crop]`).

use quote::quote;

use super::{Body, LayerCx};

/// Copies the box; `adjust`: `2x - 1`. The view is the box.
pub(super) fn emit(cx: &LayerCx, y: usize, x: usize, adjust: bool) -> Body {
    let row = cx.input().row_slice(&quote!(x), quote!(row), 1);
    let pixels = cx.out.pixels();
    let code = if adjust {
        quote! { for (y, x) in #pixels.iter_mut().zip(#row) { *y = x * 2.0 - 1.0; } }
    } else {
        quote! { #pixels.copy_from_slice(#row); }
    };
    Body::plain(format!("crop at {y}, {x}"), cx.out.for_rows(code))
}
