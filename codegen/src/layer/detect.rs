//! Maps of detection layers: what decoding expects, per pixel `[slots][entries]`.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Body, LayerCx, softmax::flatten};
use crate::names::{float, int};

/// `[yolo]`: logistic on tx, ty, objectness and classes (not with `new_coords`), then `scale_x_y`.
pub(super) fn yolo(
    cx: &LayerCx,
    masks: usize,
    classes: usize,
    scale_x_y: f32,
    new_coords: bool,
) -> Body {
    let scale = scale_xy(quote!(*e), scale_x_y);
    let xy = match (new_coords, scale) {
        (true, None) => quote!(),
        (true, Some(scaled)) => quote! { for e in &mut y[..2] { *e = #scaled; } },
        (false, None) => quote! { for e in &mut y[..2] { *e = math::logistic(*e); } },
        (false, Some(scaled)) => quote! {
            for e in &mut y[..2] {
                *e = math::logistic(*e);
                *e = #scaled;
            }
        },
    };
    let rest = if new_coords {
        quote!()
    } else {
        quote! { for e in &mut y[4..] { *e = math::logistic(*e); } }
    };
    slots(
        cx,
        classes + 5,
        quote!(#xy #rest),
        format!("yolo, {masks} anchors, {classes} classes"),
    )
}

/// `[Gaussian_yolo]`: logistic on all but w and h; x and y scaled.
pub(super) fn gaussian(cx: &LayerCx, masks: usize, classes: usize, scale_x_y: f32) -> Body {
    let scale = scale_xy(quote!(y[at]), scale_x_y).map_or_else(
        TokenStream::new,
        |s| quote!(for at in [0, 2] { y[at] = #s; }),
    );
    // Entries 4 and 6 are the raw width and height.
    let code = quote! {
        for at in [0, 1, 2, 3, 5, 7] { y[at] = math::logistic(y[at]); }
        for e in &mut y[8..] { *e = math::logistic(*e); }
        #scale
    };
    slots(
        cx,
        classes + 9,
        code,
        format!("gaussian yolo, {masks} anchors, {classes} classes"),
    )
}

/// `[region]`: tx, ty, tw, th raw, logistic objectness, softmax or logistic classes.
pub(super) fn region(
    cx: &LayerCx,
    num: usize,
    classes: usize,
    softmax: bool,
    logistic_classes: bool,
) -> Body {
    let scores = if softmax {
        quote!(math::softmax(&mut y[5..], 1.0);)
    } else if logistic_classes {
        quote!(for e in &mut y[5..] {
            *e = math::logistic(*e);
        })
    } else {
        quote!()
    };
    let code = quote! { y[4] = math::logistic(y[4]); #scores };
    slots(
        cx,
        classes + 5,
        code,
        format!("region, {num} anchors, {classes} classes"),
    )
}

/// `[detection]` (v1): the flat input, softmax over the classes of each location if asked for.
pub(super) fn detection(
    cx: &LayerCx,
    side: usize,
    num: usize,
    classes: usize,
    softmax: bool,
) -> Body {
    let flat = flatten(&cx.input(), &cx.out);
    let (scores, n) = (int(side * side * classes), int(classes));
    let normalise = if softmax {
        quote! { for y in y[..#scores].chunks_exact_mut(#n) { math::softmax(y, 1.0); } }
    } else {
        quote!()
    };
    let px = cx.out.pixels_mut();
    let code = quote! {
        debug_assert_eq!(rows, 0..1, "one pixel");
        let y = #px;
        #flat
        #normalise
    };
    Body::plain(
        format!("detection, {side}x{side}, {num} boxes, {classes} classes"),
        code,
    )
}

/// Copies rows, then runs `each` on every slot's `entries` values, called `y`.
fn slots(cx: &LayerCx, entries: usize, each: TokenStream, what: String) -> Body {
    let row = cx.input().row_slice(&quote!(x), quote!(row), 1);
    let (pixels, n) = (cx.out.pixels(), int(entries));
    let code = if each.is_empty() {
        quote! { #pixels.copy_from_slice(#row); }
    } else {
        quote! {
            #pixels.copy_from_slice(#row);
            for y in #pixels.chunks_exact_mut(#n) { #each }
        }
    };
    Body::plain(what, cx.out.for_rows(code))
}

/// `var * s - 0.5 (s - 1)`; `None` for s = 1.
fn scale_xy(var: TokenStream, s: f32) -> Option<TokenStream> {
    (s != 1.0).then(|| {
        let shift = 0.5 * (s - 1.0);
        let (by, sign) = (
            float(shift.abs()),
            if shift > 0.0 { quote!(-) } else { quote!(+) },
        );
        let s = float(s);
        quote!(#var * #s #sign #by)
    })
}
