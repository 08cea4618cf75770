//! Products of V and U.

use proc_macro2::TokenStream;
use quote::quote;

use super::Printer;
use crate::names::{affine, int};

impl Printer<'_> {
    /// `multiply`: products of a few tiles at one point.
    pub(super) fn multiply(&self) -> TokenStream {
        let (ty, attributes, zero) = (self.isa.ty(), self.isa.attributes(), self.isa.zero());
        let [nr, vectors, tile, depth, turn] = [
            self.s.nr,
            self.vectors(),
            self.s.products(1),
            self.s.depth,
            self.turn(),
        ]
        .map(int);
        let steps = self.guard("the caller's tiles and part lie in the slices.", self.sum());
        quote! {
            /// Adds the products of `blocks` times `TILES` tiles at one point to `m`, or begins there:
            /// `x` tile by tile, `u` input channel by input channel, both of one part.
            #attributes
            fn multiply<const TILES: usize>(x: &[f32], u: &[f32], m: &mut [f32], [deep, blocks]: [usize; 2], is_first: bool) {
                assert!(deep.is_multiple_of(#turn) && deep <= #depth && u.len() >= deep * #nr);
                let xs = x.chunks_exact(TILES * #depth);
                let ms = m.chunks_mut(TILES * #tile);
                for (x, m) in xs.zip(ms).take(blocks) {
                    assert!(m.len() >= (TILES - 1) * #tile + #nr);
                    let mut sums: [[#ty; #vectors]; TILES] = [[#zero; #vectors]; TILES];
                    #steps
                }
            }
        }
    }

    /// The sums of a block of tiles: begun or loaded, all of the depth, stored.
    fn sum(&self) -> TokenStream {
        let (begin, first) = self.begin();
        let turn = int(self.turn());
        let (four, second) = (self.four(), self.second());
        let depth = int(self.s.depth);
        // The next block's inputs follow this one's: as many values as this step consumes, in lines.
        let ahead = (0..4 * self.k.mr).step_by(16).map(|line| {
            let at = affine(&[(quote!(TILES * (#depth + c)), 1)], line as isize);
            self.isa.prefetch(quote!(x), at)
        });
        let store = self.isa.store(quote!(m), self.of_sum(), quote!(*sum), None);
        quote! {
            #begin
            for c in (#first..deep).step_by(#turn) {
                #(#ahead)*
                #four
                #second
            }
            for (i, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() { #store }
            }
        }
    }

    /// Index in `m` of sum `v` of tile `i`.
    fn of_sum(&self) -> TokenStream {
        let terms = [
            (quote!(i), self.s.products(1)),
            (quote!(v), self.isa.lanes()),
        ];
        affine(&terms, 0)
    }

    /// What the sums begin with, and the step of the depth that is next.
    fn begin(&self) -> (TokenStream, TokenStream) {
        let load = self.isa.load(quote!(m), self.of_sum());
        let load = quote! {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() { *sum = #load; }
            }
        };
        let Some(first) = self.four_by_lane(true) else {
            return (quote! { if !is_first { #load } }, quote!(0));
        };
        let (second, turn) = (self.second(), int(self.turn()));
        let begin = quote! {
            let mut begin = 0;
            if is_first {
                let c = 0;
                #first
                #second
                begin = #turn;
            } else {
                #load
            }
        };
        (begin, quote!(begin))
    }

    /// Steps of a turn of the loop: eight where values are lanes and the depth allows it.
    fn turn(&self) -> usize {
        let by_lane = self.four_by_lane(true).is_some();
        if by_lane && [self.s.cin, self.s.depth].iter().all(|n| n % 8 == 0) {
            8
        } else {
            4
        }
    }

    /// The second four steps of a turn, if it has any.
    fn second(&self) -> TokenStream {
        if self.turn() == 4 {
            return TokenStream::new();
        }
        let four = self.four();
        quote! { { let c = c + 4; #four } }
    }

    /// Four steps of the depth.
    fn four(&self) -> TokenStream {
        self.four_by_lane(false).unwrap_or_else(|| {
            let depth = int(self.s.depth);
            let weights = self.weights_at(&(quote!((c + k)), self.s.nr), 0);
            let broadcast = self.isa.broadcast(quote!(x), quote!(i * #depth + c + k));
            let fused = self.isa.accumulate(quote!(*sum), quote!(value), quote!(w));
            quote! {
                for k in 0..4 {
                    let w = #weights;
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let value = #broadcast;
                        for (sum, w) in sums.iter_mut().zip(w) { #fused }
                    }
                }
            }
        })
    }

    /// Four steps of the depth where values are lanes; the first may begin the sums.
    fn four_by_lane(&self, begins: bool) -> Option<TokenStream> {
        let (ty, zero, depth) = (self.isa.ty(), self.isa.zero(), int(self.s.depth));
        let load = self.isa.load(quote!(x), quote!(i * #depth + c));
        let step = |k| {
            let (values, w) = (quote!(values), quote!(w));
            let fused = if begins && k == 0 {
                self.isa.mul_lane(values, k, w)?
            } else {
                self.isa.mul_add_lane(values, k, w, quote!(*sum))?
            };
            let weights = self.weights_at(&(quote!(c), self.s.nr), k * self.s.nr);
            Some(quote! {
                let w = #weights;
                for (sums, values) in sums.iter_mut().zip(values) {
                    for (sum, w) in sums.iter_mut().zip(w) { *sum = #fused; }
                }
            })
        };
        let steps: TokenStream = (0..4).map(step).collect::<Option<_>>()?;
        Some(quote! {
            let mut values: [#ty; TILES] = [#zero; TILES];
            for (i, values) in values.iter_mut().enumerate() { *values = #load; }
            #steps
        })
    }

    /// The vectors of U from `step`, a variable times a factor, and `at` on, as an array.
    fn weights_at(&self, step: &(TokenStream, usize), at: usize) -> TokenStream {
        let vectors = (0..self.vectors()).map(|v| {
            let at = affine(
                std::slice::from_ref(step),
                (at + v * self.isa.lanes()).cast_signed(),
            );
            self.isa.load(quote!(u), at)
        });
        quote!([#(#vectors),*])
    }
}
