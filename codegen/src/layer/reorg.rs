//! Darknet's reorg, which scrambles, and reorg3d, which does not.

use proc_macro2::TokenStream;
use quote::quote;

use tessera_plan::{graph::reorg_rows, region::Span};

use super::{Body, LayerCx};
use crate::names::{affine, int};

/// Darknet's `reorg_cpu` (`src/blas.c`; `docs/darknet.md#reorg`). Forward, value `o` of the flat C, H, W
/// output is the value that a space-to-depth of the input, *read as if it were
/// `C/s^2 x H s x W s`*, has at place `o` of the input's own C, H, W order. In reverse the two
/// indices swap roles, which makes it a true depth-to-space.
pub(super) fn scrambled(cx: &LayerCx, stride: usize, reverse: bool) -> Body {
    if reverse {
        let each = cx.input().c / (stride * stride);
        let code = depth_to_space(cx, stride, each);
        return Body::plain(format!("reorg by {stride}, reverse"), code);
    }
    let code = if stride == 1 {
        let row = cx.input().row_slice(&quote!(x), quote!(row), 1);
        let pixels = cx.out.pixels();
        cx.out.for_rows(quote!(#pixels.copy_from_slice(#row);))
    } else {
        space_to_depth(cx, stride)
    };
    Body::plain(format!("reorg by {stride}"), code)
}

/// Darknet's forward reorg by `s` (at least 2), row by row of a tile.
///
/// Channel `offset C + c` of a pixel of the output comes from a pixel of the input's block of `s x s`, column
/// `offset % s`, in a row that depends on `q = c % s^2` too: with `t = q h / s + row`, the row is
/// `s t - (s - 1) (t % s) + s (offset / s)` of channel `c - q`, and rows behind the map's last one go on in the next
/// channel.
fn space_to_depth(cx: &LayerCx, stride: usize) -> TokenStream {
    let (x, out, square) = (cx.input(), cx.out, stride * stride);
    let (out_h, first) = (cx.node.shape.h, cx.step.phase[0]);
    let map_h = out_h * stride;
    let t = affine(&[(quote!(q), out_h), (quote!(row), 1)], first as isize);
    let h = int(map_h);
    // The view is the whole map, or it begins with the first row that is read.
    let row_in = if x.h == map_h {
        quote!(flat % #h)
    } else {
        let rows = Span::new(first, first + out.h);
        let (first_in, _) = reorg_rows(rows, stride, out_h);
        let row = affine(&[(quote!(flat), 1)], -first_in);
        quote!(#row - q * #h)
    };
    let from = x.index(&[(quote!(row_in), 1)], 0, &[], 0);
    let [s, squares, places, c, block, row_len] = [
        stride,
        square,
        square * square,
        x.c,
        stride * x.c,
        x.w * x.c,
    ]
    .map(int);
    let before = affine(&[(quote!((t % #s)), stride - 1)], 0);
    let (of_pixel, pixels) = (int(out.c), out.pixels());
    out.for_rows(quote! {
        for place in 0..#places {
            let (offset, q) = (place / #squares, place % #squares);
            let t = #t;
            let flat = t * #s + offset / #s * #s - #before;
            let row_in = #row_in;
            let x = &x[#from..][..#row_len];
            for (y, x) in #pixels.chunks_exact_mut(#of_pixel).zip(x.chunks_exact(#block)) {
                let y = &mut y[offset * #c..][..#c];
                let x = &x[offset % #s * #c..][..#c];
                for (y, x) in y.chunks_exact_mut(#squares).zip(x.chunks_exact(#squares)) {
                    y[q] = x[flat / #h];
                }
            }
        }
    })
}

/// Pixel (`row`, `col`) of the output is channels `offset each..` of pixel (`row / s`, `col / s`), with
/// `offset = row % s * s + col % s`.
fn depth_to_space(cx: &LayerCx, stride: usize, each: usize) -> TokenStream {
    let (x, out) = (cx.input(), cx.out);
    let (s, each, of_pixel, pixels) = (int(stride), int(each), int(out.c), out.pixels());
    let [py, px] = cx.step.phase.map(|p| p % stride);
    let (yy, xx) = (
        affine(&[(quote!(row), 1)], py as isize),
        affine(&[(quote!(col), 1)], px as isize),
    );
    let at = x.at((quote!((yy / #s)), 1), (quote!((xx / #s)), 1));
    out.for_rows(quote! {
        let yy = #yy;
        for (col, y) in #pixels.chunks_exact_mut(#of_pixel).enumerate() {
            let xx = #xx;
            let offset = yy % #s * #s + xx % #s;
            y.copy_from_slice(&x[#at + offset * #each..][..#each]);
        }
    })
}

/// True space-to-depth: `out[(dy s + dx) C + c][j][i] = in[c][j s + dy][i s + dx]`, or back.
pub(super) fn true3d(cx: &LayerCx, stride: usize, reverse: bool) -> Body {
    if reverse {
        let code = depth_to_space(cx, stride, cx.out.c);
        return Body::plain(format!("reorg3d by {stride}, reverse"), code);
    }
    let (x, out) = (cx.input(), cx.out);
    let (c, pixels) = (int(out.c), out.pixels());
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
