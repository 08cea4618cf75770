//! Centre crop (`[crop]`).

use quote::quote;

use super::{Body, LayerCx, view::In};

/// Copies the box; `adjust`: `2x - 1`. The view is either the whole map or just the box.
pub(super) fn emit(cx: &LayerCx, y: usize, x: usize, adjust: bool) -> Body {
    let v = cx.input();
    let (dy, dx) = (
        if v.h == cx.out.h { 0 } else { y },
        if v.w == cx.out.w { 0 } else { x },
    );
    let inner = In {
        y: v.y + dy,
        base: v.base + dx * v.c,
        h: cx.out.h,
        w: cx.out.w,
        ..v
    };
    let row = inner.row_slice(&quote!(x), quote!(row), 1);
    let pixels = cx.out.pixels();
    let code = if adjust {
        quote! { for (y, x) in #pixels.iter_mut().zip(#row) { *y = x * 2.0 - 1.0; } }
    } else {
        quote! { #pixels.copy_from_slice(#row); }
    };
    Body::plain(format!("crop at {y}, {x}"), cx.out.for_rows(code))
}
