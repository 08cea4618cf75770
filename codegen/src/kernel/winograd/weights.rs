//! The transform of one packed block of weights to U.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::kernel::winograd::GAP;

use super::{Index, Printer, transform};
use crate::names::{affine, int};

impl Printer<'_> {
    /// `weights`: U of one block and part.
    pub(super) fn weights(&self) -> TokenStream {
        let (n, nr, lanes) = (self.n(), self.s.nr, self.isa.lanes());
        let transform = self.transform(
            "expand",
            " Values at the points, of a row or column of weights.",
            &transform::weights(self.s.m),
        );
        let (nr_l, attributes) = (int(nr), self.isa.attributes());
        let load = |ky: usize, kx: &Index| {
            let tap = self.s.cin * nr;
            let (column, known) = kx.times(tap);
            let row = (ky * 3 * tap) as isize;
            let at = affine(&[(quote!(from), 1), column], row + known);
            self.isa.load(quote!(w), at)
        };
        let transformed = self.both_ways("expand", [3, n], None, load, |i, rows| {
            self.to_planes(&quote!(u), i, rows, Some(nr))
        });
        let between = self.between([3, n]);
        let body = self.guard(
            "all input channels lie in the block, and U holds a part.",
            transformed,
        );
        let (used, lanes_l, gap) = (int(self.vectors() * lanes), int(lanes), int(GAP));
        let (points, cin) = (int(n * n), int(self.s.cin));
        let floats = int(9 * self.s.cin * nr);
        quote! {
            /// Transforms the weights of input channels `first..first + deep`: `w` without the bias.
            #attributes
            fn weights(w: &[f32], u: &mut [f32], first: usize, deep: usize) {
                let plane = deep * #nr_l + #gap;
                assert!(w.len() == #floats && first + deep <= #cin && u.len() >= plane * #points);
                #between
                for c in 0..deep {
                    for lane in (0..#used).step_by(#lanes_l) {
                        let (from, at) = ((first + c) * #nr_l + lane, c * #nr_l + lane);
                        #body
                    }
                }
            }

            #transform
        }
    }
}
