//! Convolutions by Winograd: row blocks, the input's transform once per row of tiles, then one call per
//! block of output channels.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_planner::{kernel::winograd::Sizes, plan::ConvKernel};

use super::LayerCx;
use crate::{
    kernel,
    names::{affine, ident, int},
};

/// Statements that compute `rows` of `y`, and the kernels they call, by their lanes. They see `x`, `w`,
/// `y`, `rows`, `scratch` and `tap(y)`; `pass` activates rows `block` of `y`, which begins at row `first`.
///
/// `scratch` holds V, then U and M of the planner's drawing.
pub(super) fn rows(
    cx: &LayerCx,
    k: &ConvKernel,
    s: Sizes,
    pass: &TokenStream,
) -> (TokenStream, Vec<usize>) {
    let out = cx.out;
    let row_block = cx.step.row_block;
    let v_floats = int(s.v(s.tiles(row_block, out.w)));
    let (m, cols, y_row) = (int(s.m), int(out.w), int(out.row));
    let per_row = out.w.div_ceil(s.m);
    let tiles = affine(&[(quote!(block.len().div_ceil(#m)), per_row)], 0);
    let first_tile = affine(&[(quote!(i), per_row)], 0);

    let (full, rest) = (out.c / k.nr, out.c % k.nr);
    let floats = kernel::block_floats(k);
    let path = |lanes: usize| ident(&kernel::name(k, cx.isa, lanes));
    let mut lanes = Vec::new();
    let call = |channel: &[(TokenStream, usize)], constant: usize, path| {
        let mut terms = vec![(quote!((block.start - first)), out.row)];
        terms.extend_from_slice(channel);
        let at = affine(&terms, (out.lo + constant) as isize);
        quote! {
            let y = &mut y[#at..];
            kernels::#path::channels(v, w, work, y, #y_row, #cols, block.len());
        }
    };
    let mut channels = TokenStream::new();
    let (block, of_full) = (int(floats), int(full * floats));
    if full > 0 {
        lanes.push(k.nr);
        let inner = call(&[(quote!(co), k.nr)], 0, path(k.nr));
        let w = if rest == 0 {
            quote!(w)
        } else {
            quote!(w[..#of_full])
        };
        channels.extend(quote! {
            for (co, w) in #w.chunks_exact(#block).enumerate() { #inner }
        });
    }
    if rest > 0 {
        lanes.push(rest);
        let inner = call(&[], full * k.nr, path(rest));
        let w = if full == 0 {
            quote!()
        } else {
            quote!(let w = &w[#of_full..];)
        };
        channels.extend(quote! { { #w #inner } });
    }
    let input = path(lanes[0]);
    let each = quote! {
        let tiles = #tiles;
        // The row of the last output's last tap: tiles that reach below it read it again.
        let last = block.end + 1;
        for (i, row) in block.clone().step_by(#m).enumerate() {
            let taps = std::array::from_fn(|k| tap((row + k).min(last)));
            kernels::#input::input(x, &taps, v, #cols, #first_tile, tiles);
        }
        #channels
        #pass
    };
    let code = if row_block >= cx.step.firing {
        quote! {
            let (first, block) = (rows.start, rows);
            #each
        }
    } else {
        let n = int(row_block);
        quote! {
            let (first, end) = (rows.start, rows.end);
            for row in rows.step_by(#n) {
                let block = row..end.min(row + #n);
                #each
            }
        }
    };
    let code = quote! {
        let (v, work) = scratch.split_at_mut(#v_floats);
        #code
    };
    (code, lanes)
}
