//! Darknet's reorg, which scrambles, and reorg3d, which does not.

use quote::quote;

use super::{Body, LayerCx};
use crate::names::{affine, int};

/// Darknet's `reorg_cpu` (`src/blas.c`; `docs/darknet.md#reorg`). Forward, value `o` of the flat C, H, W
/// output is the value that a space-to-depth of the input, *read as if it were
/// `C/s^2 x H s x W s`*, has at place `o` of the input's own C, H, W order. In reverse the two
/// indices swap roles, which makes it a true depth-to-space.
pub(super) fn scrambled(cx: &LayerCx, stride: usize, reverse: bool) -> Body {
    let (x, out) = (cx.input(), cx.out);
    let (s, q) = (int(stride), (x.c / (stride * stride)).max(1));
    let (ql, c, pixels) = (int(q), int(out.c), out.pixels());
    if reverse {
        let at = x.at((quote!((row / #s)), 1), (quote!((col / #s)), 1));
        let code = out.for_rows(quote! {
            for (col, y) in #pixels.chunks_exact_mut(#c).enumerate() {
                let offset = row % #s * #s + col % #s;
                let x = &x[#at + offset * #ql..][..#ql];
                y.copy_from_slice(x);
            }
        });
        return Body::plain(format!("reorg by {stride}, reverse"), code);
    }
    let (oh, ow) = (int(out.h), int(out.w));
    let (h, w) = (int(x.h), int(x.w));
    let (hs, ws) = (int(x.h * stride), int(x.w * stride));
    let at = x.index(
        &[(quote!(row_in), 1)],
        0,
        &[(quote!(col_in), x.c), (quote!(c_in), 1)],
        0,
    );
    let code = out.for_rows(quote! {
        for (col, y) in #pixels.chunks_exact_mut(#c).enumerate() {
            for (c, y) in y.iter_mut().enumerate() {
                let flat = (c * #oh + row) * #ow + col;
                let (i, j, k) = (flat % #w, flat / #w % #h, flat / (#w * #h));
                let (offset, c2) = (k / #ql, k % #ql);
                let from = i * #s + offset % #s + #ws * (j * #s + offset / #s + #hs * c2);
                let (col_in, row_in, c_in) = (from % #w, from / #w % #h, from / (#w * #h));
                *y = x[#at];
            }
        }
    });
    Body::plain(format!("reorg by {stride}"), code)
}

/// True space-to-depth: `out[(dy s + dx) C + c][j][i] = in[c][j s + dy][i s + dx]`, or back.
pub(super) fn true3d(cx: &LayerCx, stride: usize, reverse: bool) -> Body {
    let (x, out) = (cx.input(), cx.out);
    let (s, c, pixels) = (int(stride), int(out.c), out.pixels());
    if reverse {
        let [py, px] = cx.step.phase.map(|p| p % stride);
        let (yy, xx) = (
            affine(&[(quote!(row), 1)], py as isize),
            affine(&[(quote!(col), 1)], px as isize),
        );
        let at = x.at((quote!((yy / #s)), 1), (quote!((xx / #s)), 1));
        let code = out.for_rows(quote! {
            let yy = #yy;
            for (col, y) in #pixels.chunks_exact_mut(#c).enumerate() {
                let xx = #xx;
                let offset = yy % #s * #s + xx % #s;
                y.copy_from_slice(&x[#at + offset * #c..][..#c]);
            }
        });
        return Body::plain(format!("reorg3d by {stride}, reverse"), code);
    }
    let at = x.index(
        &[(quote!(row), stride), (quote!(dy), 1)],
        0,
        &[(quote!(col), stride * x.c)],
        0,
    );
    let run = int(stride * x.c);
    // The `stride` pixels of one input row lie side by side, in the order of the output's channels.
    let code = out.for_rows(quote! {
        for (col, y) in #pixels.chunks_exact_mut(#c).enumerate() {
            for (dy, y) in y.chunks_exact_mut(#run).enumerate() {
                y.copy_from_slice(&x[#at..][..#run]);
            }
        }
    });
    Body::plain(format!("reorg3d by {stride}"), code)
}
