//! Softmax over equal groups of the flat (C, H, W) input.

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    Body, LayerCx,
    view::{In, Out},
};
use crate::names::{float, int};

/// Copies the input in Darknet's flat order, then normalises group by group.
pub(super) fn emit(cx: &LayerCx, groups: usize, temperature: f32) -> Body {
    let n = cx.out.w * cx.out.h * cx.out.c;
    let (flat, t) = (flatten(&cx.input(), &cx.out), float(temperature));
    let group = int(n / groups.max(1));
    let softmax = cx.uses.math("softmax");
    let normalise = if groups <= 1 {
        quote!(#softmax(y, #t);)
    } else {
        quote!(for y in y.chunks_exact_mut(#group) { #softmax(y, #t); })
    };
    let px = cx.out.pixels_mut();
    let code = quote! {
        debug_assert_eq!(rows, 0..1, "one pixel");
        let y = #px;
        #flat
        #normalise
    };
    Body::plain(format!("softmax over {n} in {groups} groups"), code)
}

/// Copies the view into `y`, a single pixel, in C, H, W order.
pub(super) fn flatten(x: &In, out: &Out) -> TokenStream {
    debug_assert_eq!(out.h * out.w, 1, "flat layers make one pixel");
    if x.h * x.w == 1 {
        let row = x.row_slice(&quote!(x), quote!(row), 0);
        return quote!(y.copy_from_slice(#row););
    }
    let (w, cells) = (int(x.w), int(x.w * x.h));
    let at = x.index(
        &[(quote!((cell / #w)), 1)],
        0,
        &[(quote!((cell % #w)), x.c), (quote!(c), 1)],
        0,
    );
    quote! {
        for (c, y) in y.chunks_exact_mut(#cells).enumerate() {
            for (cell, y) in y.iter_mut().enumerate() { *y = x[#at]; }
        }
    }
}
