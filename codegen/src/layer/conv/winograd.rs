//! Convolutions by Winograd: row blocks, the input's transform once per row of tiles, then one call per
//! block of output channels. A team shares both.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    kernel::{block_floats, wide_floats, winograd::Sizes},
    plan::ConvKernel,
};

use super::widen::{kernels, widen};
use crate::{
    kernel,
    layer::LayerCx,
    names::{affine, ident, int},
    uses::from,
};

/// Statements that compute `rows` of `y`, and the numbers of existing channels of the kernels that they call. They see `team`,
/// `x`, `w`, `y`, `rows`, `scratch` and `tap(y)`; `pass` activates rows `block` of `y`, which begins at
/// row `first`.
///
/// `scratch` holds V, then of every thread a wide block of weights, where these are halves, U and M, of
/// the planner's drawing.
pub(super) fn rows(
    cx: &LayerCx,
    k: &ConvKernel,
    s: Sizes,
    pass: &TokenStream,
) -> (TokenStream, Vec<usize>) {
    let out = cx.out;
    let row_block = cx.step.row_block;
    let (side, columns) = (k.side(), k.side() * out.w);
    let tiles_most = s.tiles(side * row_block, columns);
    let per_row = columns.div_ceil(s.m);
    let wide = wide_floats(k, cx.step.weights);
    let work = wide + s.work(tiles_most);
    let [v_floats, work, m, cols, y_row] = [s.v(tiles_most), work, s.m, columns, out.row].map(int);
    let split = if wide > 0 {
        let wide = int(wide);
        quote! { let (wide, work) = work.split_at_mut(#wide); }
    } else {
        TokenStream::new()
    };
    let (blocks, calls, existing) = channels(cx, k);
    let input = ident(&kernel::name(k, cx.isa, existing[0]));
    let (kernels, across) = (kernels(cx), cx.uses.name(from::TEAM, "Across"));
    let pexisting = s.points() * s.parts();
    let plane = affine(
        &[(quote!(down), per_row * s.depth)],
        s.plane(0).cast_signed(),
    );
    let at_row = affine(&[(quote!(i), per_row * s.depth)], 0);
    let [tile_row, pexisting, nr, stride] = [per_row * s.depth, pexisting, k.nr, out.c].map(int);
    // Strips begin with the step's first channel.
    let channel = cx.step.channel;
    let at_block = affine(&[(quote!(i), k.nr)], out.lo.cast_signed());
    let begin = affine(
        &[(quote!((block.start - first)), out.row)],
        channel.cast_signed(),
    );
    let pass = if pass.is_empty() {
        TokenStream::new()
    } else {
        quote! {
            team.rows(block.clone(), #y_row, done, |block, y| {
                let first = block.start;
                #pass
            });
        }
    };
    let of = |n: TokenStream| affine(&[(n, side)], 0);
    let (start, end) = (of(quote!(block.start)), of(quote!(block.end)));
    let height = if k.pool {
        quote!((2 * block.len()))
    } else {
        quote!(block.len())
    };
    let each = quote! {
        // The row of the last output's last tap: tiles that reach below it read it again.
        let (down, last) = (#height.div_ceil(#m), #end + 1);
        let plane = #plane;
        let v = &mut v[..#pexisting * plane];
        let across = #across { width: #tile_row, stride: plane, scratch_floats: 0 };
        team.strips(down, across, v, &mut [], |list, mut v, _| {
            for (i, number) in list.enumerate() {
                let row = #start + number * #m;
                let taps = std::array::from_fn(|k| tap((row + k).min(last)));
                #kernels::#input::input(x, &taps, &mut v.part(#at_row, #tile_row), #cols);
            }
        });
        let v = &*v;
        let done = &mut y[#begin..(block.end - first) * #y_row];
        let across = #across { width: #nr, stride: #stride, scratch_floats: #work };
        team.strips(#blocks, across, done, work, |list, mut y, work| {
            #split
            for (i, number) in list.enumerate() {
                let at = #at_block;
                #calls
            }
        });
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
    (code, existing)
}

/// Number of blocks of output channels; the call of block `number`, whose first value lies at `at` of
/// the strip `y`; and the numbers of existing channels of the kernels called.
fn channels(cx: &LayerCx, k: &ConvKernel) -> (TokenStream, TokenStream, Vec<usize>) {
    let out = cx.out;
    let cout = cx.node.shape.c;
    let (full, rest) = (cout / k.nr, cout % k.nr);
    let weights = cx.step.weights;
    let floats = int(block_floats(k.nr, k.size * k.size * k.cin, weights));
    let (widen, kernels) = (widen(cx, k), kernels(cx));
    let (cols, y_row) = (int(k.side() * out.w), int(out.row));
    let height = affine(&[(quote!(block.len()), k.side())], 0);
    let call = |existing: usize| {
        let (name, width) = (ident(&kernel::name(k, cx.isa, existing)), int(existing));
        quote! {
            let mut y = y.part(at, #width);
            #kernels::#name::channels(v, w, work, &mut y, #y_row, #cols, #height);
        }
    };
    let mut existing = Vec::new();
    if full > 0 {
        existing.push(k.nr);
    }
    if rest > 0 {
        existing.push(rest);
    }
    let calls = match existing.as_slice() {
        [one] => call(*one),
        _ => {
            let (full, wide, narrow) = (int(full), call(k.nr), call(rest));
            quote! {
                if number < #full { #wide } else { #narrow }
            }
        }
    };
    let block = quote! {
        let w = &w[number * #floats..][..#floats];
        #widen
        #calls
    };
    (
        int(full + existing.len() - usize::from(full > 0)),
        block,
        existing,
    )
}
