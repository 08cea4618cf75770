//! The function for one packed block of output channels, which calls the others.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    kernel::winograd::{GAP, Sizes},
    plan::ConvKernel,
};

use super::{
    Printer,
    begin::{begin, description},
};
use crate::{
    kernel::{entry::block_floats, finish::column},
    names::{affine, int},
};

/// Values of products that are kept before they become outputs, where all input channels are summed at
/// once: 176 KB, a third of the second-level cache.
const PRODUCTS: usize = 44 << 10;

/// Index in `y` of a tile's first output: the tile's sums begin at `row` and `col`.
pub fn pixel(k: &ConvKernel) -> TokenStream {
    let (row, col) = (column(k, quote!(row)), column(k, quote!(col)));
    affine(&[(quote!(#row * y_row), 1), (col, k.y_stride)], 0)
}

/// Bytes of a layer's weights from which on they come from beyond the second-level cache.
const FAR: usize = 1 << 20;

impl Printer<'_> {
    /// `channels`: everything behind the input's transform.
    pub(super) fn channels(&self) -> TokenStream {
        let entry = self.isa.entry();
        let doc = description(self.k, &self.s, self.channels, self.k.mr);
        let call = self
            .isa
            .call(quote!(block(v, w, work, y, [y_row, cols, rows])));
        let (strip, block) = (self.strip(), self.block());
        quote! {
            #[doc = #doc]
            pub fn channels(v: &[f32], w: &[f32], work: &mut [f32], y: &mut #strip<'_>, y_row: usize, cols: usize, rows: usize) {
                #entry
                #call
            }

            #block
        }
    }

    /// `block`: asserts, then all of the work.
    fn block(&self) -> TokenStream {
        let begin = begin(self.k, &self.s, self.channels);
        let between = self.between([self.n(), self.s.m]);
        let (attributes, strip) = (self.isa.attributes(), self.strip());
        let body = if self.s.parts() == 1 {
            self.at_once()
        } else {
            self.by_parts()
        };
        quote! {
            #attributes
            fn block(v: &[f32], w: &[f32], work: &mut [f32], y: &mut #strip<'_>, [y_row, cols, rows]: [usize; 3]) {
                #begin
                #between
                #body
            }
        }
    }

    /// All input channels at once: tiles become outputs a strip after the other.
    fn at_once(&self) -> TokenStream {
        let strip = int((PRODUCTS / self.s.products(1)).max(self.k.mr));
        let (cin, w_floats) = (int(self.s.cin), int(block_floats(self.k)));
        let next = self.next(quote!(#w_floats));
        // U is made, or read where it is stored.
        let u = if self.s.stored {
            quote!(let u = w;)
        } else {
            quote!(weights(w, u, 0, deep);)
        };
        let (products, finish) = (self.products(), self.finish());
        quote! {
            let (deep, is_first) = (#cin, true);
            #next
            #u
            for begin in (0..tiles).step_by(#strip) {
                let strip = begin..tiles.min(begin + #strip);
                { #products }
                #finish
            }
        }
    }

    /// A part of the input channels after the other, for all tiles.
    fn by_parts(&self) -> TokenStream {
        let [cin, depth, nr, points, w_floats] = [
            self.s.cin,
            self.s.depth,
            self.s.nr,
            self.s.points(),
            block_floats(self.k),
        ]
        .map(int);
        let next = self.next(quote! {
            if first + #depth < #cin { (first + #depth) * #nr } else { #w_floats }
        });
        let u = if self.s.stored {
            let part = int(self.s.points() * (self.s.depth * self.s.nr + GAP));
            quote!(let u = &w[part * #part..];)
        } else {
            quote!(weights(w, u, first, deep);)
        };
        let (products, finish) = (self.products(), self.finish());
        quote! {
            let strip = 0..tiles;
            for (part, first) in (0..#cin).step_by(#depth).enumerate() {
                let (deep, is_first) = (#depth.min(#cin - first), part == 0);
                #next
                let v = &v[part * #points * plane..];
                #u
                #products
            }
            #finish
        }
    }

    /// Products of the tiles `strip` with `u`, point by point.
    fn products(&self) -> TokenStream {
        let (arms, ahead) = (self.arms(), self.ahead());
        let [most, points, nr, gap, depth] =
            [self.k.mr, self.s.points(), self.s.nr, GAP, self.s.depth].map(int);
        quote! {
            // As few blocks as possible, as equal as possible: `large` ones of `most` tiles, the
            // others of one less.
            let blocks = strip.len().div_ceil(#most);
            let most = strip.len().div_ceil(blocks);
            let large = strip.len() - blocks * (most - 1);
            for point in 0..#points {
                #ahead
                let u = &u[point * (deep * #nr + #gap)..];
                let x = &v[point * plane + strip.start * #depth..];
                let m = &mut products[point * #nr..];
                match most {
                    #arms
                    _ => unreachable!("blocks are equal"),
                }
            }
        }
    }

    /// Blocks of every number of tiles.
    fn arms(&self) -> TokenStream {
        let (depth, tile) = (int(self.s.depth), int(self.s.products(1)));
        let arm = |i: usize| {
            if i == 1 {
                return quote!(1 => multiply::<1>(x, u, m, [deep, large], is_first),);
            }
            let [i, less] = [i, i - 1].map(int);
            quote!(#i => {
                multiply::<#i>(x, u, m, [deep, large], is_first);
                if large < blocks {
                    let (x, m) = (&x[large * #i * #depth..], &mut m[large * #i * #tile..]);
                    multiply::<#less>(x, u, m, [deep, blocks - large], is_first);
                }
            })
        };
        (1..=self.k.mr).map(arm).collect()
    }

    /// Outputs of the tiles `strip`, whose products are complete.
    fn finish(&self) -> TokenStream {
        let (m, tile, pixel) = (int(self.s.m), int(self.s.products(1)), pixel(self.k));
        let passed = (!self.is_straight([self.n(), self.s.m])).then(|| quote!(&mut between,));
        quote! {
            for (tile, products) in strip.zip(products.chunks_exact(#tile)) {
                let (row, col) = (tile / across * #m, (tile % across * #m).min(cols - #m));
                outputs(products, bias, y, #passed [#pixel, y_row, #m.min(rows - row)]);
            }
        }
    }

    /// `let next = at`, where [`Self::ahead`] needs it.
    fn next(&self, at: TokenStream) -> TokenStream {
        if self.ahead().is_empty() {
            return TokenStream::new();
        }
        quote!(let next = #at;)
    }

    /// Fetches a point's share of the weights that are transformed next, where all of a layer's do not stay in
    /// the second-level cache: on their way from memory while products are formed, they cost nothing. `next` is
    /// the index of the first one.
    fn ahead(&self) -> TokenStream {
        let Sizes { cin, depth, nr, .. } = self.s;
        if self.s.stored || 36 * cin * self.k.y_stride < FAR {
            return TokenStream::new();
        }
        // Cache lines of a tap, and of all of them for every point.
        let lines = depth * nr / 16;
        let share = (9 * lines).div_ceil(self.s.points());
        let at = affine(
            &[
                (quote!(next), 1),
                (quote!((line / LINES)), cin * nr),
                (quote!((line % LINES)), 16),
            ],
            0,
        );
        let fetch = self.isa.prefetch_far(quote!(w), at);
        if fetch.is_empty() {
            return fetch;
        }
        let (lines, share) = (int(lines), int(share));
        quote! {
            const LINES: usize = #lines;
            for line in point * #share..(point + 1) * #share { #fetch }
        }
    }
}
