//! Pools: over windows (cells outside of the map are ignored), over channels, over the whole map.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::graph::Pool;

use super::{Body, LayerCx};
use crate::names::{affine, comment, int};

/// Maximum over windows. Starts from `f32::MIN` and keeps the first of equals in every form, so
/// that clipped and unclipped windows give the same bits.
pub(super) fn max(cx: &LayerCx, p: &Pool) -> Body {
    let what = format!("maxpool {}", geometry(p));
    if cx.step.pad == [0; 4] && p.size == 2 && p.stride_x == 2 && cx.ins[0].w == 2 * cx.out.w {
        return Body::plain(what, max_2x2(cx, p));
    }
    let (c, max) = (int(cx.out.own), cx.uses.math("max"));
    let code = windows(
        cx,
        p,
        quote!(y.fill(f32::MIN);),
        quote! {
            for (y, x) in y.iter_mut().zip(&x[at..][..#c]) { *y = #max(*x, *y); }
        },
        quote!(),
    );
    Body::plain(what, code)
}

/// 2x2 windows side by side, wholly inside the map: two rows in step, four channel vectors.
///
/// `black_box` keeps the compiler from making vectors of pixels, where channels are few, by gathering and
/// scattering: 416 x 416 x 16 took 0.87 ms so, and takes 0.07 (AVX-512, Zen 5, rustc 1.95).
fn max_2x2(cx: &LayerCx, p: &Pool) -> TokenStream {
    let x = cx.input();
    let (c, pair) = (int(x.c), int(2 * x.c));
    let len = int(x.w * x.c);
    let upper = x.index(&[(quote!(row), p.stride_y)], 0, &[], 0);
    let lower = x.index(&[(quote!(row), p.stride_y)], 1, &[], 0);
    let (px, of_pixel, narrow) = (cx.out.pixels(), int(cx.out.c), cx.out.narrow());
    let max = cx.uses.math("max");
    let why = comment("Channels are vectors, not pixels.");
    cx.out.for_rows(quote! {
        let upper = x[#upper..][..#len].chunks_exact(#pair);
        let lower = x[#lower..][..#len].chunks_exact(#pair);
        for ((y, upper), lower) in #px.chunks_exact_mut(#of_pixel).zip(upper).zip(lower) {
            #narrow
            let ((x0, x1), (x2, x3)) = (upper.split_at(#c), lower.split_at(#c));
            for ((((y, x0), x1), x2), x3) in y.iter_mut().zip(x0).zip(x1).zip(x2).zip(x3) {
                *y = #max(*x3, #max(*x2, #max(*x1, #max(*x0, f32::MIN))));
            }
            #why
            std::hint::black_box(());
        }
    })
}

/// Mean over the cells of a window that lie inside the map.
pub(super) fn local_avg(cx: &LayerCx, p: &Pool) -> Body {
    let c = int(cx.out.c);
    let code = windows(
        cx,
        p,
        quote!(y.fill(0.0);),
        quote! {
            for (y, x) in y.iter_mut().zip(&x[at..][..#c]) { *y += x; }
        },
        quote! {
            let cells = (wy.len() * wx.len()) as f32;
            for y in y.iter_mut() { *y /= cells; }
        },
    );
    Body::plain(format!("local avgpool {}", geometry(p)), code)
}

/// Loops over windows: `before` with `y` the pixel's channels, `each` with `at` the index of every
/// cell inside the map in row order, `after` with the ranges `wy`, `wx`.
fn windows(
    cx: &LayerCx,
    p: &Pool,
    before: TokenStream,
    each: TokenStream,
    after: TokenStream,
) -> TokenStream {
    let x = cx.input();
    let [top, bottom, left, right] = cx.step.pad;
    let wy = window(&quote!(row), p.stride_y, p.size, top, bottom, x.h);
    let wx = window(&quote!(col), p.stride_x, p.size, left, right, x.w);
    let from = x.index(&[(quote!(wy), 1)], 0, &[], 0);
    let at = affine(&[(quote!(from), 1), (quote!(wx), x.c)], 0);
    let (px, c, narrow) = (cx.out.pixels(), int(cx.out.c), cx.out.narrow());
    cx.out.for_rows(quote! {
        let wy = #wy;
        for (col, y) in #px.chunks_exact_mut(#c).enumerate() {
            #narrow
            let wx = #wx;
            #before
            for wy in wy.clone() {
                let from = #from;
                for wx in wx.clone() {
                    let at = #at;
                    #each
                }
            }
            #after
        }
    })
}

/// Rows (or columns) of the view that window number `var` covers, clipped to the map.
fn window(
    var: &TokenStream,
    stride: usize,
    size: usize,
    before: usize,
    after: usize,
    extent: usize,
) -> TokenStream {
    let term = [(var.clone(), stride)];
    let lo = if before == 0 {
        affine(&term, 0)
    } else {
        let (first, b) = (affine(&term, 0), int(before));
        if stride == 1 {
            quote!(#first.saturating_sub(#b))
        } else {
            quote!((#first).saturating_sub(#b))
        }
    };
    let hi = if size >= before {
        affine(&term, (size - before) as isize)
    } else {
        let (first, b) = (affine(&term, 0), int(before - size));
        quote!((#first).saturating_sub(#b))
    };
    if after == 0 {
        quote!(#lo..#hi)
    } else {
        let extent = int(extent);
        quote!(#lo..#extent.min(#hi))
    }
}

/// Maximum over channels `g, g + out, g + 2 out, ...` of every pixel.
pub(super) fn depth(cx: &LayerCx, out_channels: usize) -> Body {
    let x = cx.input();
    let row = x.row_slice(&quote!(x), quote!(row), 1);
    let (px, cin, cout) = (cx.out.pixels(), int(x.c), int(out_channels));
    let max = cx.uses.math("max");
    let code = cx.out.for_rows(quote! {
        let x = #row;
        for (y, x) in #px.chunks_exact_mut(#cout).zip(x.chunks_exact(#cin)) {
            y.fill(f32::MIN);
            for x in x.chunks(#cout) {
                for (y, x) in y.iter_mut().zip(x) { *y = #max(*x, *y); }
            }
        }
    });
    Body::plain(
        format!("maxpool over depth, {} -> {out_channels} channels", x.c),
        code,
    )
}

/// Mean of each channel over the whole map.
pub(super) fn avg(cx: &LayerCx) -> Body {
    let x = cx.input();
    let (h, c, px) = (int(x.h), int(x.c), cx.out.pixels_mut());
    let row = x.row_slice(&quote!(x), quote!(row), 1);
    let cells = crate::names::float((x.h * x.w) as f32);
    let code = cx.out.for_rows(quote! {
        let y = #px;
        y.fill(0.0);
        for row in 0..#h {
            let x = #row;
            for x in x.chunks_exact(#c) {
                for (y, x) in y.iter_mut().zip(x) { *y += x; }
            }
        }
        for y in y.iter_mut() { *y /= #cells; }
    });
    Body::plain("avgpool", code)
}

fn geometry(p: &Pool) -> String {
    if p.stride_x == p.stride_y {
        format!("{0}x{0}/{1}", p.size, p.stride_x)
    } else {
        format!("{0}x{0}/{1}x{2}", p.size, p.stride_y, p.stride_x)
    }
}
