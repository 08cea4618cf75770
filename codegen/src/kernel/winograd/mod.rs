//! Winograd kernels, printed for any instruction set: what `Lanes` says is all they need to know.
//!
//! A kernel's module has two functions that drivers call by its path:
//!
//! ```text
//! pub fn input(x: &[f32], taps: &[usize; N], v: &mut Strip, cols: usize)
//! pub fn channels(v: &[f32], w: &[f32], work: &mut [f32], y: &mut Strip, y_row: usize, cols: usize, rows: usize)
//! ```
//!
//! `N = m + 2`. A row block of `rows` rows of `cols >= m` pixels has `rows / m` rows of `cols / m` tiles,
//! both rounded up: `tiles` in all.
//! - `input` transforms one row of tiles into `v`, which is these tiles' strip of V: `taps[i]` is the
//!   index in `x` of what column 0 reads at row `i` of the tiles, `kx = 0`. Rows below the block's last
//!   tap may lie anywhere; what they hold must not depend on how work is shared, since it rounds.
//! - `channels` multiplies all tiles for one packed block of weights, as direct kernels take it, and
//!   writes `y[row * y_row + col * y_stride + lane]`, `lane < channels`; where it pools, the maxima of squares, at
//!   half of `row` and `col`. `work` holds the transformed weights, where they are not stored so, and the products.
//!
//! `planner::kernel::winograd` draws V and `work` and computes their sizes. The last tile of a row
//! overlaps the one before; rows of the last tiles behind `rows` are not written.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use tessera_plan::{kernel::winograd::Sizes, plan::ConvKernel};

use super::printed::Printed;
use crate::{
    names::{affine, comment, int},
    uses::{Uses, from},
};

mod begin;
mod channels;
mod input;
mod lanes;
mod multiply;
mod outputs;
pub mod transform;
mod weights;

pub(super) use begin::{begin, description};
pub(super) use channels::pixel;
pub(super) use lanes::{Lanes, literal};
pub(super) use outputs::stored_tile;
use transform::{Op, Transform};

/// The sizes of a Winograd kernel.
///
/// # Panics
/// If it is a direct one, which another generator prints.
pub(super) fn sizes(k: &ConvKernel) -> Sizes {
    Sizes::new(k).expect("a Winograd kernel")
}

/// The items of a kernel's module, with the vectors of `isa`.
pub(super) fn module(kernel: &Printed, isa: &dyn Lanes) -> TokenStream {
    let &Printed {
        k, channels, uses, ..
    } = kernel;
    isa.import(uses);
    let s = sizes(k);
    let p = Printer {
        k,
        s,
        channels,
        isa,
        uses,
    };
    // Widths and rows share the input's transform: it stands with the first block of channels.
    let input = if channels == k.nr.min(k.y_stride) {
        p.input()
    } else {
        TokenStream::new()
    };
    let weights = if s.stored {
        TokenStream::new()
    } else {
        p.weights()
    };
    let multiply = p.multiply();
    let (outputs, products) = (p.outputs(), p.channels());
    quote! {
        #input #products #weights #multiply #outputs
    }
}

/// A kernel being printed.
struct Printer<'a> {
    k: &'a ConvKernel,
    s: Sizes,
    channels: usize,
    isa: &'a dyn Lanes,
    uses: &'a Uses,
}

/// Number of a row or column: known where code is straight, a variable in a loop.
enum Index {
    Known(usize),
    Variable(TokenStream),
}

impl Index {
    /// This many times `by`, as a term of [`affine`] and a part of its constant.
    fn times(&self, by: usize) -> ((TokenStream, usize), isize) {
        match self {
            Self::Known(i) => ((TokenStream::new(), 0), (i * by) as isize),
            Self::Variable(i) => ((i.clone(), by), 0),
        }
    }

    /// This many times `by` steps that only the emitted code knows, as a term of [`affine`].
    fn steps(&self, step: &TokenStream, by: usize) -> (TokenStream, usize) {
        match self {
            Self::Known(i) => (step.clone(), i * by),
            Self::Variable(i) if by == 1 => (quote!(#i * #step), 1),
            Self::Variable(i) => (quote!((#i * #step)), by),
        }
    }
}

impl Printer<'_> {
    /// The type of strips.
    fn strip(&self) -> Ident {
        self.uses.name(from::STRIP, "Strip")
    }

    /// Side of a tile's input.
    const fn n(&self) -> usize {
        self.s.m + 2
    }

    /// Vectors of output channels that hold an existing one.
    fn vectors(&self) -> usize {
        self.channels.div_ceil(self.isa.lanes())
    }

    /// `unsafe { .. }` with its reason, where the instruction set needs it.
    fn guard(&self, why: &str, code: TokenStream) -> TokenStream {
        if self.isa.is_unsafe() {
            let why = comment(&format!("SAFETY: {why}"));
            quote! { #why unsafe { #code } }
        } else {
            code
        }
    }

    /// A one-dimensional transform as a function of vectors.
    fn transform(&self, name: &str, doc: &str, t: &Transform) -> TokenStream {
        let (name, ty, attributes) = (
            format_ident!("{name}"),
            self.isa.ty(),
            self.isa.attributes(),
        );
        let value = |v: usize| match v.checked_sub(t.inputs) {
            None => format_ident!("x{v}"),
            Some(i) => format_ident!("t{i}"),
        };
        let token = |v: usize| {
            let v = value(v);
            quote!(#v)
        };
        let (i, isa) = (t.inputs, self.isa);
        let ops = t.ops.iter().enumerate().map(|(n, op)| {
            let to = value(i + n);
            let e = match *op {
                Op::Add(a, b) => isa.add(token(a), token(b)),
                Op::Sub(a, b) => isa.sub(token(a), token(b)),
                Op::Mul(-1.0, a) => isa.sub(isa.zero(), token(a)),
                Op::Mul(c, a) => isa.mul(isa.constant(c), token(a)),
                Op::MulAdd(c, a, b) => isa.mul_add(isa.constant(c), token(a), token(b)),
                Op::MulSub(c, a, b) => isa.mul_sub(isa.constant(c), token(a), token(b)),
            };
            quote!(let #to = #e;)
        });
        let (ins, outs) = ((0..i).map(value), t.outputs.iter().map(|v| value(*v)));
        let (n_in, n_out) = (int(i), int(t.outputs.len()));
        quote! {
            #[doc = #doc]
            #[inline]
            #attributes
            fn #name(x: [#ty; #n_in]) -> [#ty; #n_out] {
                let [#(#ins),*] = x;
                #(#ops)*
                [#(#outs),*]
            }
        }
    }

    /// Transforms columns, then rows: `load(i, j)` gives the value at row `i`, column `j` of a square
    /// of `side`; `finish(i, rows)` takes group `i` of the `to` rows made of it, a group being as many as an
    /// output has rows of sums: expressions that transform one each. All groups are taken, or those of the first
    /// `rows` rows.
    ///
    /// What lies between the passes stays in registers where it can. Otherwise both are loops over
    /// `between`, an array in memory ([`Self::between`]): a compiler that sees all of it at once moves
    /// most of it twice.
    fn both_ways(
        &self,
        name: &str,
        [side, to]: [usize; 2],
        rows: Option<TokenStream>,
        load: impl Fn(usize, &Index) -> TokenStream,
        finish: impl Fn(&Index, &[TokenStream]) -> TokenStream,
    ) -> TokenStream {
        let name = format_ident!("{name}");
        let group = if rows.is_some() { self.k.side() } else { 1 };
        if self.is_straight([side, to]) {
            let column = |j: usize| format_ident!("column{j}");
            let mut code = TokenStream::new();
            for j in 0..side {
                let (at, column) = (Index::Known(j), column(j));
                let loads = (0..side).map(|i| load(i, &at));
                code.extend(quote! { let #column = #name([#(#loads),*]); });
            }
            for i in (0..to).step_by(group) {
                let row = |i: usize| {
                    let (at, columns) = (int(i), (0..side).map(column));
                    quote!(#name([#(#columns[#at]),*]))
                };
                let list: Vec<TokenStream> = (i..i + group).map(row).collect();
                let (one, at) = (finish(&Index::Known(i / group), &list), int(i));
                code.extend(match &rows {
                    Some(rows) if i > 0 => quote! { if #rows > #at { #one } },
                    // Names are a group's own.
                    _ => quote! { { #one } },
                });
            }
            return code;
        }
        let [i, j] = [quote!(i), quote!(j)].map(Index::Variable);
        let loads = (0..side).map(|i| load(i, &j));
        let side = int(side);
        let second = if group == 1 {
            let take = rows.map(|n| quote!(.take(#n)));
            let finish = finish(&i, &[quote!(#name(*row))]);
            quote! { for (i, row) in between.iter().enumerate() #take { #finish } }
        } else {
            let take = rows.map(|n| quote!(.take(#n / 2)));
            let finish = finish(&i, &[quote!(#name(*above)), quote!(#name(*below))]);
            quote! {
                for (i, [above, below]) in between.as_chunks().0.iter().enumerate() #take { #finish }
            }
        };
        quote! {
            for j in 0..#side {
                let column = #name([#(#loads),*]);
                for (row, value) in between.iter_mut().zip(column) { row[j] = value; }
            }
            #second
        }
    }

    /// Whether what lies between the passes of a transform of `from` columns to `to` rows takes half of the
    /// registers, or less. With more the straight code is no faster (F(4,3), 24 of 32).
    fn is_straight(&self, [from, to]: [usize; 2]) -> bool {
        2 * from * to <= self.isa.registers()
    }

    /// Stores row `i` of a square's points in `slice`, which is V or U: from index `at` on, every
    /// point in its plane. What is stored so many values `ahead` is fetched.
    fn to_planes(
        &self,
        slice: &TokenStream,
        i: &Index,
        rows: &[TokenStream],
        ahead: Option<usize>,
    ) -> TokenStream {
        let n = self.n();
        let stores = (0..n).map(|j| {
            let at = affine(&[(quote!(at), 1), (quote!(plane), j)], 0);
            let j = int(j);
            self.isa.store(slice.clone(), at, quote!(row[#j]), None)
        });
        let begin = match i {
            Index::Known(0) => TokenStream::new(),
            _ => {
                let at = affine(&[(quote!(at), 1), i.steps(&quote!(plane), n)], 0);
                quote!(let at = #at;)
            }
        };
        // The next channel's lines, which stores wait for.
        let fetch = ahead.map(|values| {
            (0..n)
                .map(|j| {
                    let at = affine(&[(quote!(at), 1), (quote!(plane), j)], values.cast_signed());
                    self.isa.prefetch_write(slice.clone(), at)
                })
                .collect::<TokenStream>()
        });
        quote! { #(let row = #rows;)* #begin #fetch #(#stores)* }
    }

    /// Declares the array for a transform of `from` columns to `to` rows, if it needs one.
    fn between(&self, [from, to]: [usize; 2]) -> TokenStream {
        if self.is_straight([from, to]) {
            return TokenStream::new();
        }
        let (zero, from, to) = (self.isa.zero(), int(from), int(to));
        quote!(let mut between = [[#zero; #from]; #to];)
    }
}
