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

/// Statements that compute `rows` of `y`, and the numbers of existing channels of the kernels that they call.
///
/// They see `team`, `x`, `w`, `y`, `rows`, `scratch` and `tap(y)`; `pass` activates rows `block` of `y`, which
/// begins at row `first`. `scratch` holds V, then of every thread a wide block of weights, where these are
/// halves, U and M: see [`tessera_plan::kernel::winograd`].
pub(super) fn rows(
    cx: &LayerCx,
    k: &ConvKernel,
    s: Sizes,
    pass: &TokenStream,
) -> (TokenStream, Vec<usize>) {
    let row_block = cx.step.row_block;
    let blocks = Blocks::new(cx, k);
    let turns = Turns {
        cx,
        k,
        s,
        columns: k.side() * cx.out.w,
        blocks: &blocks,
    };
    let (inputs, products, pass) = (turns.inputs(), turns.products(), turns.pass(pass));
    let each = quote! { #inputs #products #pass };
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
    let v_floats = int(s.v(turns.tiles_max()));
    let code = quote! {
        let (v, work) = scratch.split_at_mut(#v_floats);
        #code
    };
    (code, blocks.existing())
}

/// The turns of a team at a row block.
struct Turns<'a> {
    cx: &'a LayerCx<'a>,
    k: &'a ConvKernel,
    s: Sizes,
    /// Columns of sums.
    columns: usize,
    blocks: &'a Blocks<'a>,
}

impl Turns<'_> {
    /// Tiles of a whole row block.
    fn tiles_max(&self) -> usize {
        let rows = self.k.side() * self.cx.step.row_block;
        self.s.tiles(rows, self.columns)
    }

    /// A number of outputs, in sums.
    fn sums(&self, outputs: TokenStream) -> TokenStream {
        affine(&[(outputs, self.k.side())], 0)
    }

    /// The first turn: the transform of inputs to `v`, shared by rows of tiles.
    fn inputs(&self) -> TokenStream {
        let (s, cx) = (self.s, self.cx);
        let first = self.blocks.existing()[0];
        let input = ident(&kernel::name(self.k, cx.isa, first));
        let (kernels, across) = (kernels(cx), cx.uses.name(from::TEAM, "Across"));
        // Values of a row of tiles in a point's plane.
        let tile_row = self.columns.div_ceil(s.m) * s.depth;
        let plane = affine(&[(quote!(down), tile_row)], s.plane(0).cast_signed());
        let at_row = affine(&[(quote!(i), tile_row)], 0);
        let [tile_row, planes, m, cols] =
            [tile_row, s.points() * s.parts(), s.m, self.columns].map(int);
        let (start, end) = (self.sums(quote!(block.start)), self.sums(quote!(block.end)));
        let height = if self.k.pool {
            quote!((2 * block.len()))
        } else {
            quote!(block.len())
        };
        quote! {
            // The row of the last output's last tap: tiles that reach below it read it again.
            let (down, last) = (#height.div_ceil(#m), #end + 1);
            let plane = #plane;
            let v = &mut v[..#planes * plane];
            let across = #across { width: #tile_row, stride: plane, scratch_floats: 0 };
            team.strips(down, across, v, &mut [], |list, mut v, _| {
                for (i, number) in list.enumerate() {
                    let row = #start + number * #m;
                    let taps = std::array::from_fn(|k| tap((row + k).min(last)));
                    #kernels::#input::input(x, &taps, &mut v.part(#at_row, #tile_row), #cols);
                }
            });
            let v = &*v;
        }
    }

    /// The second turn: products and what follows, shared by blocks of output channels.
    fn products(&self) -> TokenStream {
        let (cx, out) = (self.cx, self.cx.out);
        let wide = wide_floats(self.k, cx.step.weights);
        let split = if wide > 0 {
            let wide = int(wide);
            quote! { let (wide, work) = work.split_at_mut(#wide); }
        } else {
            TokenStream::new()
        };
        // Strips begin with the step's first channel.
        let begin = affine(
            &[(quote!((block.start - first)), out.row)],
            cx.step.channel.cast_signed(),
        );
        let at_block = affine(&[(quote!(i), self.k.nr)], out.lo.cast_signed());
        let work = wide + self.s.work(self.tiles_max());
        let [work, y_row, nr, stride, blocks] =
            [work, out.row, self.k.nr, out.c, self.blocks.count()].map(int);
        let (across, call) = (cx.uses.name(from::TEAM, "Across"), self.blocks.call());
        quote! {
            let done = &mut y[#begin..(block.end - first) * #y_row];
            let across = #across { width: #nr, stride: #stride, scratch_floats: #work };
            team.strips(#blocks, across, done, work, |list, mut y, work| {
                #split
                for (i, number) in list.enumerate() {
                    let at = #at_block;
                    #call
                }
            });
        }
    }

    /// An activation that no kernel applies, shared by rows.
    fn pass(&self, pass: &TokenStream) -> TokenStream {
        if pass.is_empty() {
            return TokenStream::new();
        }
        let y_row = int(self.cx.out.row);
        quote! {
            team.rows(block.clone(), #y_row, done, |block, y| {
                let first = block.start;
                #pass
            });
        }
    }
}

/// Blocks of output channels.
struct Blocks<'a> {
    cx: &'a LayerCx<'a>,
    k: &'a ConvKernel,
    /// Whole blocks.
    full: usize,
    /// Channels of the last, narrower one; 0 if there is none.
    rest: usize,
}

impl<'a> Blocks<'a> {
    fn new(cx: &'a LayerCx<'a>, k: &'a ConvKernel) -> Self {
        let cout = cx.node.shape.c;
        Self {
            cx,
            k,
            full: cout / k.nr,
            rest: cout % k.nr,
        }
    }

    fn count(&self) -> usize {
        self.full + usize::from(self.rest > 0)
    }

    /// Numbers of existing channels of the kernels that are called.
    fn existing(&self) -> Vec<usize> {
        let full = (self.full > 0).then_some(self.k.nr);
        let rest = (self.rest > 0).then_some(self.rest);
        full.into_iter().chain(rest).collect()
    }

    /// Computes block `number`, whose first value lies at `at` of the strip `y`.
    fn call(&self) -> TokenStream {
        let k = self.k;
        let depth = k.size * k.size * k.cin;
        let floats = int(block_floats(k.nr, depth, self.cx.step.weights));
        let widen = widen(self.cx, k);
        let call = match self.existing().as_slice() {
            [only] => self.kernel(*only),
            _ => {
                let full = int(self.full);
                let (wide, narrow) = (self.kernel(k.nr), self.kernel(self.rest));
                quote! {
                    if number < #full { #wide } else { #narrow }
                }
            }
        };
        quote! {
            let w = &w[number * #floats..][..#floats];
            #widen
            #call
        }
    }

    /// The call of the kernel for so many existing channels.
    fn kernel(&self, existing: usize) -> TokenStream {
        let (k, out) = (self.k, self.cx.out);
        let name = ident(&kernel::name(k, self.cx.isa, existing));
        let height = affine(&[(quote!(block.len()), k.side())], 0);
        let [width, cols, y_row] = [existing, k.side() * out.w, out.row].map(int);
        let kernels = kernels(self.cx);
        quote! {
            let mut y = y.part(at, #width);
            #kernels::#name::channels(v, w, work, &mut y, #y_row, #cols, #height);
        }
    }
}
