//! Products of V and U.

use proc_macro2::TokenStream;
use quote::quote;

use super::Printer;
use crate::names::{affine, int};

impl Printer<'_> {
    /// `multiply`: products of a few tiles at one point.
    pub(super) fn multiply(&self) -> TokenStream {
        let (nr, lanes, vectors) = (self.s.nr, self.isa.lanes(), self.vectors());
        let (ty, attributes, zero) = (self.isa.ty(), self.isa.attributes(), self.isa.zero());
        let [nr_l, vec_l, tile] = [nr, vectors, self.s.points() * nr].map(int);
        let of_sum = affine(&[(quote!(i), self.s.points() * nr), (quote!(v), lanes)], 0);
        let load = self.isa.load(quote!(m), of_sum.clone());
        let store = self.isa.store(quote!(m), of_sum, quote!(*sum), None);
        let weights = (0..vectors).map(|v| {
            let at = affine(&[(quote!((c + k)), nr)], (v * lanes) as isize);
            self.isa.load(quote!(u), at)
        });
        let depth = int(self.s.depth);
        let broadcast = self.isa.broadcast(quote!(x), quote!(i * #depth + c + k));
        let fused = self.isa.accumulate(quote!(*sum), quote!(value), quote!(w));
        // The next block's inputs follow this one's: as many values as this step consumes, in lines.
        let ahead = (0..4 * self.k.mr).step_by(16).map(|line| {
            let at = affine(&[(quote!(TILES * (#depth + c)), 1)], line as isize);
            self.isa.prefetch(quote!(x), at)
        });
        // Four steps of the depth, where values are lanes; the first may begin the sums.
        let by_lane = |begins: bool| -> Option<TokenStream> {
            let load = self.isa.load(quote!(x), quote!(i * #depth + c));
            let step = |k| {
                let (values, w) = (quote!(values), quote!(w));
                let fused = if begins && k == 0 {
                    self.isa.mul_lane(values, k, w)?
                } else {
                    self.isa.mul_add_lane(values, k, w, quote!(*sum))?
                };
                let weights = (0..vectors).map(|v| {
                    self.isa.load(
                        quote!(u),
                        affine(&[(quote!(c), nr)], (k * nr + v * lanes) as isize),
                    )
                });
                Some(quote! {
                    let w = [#(#weights),*];
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
        };
        let four = by_lane(false).unwrap_or_else(|| {
            quote! {
                for k in 0..4 {
                    let w = [#(#weights),*];
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let value = #broadcast;
                        for (sum, w) in sums.iter_mut().zip(w) { #fused }
                    }
                }
            }
        });
        let load_sums = quote! {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() { *sum = #load; }
            }
        };
        // A turn of the loop is eight steps where the depth allows it.
        let first = by_lane(true);
        let by_eight = first.is_some() && [self.s.cin, self.s.depth].iter().all(|n| n % 8 == 0);
        let second = if by_eight {
            quote! { { let c = c + 4; #four } }
        } else {
            TokenStream::new()
        };
        let turn = int(if by_eight { 8 } else { 4 });
        let (begin, from) = match first {
            Some(first) => (
                quote! {
                    let mut begin = 0;
                    if is_first {
                        let c = 0;
                        #first
                        #second
                        begin = #turn;
                    } else {
                        #load_sums
                    }
                },
                quote!(begin),
            ),
            None => (quote! { if !is_first { #load_sums } }, quote!(0)),
        };
        let steps = self.guard(
            "the caller's tiles and part lie in the slices.",
            quote! {
                #begin
                for c in (#from..deep).step_by(#turn) {
                    #(#ahead)*
                    #four
                    #second
                }
                for (i, sums) in sums.iter().enumerate() {
                    for (v, sum) in sums.iter().enumerate() { #store }
                }
            },
        );
        quote! {
            /// Adds the products of `blocks` times `TILES` tiles at one point to `m`, or begins there:
            /// `x` tile by tile, `u` input channel by input channel, both of one part.
            #attributes
            fn multiply<const TILES: usize>(x: &[f32], u: &[f32], m: &mut [f32], [deep, blocks]: [usize; 2], is_first: bool) {
                assert!(deep.is_multiple_of(#turn) && deep <= #depth && u.len() >= deep * #nr_l);
                let xs = x.chunks_exact(TILES * #depth);
                let ms = m.chunks_mut(TILES * #tile);
                for (x, m) in xs.zip(ms).take(blocks) {
                    assert!(m.len() >= (TILES - 1) * #tile + #nr_l);
                    let mut sums: [[#ty; #vec_l]; TILES] = [[#zero; #vec_l]; TILES];
                    #steps
                }
            }
        }
    }
}
