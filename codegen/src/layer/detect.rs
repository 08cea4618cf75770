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
    let scale = scale_xy(quote!(*e), scale_x_y).map_or_else(
        TokenStream::new,
        |s| quote!(for e in &mut y[..2] { *e = #s; }),
    );
    let what = format!("yolo, {masks} anchors, {classes} classes");
    if new_coords {
        return slots(cx, classes + 5, scale, what);
    }
    logistic_slots(
        cx,
        classes + 5,
        quote! { y[2..4].copy_from_slice(&raw[2..4]); #scale },
        what,
    )
}

/// `[Gaussian_yolo]`: logistic on all but w and h; x and y scaled.
pub(super) fn gaussian(cx: &LayerCx, masks: usize, classes: usize, scale_x_y: f32) -> Body {
    let scale = scale_xy(quote!(y[at]), scale_x_y).map_or_else(
        TokenStream::new,
        |s| quote!(for at in [0, 2] { y[at] = #s; }),
    );
    // Entries 4 and 6 are the raw width and height.
    logistic_slots(
        cx,
        classes + 9,
        quote! { for at in [4, 6] { y[at] = raw[at]; } #scale },
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
    let logistic = cx.uses.math("logistic");
    let scores = if softmax {
        let softmax = cx.uses.math("softmax");
        quote!(#softmax(&mut y[5..], 1.0);)
    } else if logistic_classes {
        quote!(for e in &mut y[5..] {
            *e = #logistic(*e);
        })
    } else {
        quote!()
    };
    let code = quote! { y[4] = #logistic(y[4]); #scores };
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
        let softmax = cx.uses.math("softmax");
        quote! { for y in y[..#scores].chunks_exact_mut(#n) { #softmax(y, 1.0); } }
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

/// The logistic function of whole rows, which takes whole vectors, then `each` on every slot's `entries`
/// values `y`, computed from `raw`, to put back what stays as it is.
fn logistic_slots(cx: &LayerCx, entries: usize, each: TokenStream, what: String) -> Body {
    let row = cx.input().row_slice(&quote!(x), quote!(row), 1);
    let (pixels, n) = (cx.out.pixels(), int(entries));
    let logistic = cx.uses.math("logistic");
    let code = quote! {
        let raw = #row;
        for (y, raw) in #pixels.iter_mut().zip(raw) { *y = #logistic(*raw); }
        for (y, raw) in #pixels.chunks_exact_mut(#n).zip(raw.chunks_exact(#n)) { #each }
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
