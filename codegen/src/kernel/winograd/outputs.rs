//! The transform of products to the pixels of a tile.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use tessera_plan::plan::ConvKernel;

use super::{Index, Printer, transform};
use crate::{
    act,
    kernel::finish::{self, pairs},
    names::{affine, comment, int},
    uses::Uses,
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
        let rest = self.channels % lanes;
        let part = (rest > 0).then_some(rest);
        let constants = self.isa.constants(self.k, part);
        let vector = |part: Option<usize>| {
            let transformed =
                self.both_ways("backward", [n, m], Some(quote!(rows)), load, |i, rows| {
                    self.pixels(i, rows, part)
                });
            self.guard(
                "a tile's products and its pixels up to `rows` lie in the slices.",
                quote! { let bias = #bias; #transformed },
            )
        };
        let (full, lanes_l) = (int(self.channels / lanes * lanes), int(lanes));
        let mut code = TokenStream::new();
        if self.channels >= lanes {
            let each = vector(None);
            code.extend(quote! { for lane in (0..#full).step_by(#lanes_l) { #each } });
        }
        if part.is_some() {
            let last = vector(part);
            code.extend(quote! { let lane = #full; #last });
        }
        if !self.k.activation.is_in_registers() {
            code.extend(stored_tile(
                self.k,
                m,
                self.channels,
                self.isa.is_unsafe(),
                self.uses,
            ));
        }
        let (points, nr_l) = (int(n * n * nr), int(nr));
        let between =
            (!self.is_straight([n, m])).then(|| quote!(between: &mut [[#ty; #n_l]; #m_l],));
        let side = self.k.side();
        let last = int((m / side - 1) * self.k.y_stride + self.channels);
        let pairs = pairs(self.k, &quote!(rows));
        let last_row = finish::last(self.k, &quote!(rows));
        let strip = self.strip();
        quote! {
            /// The first `rows` rows of pixels of a tile, of its products, from index `pixel` on.
            #attributes
            fn outputs(products: &[f32], bias: &[f32], y: &mut #strip<'_>, #between [pixel, y_row, rows]: [usize; 3]) {
                assert!(products.len() >= #points && bias.len() >= #nr_l);
                assert!((1..=#m_l).contains(&rows) && y.len() >= #last && pixel <= y.len() - #last);
                #pairs
                assert!(#last_row.saturating_mul(y_row) <= y.len() - #last - pixel);
                #constants
                #code
            }

            #transform
        }
    }
}

impl Printer<'_> {
    /// Row `i` of a tile's outputs: `rows` are expressions for the arrays of sums, but for the bias, that they are
    /// made of. Activated and stored, or their maxima.
    fn pixels(&self, i: &Index, rows: &[TokenStream], part: Option<usize>) -> TokenStream {
        let (k, isa, m) = (self.k, self.isa, self.s.m);
        // A value, of a sum without bias.
        let value = |sum: TokenStream| {
            let (sum, name) = (isa.add(sum, quote!(bias)), format_ident!("value"));
            (quote!(let value = #sum;), isa.activate(k, &name))
        };
        let at = |j: usize| affine(&[(quote!(at), 1)], (j * k.y_stride) as isize);
        let begin = affine(
            &[
                (quote!(pixel), 1),
                i.steps(&quote!(y_row), 1),
                (quote!(lane), 1),
            ],
            0,
        );
        if !k.pool {
            let stores = (0..m).map(|j| {
                let j_l = int(j);
                let (sum, active) = value(quote!(row[#j_l]));
                let store = isa.store(quote!(y), at(j), active, part);
                quote! { #sum #store }
            });
            return quote! { #(let row = #rows;)* let at = #begin; #(#stores)* };
        }
        // Bias and activation keep the order of sums: the greatest one's value is the greatest.
        let most = |j: usize| format_ident!("most{}", j / 2);
        let mut code = TokenStream::new();
        for (below, row) in rows.iter().enumerate() {
            code.extend(quote!(let row = #row;));
            for j in 0..m {
                let (most, j_l) = (most(j), int(j));
                let greater = if below + j % 2 == 0 {
                    quote!(row[#j_l])
                } else {
                    isa.max(quote!(row[#j_l]), quote!(#most))
                };
                code.extend(quote! { let #most = #greater; });
            }
        }
        let stores = (0..m / 2).map(|j| {
            let most = most(2 * j);
            let (sum, active) = value(quote!(#most));
            let store = isa.store(quote!(y), at(j), active, part);
            quote! { #sum #store }
        });
        quote! { #code let at = #begin; #(#stores)* }
    }
}

/// Statements that activate `channels` channels of the first `rows` rows of pixels of a tile, which were just
/// stored in the strip `y` from index `pixel` on; by unchecked pointers if `is_unsafe`.
pub fn stored_tile(
    k: &ConvKernel,
    m: usize,
    channels: usize,
    is_unsafe: bool,
    uses: &Uses,
) -> TokenStream {
    let at = affine(
        &[
            (quote!(pixel), 1),
            (quote!(i * y_row), 1),
            (quote!(j), k.y_stride),
        ],
        0,
    );
    let value = act::scalar(k.activation, quote!(*v), uses);
    let (m, channels) = (int(m), int(channels));
    let values = if is_unsafe {
        let bounds = comment("SAFETY: the tile's pixels up to `rows` lie in the strip.");
        quote! {
            #bounds
            let y = unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().add(#at), #channels) };
        }
    } else {
        quote!(let y = y.values(#at, #channels);)
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
