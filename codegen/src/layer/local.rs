//! Convolution with its own weights for every output position (`[local]`).

use quote::quote;
use tessera_plan::graph::Activation;

use super::{Body, LayerCx};
use crate::{
    act,
    names::{affine, int},
};

/// Packed weights: `[oh][ow][cout]` bias, then `[oh][ow][ky][kx][cin][cout]`; taps outside of the
/// map are left out.
pub(super) fn emit(
    cx: &LayerCx,
    size: usize,
    stride: usize,
    pad: usize,
    activation: Activation,
) -> Body {
    let (x, out) = (cx.input(), cx.out);
    let (cin, cout, pixels) = (int(x.c), int(out.c), out.pixels());
    let per_pixel = size * size * x.c * out.c;
    let (row_bias, row_w) = (out.w * out.c, out.w * per_pixel);
    let (taps, biases, row_bias, row_wl, per_pixel) = (
        int(x.c * out.c),
        int(out.h * row_bias),
        int(row_bias),
        int(row_w),
        int(per_pixel),
    );
    let (h, w, sizel) = (int(x.h), int(x.w), int(size));
    let place = |var: proc_macro2::TokenStream, k: proc_macro2::TokenStream| {
        affine(&[(var, stride), (k, 1)], 0)
    };
    let (yy, xx) = (
        place(quote!(row), quote!(ky)),
        place(quote!(col), quote!(kx)),
    );
    let (py, test_y, px, test_x) = if pad == 0 {
        (quote!(yy), quote!(yy >= #h), quote!(xx), quote!(xx >= #w))
    } else {
        let (p, hi_y, hi_x) = (int(pad), int(x.h + pad), int(x.w + pad));
        (
            quote!((yy - #p)),
            quote!(!(#p..#hi_y).contains(&yy)),
            quote!((xx - #p)),
            quote!(!(#p..#hi_x).contains(&xx)),
        )
    };
    let at = x.at((py, 1), (px, 1));
    let pass = act::pass(activation, &out.pixels(), out.c, cx.uses);
    let rows = out.for_rows(quote! {
        let (bias, w) = (&bias[row * #row_bias..], &w[row * #row_wl..]);
        let cells = #pixels.chunks_exact_mut(#cout).zip(bias.chunks_exact(#cout));
        for (col, ((y, bias), w)) in cells.zip(w.chunks_exact(#per_pixel)).enumerate() {
            y.copy_from_slice(bias);
            for (tap, w) in w.chunks_exact(#taps).enumerate() {
                let (ky, kx) = (tap / #sizel, tap % #sizel);
                let (yy, xx) = (#yy, #xx);
                if #test_y || #test_x {
                    continue;
                }
                let x = &x[#at..][..#cin];
                for (x, w) in x.iter().zip(w.chunks_exact(#cout)) {
                    for (y, w) in y.iter_mut().zip(w) { *y += x * w; }
                }
            }
        }
        #pass
    });
    let what = format!(
        "local {size}x{size}/{stride}, {} -> {}, {}",
        x.c,
        out.c,
        activation.name()
    );
    let code = quote! { let (bias, w) = w.split_at(#biases); #rows };
    Body::weighted(what, code)
}
