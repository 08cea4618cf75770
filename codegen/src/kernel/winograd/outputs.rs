//! The transform of products to the pixels of a tile.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use tessera_planner::plan::ConvKernel;

use super::{Index, Printer, transform};
use crate::{
    act,
    names::{affine, comment, int},
};

impl Printer<'_> {
    /// `outputs`: the pixels of one tile.
    pub(super) fn outputs(&self) -> TokenStream {
        let (n, m, nr, lanes) = (self.n(), self.s.m, self.s.nr, self.isa.lanes());
        let transform = self.transform(
            "backward",
            " Outputs of a row or column, of the products at the points.",
            &transform::output(m),
        );
        let (n_l, m_l, ty) = (int(n), int(m), self.isa.ty());
        let attributes = self.isa.attributes();
        let load = |i: usize, j: &Index| {
            let (column, known) = j.times(nr);
            let row = (i * n * nr) as isize;
            let at = affine(&[(quote!(lane), 1), column], row + known);
            self.isa.load(quote!(products), at)
        };
        let bias = self.isa.load(quote!(bias), quote!(lane));
        let value = format_ident!("value");
        let activated = self.isa.activate(self.k, &value);
        let rest = self.lanes % lanes;
        let part = (rest > 0).then_some(rest);
        let constants = self.isa.constants(self.k, part);
        let vector = |part: Option<usize>| {
            let transformed =
                self.both_ways("backward", [n, m], Some(quote!(rows)), load, |i, row| {
                    let stores = (0..m).map(|j| {
                        let at = affine(&[(quote!(at), 1)], (j * self.k.y_stride) as isize);
                        let j = int(j);
                        let sum = self.isa.add(quote!(#row[#j]), quote!(bias));
                        let store = self.isa.store(quote!(y), at, activated.clone(), part);
                        quote! { let value = #sum; #store }
                    });
                    let at = affine(
                        &[
                            (quote!(pixel), 1),
                            i.steps(&quote!(y_row), 1),
                            (quote!(lane), 1),
                        ],
                        0,
                    );
                    quote! { let at = #at; #(#stores)* }
                });
            self.guard(
                "a tile's products and its pixels up to `rows` lie in the slices.",
                quote! { let bias = #bias; #transformed },
            )
        };
        let (full, lanes_l) = (int(self.lanes / lanes * lanes), int(lanes));
        let mut code = TokenStream::new();
        if self.lanes >= lanes {
            let each = vector(None);
            code.extend(quote! { for lane in (0..#full).step_by(#lanes_l) { #each } });
        }
        if part.is_some() {
            let last = vector(part);
            code.extend(quote! { let lane = #full; #last });
        }
        if !act::is_in_registers(self.k.activation) {
            code.extend(stored_tile(self.k, m, self.lanes, self.isa.is_unsafe()));
        }
        let (points, nr_l) = (int(n * n * nr), int(nr));
        let between =
            (!self.is_straight([n, m])).then(|| quote!(between: &mut [[#ty; #n_l]; #m_l],));
        let last = int((m - 1) * self.k.y_stride + self.lanes);
        quote! {
            /// The first `rows` rows of pixels of a tile, of its products, from index `pixel` on.
            #attributes
            fn outputs(products: &[f32], bias: &[f32], y: &mut Strip<'_>, #between [pixel, y_row, rows]: [usize; 3]) {
                assert!(products.len() >= #points && bias.len() >= #nr_l);
                assert!((1..=#m_l).contains(&rows) && y.len() >= #last && pixel <= y.len() - #last);
                assert!((rows - 1).saturating_mul(y_row) <= y.len() - #last - pixel);
                #constants
                #code
            }

            #transform
        }
    }
}

/// Statements that activate `lanes` channels of the first `rows` rows of pixels of a tile, which were just
/// stored in the strip `y` from index `pixel` on; by unchecked pointers if `is_unsafe`.
pub fn stored_tile(k: &ConvKernel, m: usize, lanes: usize, is_unsafe: bool) -> TokenStream {
    let at = affine(
        &[
            (quote!(pixel), 1),
            (quote!(i * y_row), 1),
            (quote!(j), k.y_stride),
        ],
        0,
    );
    let value = act::scalar(k.activation, quote!(*v));
    let (m, lanes) = (int(m), int(lanes));
    let values = if is_unsafe {
        let bounds = comment("SAFETY: the tile's pixels up to `rows` lie in the strip.");
        quote! {
            #bounds
            let y = unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().add(#at), #lanes) };
        }
    } else {
        quote!(let y = y.values(#at, #lanes);)
    };
    quote! {
        for i in 0..rows {
            for j in 0..#m {
                #values
                for v in y { *v = #value; }
            }
        }
    }
}
