//! The transform of inputs to V.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::kernel::{COLS_MAX, winograd::Sizes};

use super::{Index, Printer, transform};
use crate::names::{affine, int};

impl Printer<'_> {
    /// `input`: V of a row of tiles.
    pub(super) fn input(&self) -> TokenStream {
        let (n, m, lanes) = (self.n(), self.s.m, self.isa.lanes());
        let Sizes { cin, depth, .. } = self.s;
        // From a pixel to the next: other channels may lie beside.
        let step = self.k.x_stride;
        let transform = self.transform(
            "forward",
            " Values at the points, of a row or column of inputs.",
            &transform::input(m),
        );
        let [n_l, m_l, c_l, lanes_l, step_l] = [n, m, cin, lanes, step].map(int);
        let (attributes, entry) = (self.isa.attributes(), self.isa.entry());
        let load = |i: usize, j: &Index| {
            let (column, known) = j.times(step);
            let (i, at) = (int(i), affine(&[(quote!(from), 1), column], known));
            self.isa.load(quote!(x), quote!(taps[#i] + #at))
        };
        let transformed = self.both_ways("forward", [n, n], None, load, |i, rows| {
            self.to_planes(&quote!(v), i, rows, None)
        });
        let between = self.between([n, n]);
        // Where channel `c` lies in V: in its part, whose points are planes.
        let (points, d) = (n * n, int(depth));
        let (part, place) = if self.s.parts() == 1 {
            (TokenStream::new(), quote!(c))
        } else {
            let planes = int(points);
            (
                quote!(let part = c / #d * #planes * plane;),
                quote!(part + c % #d),
            )
        };
        let planes = int(points * self.s.parts() - 1);
        let reach = affine(&[(quote!((cols - 1)), step)], (2 * step + cin) as isize);
        let body = self.guard(
            "taps reach as far as the last tile's last column, and V as far as the last tile.",
            transformed,
        );
        let (widest, doc) = (
            int(COLS_MAX),
            format!(" Transforms the inputs of one row of tiles, {m} x {m} pixels each."),
        );
        let call = self.isa.call(quote!(input_row(x, taps, v, cols)));
        let strip = self.strip();
        quote! {
            #[doc = #doc]
            pub fn input(x: &[f32], taps: &[usize; #n_l], v: &mut #strip<'_>, cols: usize) {
                #entry
                #call
            }

            #attributes
            fn input_row(x: &[f32], taps: &[usize; #n_l], v: &mut #strip<'_>, cols: usize) {
                assert!((#m_l..=#widest).contains(&cols), "a row is at least one tile wide");
                let (across, plane) = (cols.div_ceil(#m_l), v.stride());
                let tiles = across * #d;
                assert!(v.width() >= tiles && v.len() >= tiles, "the transformed inputs");
                assert!(plane <= (v.len() - tiles) / #planes, "the transformed inputs");
                let reach = #reach;
                assert!(x.len() >= reach, "an input row");
                for tap in taps {
                    assert!(*tap <= x.len() - reach, "input rows");
                }
                #between
                for tile in 0..across {
                    let col = (tile * #m_l).min(cols - #m_l);
                    for c in (0..#c_l).step_by(#lanes_l) {
                        #part
                        let (from, at) = (col * #step_l + c, #place + tile * #d);
                        #body
                    }
                }
            }

            #transform
        }
    }
}
