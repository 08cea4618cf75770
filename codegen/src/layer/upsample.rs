//! Nearest-neighbour upsampling, and its counterpart that sums blocks.

use quote::quote;

use super::{Body, LayerCx};
use crate::names::{affine, float, int};

/// `out[j][i] = scale * in[j / stride][i / stride]`; the tile may begin inside a block (`phase`).
pub(super) fn up(cx: &LayerCx, stride: usize, scale: f32) -> Body {
    let x = cx.input();
    let [py, px] = cx.step.phase.map(|p| p % stride);
    let (s, c, pixels) = (int(stride), int(x.c), cx.out.pixels());
    let (of_pixel, narrow) = (int(cx.out.c), cx.out.narrow());
    let div = |var: proc_macro2::TokenStream, phase: usize| {
        let v = affine(&[(var, 1)], phase as isize);
        if phase == 0 {
            quote!(#v / #s)
        } else {
            quote!((#v) / #s)
        }
    };
    let (y_in, x_in) = (div(quote!(row), py), div(quote!(col), px));
    let (row_len, from) = (int(x.w * x.c), x.index(&[(quote!(y_in), 1)], 0, &[], 0));
    let copy = if scale == 1.0 {
        quote! { y.copy_from_slice(x); }
    } else {
        let scale = float(scale);
        quote! { for (y, x) in y.iter_mut().zip(x) { *y = #scale * x; } }
    };
    let at = affine(&[(quote!(x_in), x.c)], 0);
    let code = cx.out.for_rows(quote! {
        let y_in = #y_in;
        let x = &x[#from..][..#row_len];
        for (col, y) in #pixels.chunks_exact_mut(#of_pixel).enumerate() {
            #narrow
            let x_in = #x_in;
            let x = &x[#at..][..#c];
            #copy
        }
    });
    Body::plain(format!("upsample by {stride}{}", times(scale)), code)
}

/// `scale` times the sum of each `stride x stride` block, added in row order.
pub(super) fn down(cx: &LayerCx, stride: usize, scale: f32) -> Body {
    let x = cx.input();
    let (s, c, pixels) = (int(stride), int(x.c), cx.out.pixels());
    let at = x.index(
        &[(quote!(row), stride), (quote!(dy), 1)],
        0,
        &[(quote!(col), stride * x.c), (quote!(dx), x.c)],
        0,
    );
    let add = if scale == 1.0 {
        quote!(*y += x;)
    } else {
        let scale = float(scale);
        quote!(*y += #scale * x;)
    };
    let code = cx.out.for_rows(quote! {
        for (col, y) in #pixels.chunks_exact_mut(#c).enumerate() {
            y.fill(0.0);
            for dy in 0..#s {
                for dx in 0..#s {
                    let at = #at;
                    for (y, x) in y.iter_mut().zip(&x[at..][..#c]) { #add }
                }
            }
        }
    });
    Body::plain(format!("downsample by {stride}{}", times(scale)), code)
}

fn times(scale: f32) -> String {
    if scale == 1.0 {
        String::new()
    } else {
        format!(", times {scale}")
    }
}
