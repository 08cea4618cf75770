//! Darknet's reorg, which scrambles, and reorg3d, which does not.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Body, LayerCx, view::In};
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
    let (map_h, first) = (cx.node.shape.h * stride, cx.step.phase[0]);
    let t = affine(
        &[(quote!(q), cx.node.shape.h), (quote!(row), 1)],
        first as isize,
    );
    let row_in = row_in(x, stride, map_h, first);
    let from = x.index(&[(quote!(row_in), 1)], 0, &[], 0);
    let [s, squares, places, c, block, row_len, h] = [
        stride,
        square,
        square * square,
        x.c,
        stride * x.c,
        x.w * x.c,
        map_h,
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

/// The row of the view in which the rows `flat` of channel `q` lie. The view is the whole map of `map_h` rows, or it
/// begins with the first row that output row `first` reads.
fn row_in(x: In, s: usize, map_h: usize, first: usize) -> TokenStream {
    let h = int(map_h);
    if x.h == map_h {
        return quote!(flat % #h);
    }
    let lead = ((s - 1) * (s - 1)) as isize - (first * s) as isize;
    let row = affine(&[(quote!(flat), 1)], lead);
    quote!(#row - q * #h)
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
