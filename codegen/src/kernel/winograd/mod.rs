//! Winograd kernels, printed for any instruction set: what [`Lanes`] says is all they need to know.
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
//!   writes `y[row * y_row + col * y_stride + lane]`, `lane < lanes`. `work` holds the transformed weights
//!   and the products.
//!
//! `planner::kernel::winograd` draws V and `work` and computes their sizes. The last tile of a row
//! overlaps the one before; rows of the last tiles behind `rows` are not written.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use tessera_planner::{
    kernel::winograd::{GAP, Sizes},
    plan::ConvKernel,
};

use super::COLS_MAX;
use crate::names::{affine, comment, float, grouped, int};

pub mod transform;

use transform::{Op, Transform};

/// Values of products that are kept before they become outputs, where all input channels are summed at
/// once: 176 KB, a third of the second-level cache.
const PRODUCTS: usize = 44 << 10;

/// How an instruction set computes on a vector of values. Expressions stand inside `unsafe` where
/// [`Self::is_unsafe`] says so.
pub trait Lanes {
    /// Values of a vector.
    fn lanes(&self) -> usize;
    /// The vector's type.
    fn ty(&self) -> TokenStream;
    /// Imports of the module.
    fn uses(&self, k: &ConvKernel) -> TokenStream;
    /// Attributes of functions that use vectors.
    fn attributes(&self) -> TokenStream;
    /// Statements at the entry of public functions: that the processor can, if it might not.
    fn entry(&self) -> TokenStream {
        TokenStream::new()
    }
    /// Whether loads and stores are unchecked.
    fn is_unsafe(&self) -> bool;
    /// All lanes zero.
    fn zero(&self) -> TokenStream;
    /// All lanes the value of a constant.
    fn constant(&self, c: f64) -> TokenStream;
    /// All lanes `slice[at]`.
    fn broadcast(&self, slice: TokenStream, at: TokenStream) -> TokenStream;
    /// Lanes from `slice[at]` on.
    fn load(&self, slice: TokenStream, at: TokenStream) -> TokenStream;
    /// Fetches what `slice[at]` and its neighbours hold, which may lie behind the slice; nothing
    /// where stable Rust has no word for it.
    fn prefetch(&self, _slice: TokenStream, _at: TokenStream) -> TokenStream {
        TokenStream::new()
    }
    /// Stores lanes from `slice[at]` on; only the first `part` if it is given.
    fn store(
        &self,
        slice: TokenStream,
        at: TokenStream,
        v: TokenStream,
        part: Option<usize>,
    ) -> TokenStream;
    /// Constants that partial stores and the activation use.
    fn constants(&self, k: &ConvKernel, part: Option<usize>) -> TokenStream;
    /// `a + b`.
    fn add(&self, a: TokenStream, b: TokenStream) -> TokenStream;
    /// `a - b`.
    fn sub(&self, a: TokenStream, b: TokenStream) -> TokenStream;
    /// `a * b`.
    fn mul(&self, a: TokenStream, b: TokenStream) -> TokenStream;
    /// `a * b + c`.
    fn mul_add(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream;
    /// `c - a * b`.
    fn mul_sub(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream;
    /// `values[lane] * b + c`, where that is one instruction: then inputs are loaded four at a time.
    fn mul_add_lane(
        &self,
        _values: TokenStream,
        _lane: usize,
        _b: TokenStream,
        _c: TokenStream,
    ) -> Option<TokenStream> {
        None
    }
    /// The activation of `v`.
    fn activate(&self, k: &ConvKernel, v: &Ident) -> TokenStream;
    /// A call from a public function to one that uses vectors.
    fn call(&self, call: TokenStream) -> TokenStream;
}

/// A constant, rounded once.
#[expect(clippy::cast_possible_truncation, reason = "rounded once, here")]
pub fn literal(c: f64) -> TokenStream {
    let c = c as f32;
    if c == SQRT_2 {
        quote!(std::f32::consts::SQRT_2)
    } else if c == FRAC_1_SQRT_2 {
        quote!(std::f32::consts::FRAC_1_SQRT_2)
    } else {
        float(c)
    }
}

/// The items of a kernel's module for blocks of `lanes` output channels.
pub fn conv(k: &ConvKernel, s: Sizes, lanes: usize, isa: &dyn Lanes) -> TokenStream {
    let p = Printer { k, s, lanes, isa };
    let uses = isa.uses(k);
    // Widths and rows share the input's transform: it stands with the first block of channels.
    let input = if lanes == k.nr.min(k.y_stride) {
        p.input()
    } else {
        TokenStream::new()
    };
    let (weights, multiply) = (p.weights(), p.multiply());
    let (outputs, channels) = (p.outputs(), p.channels());
    quote! {
        use tessera_runtime::strip::Strip;
        #uses #input #channels #weights #multiply #outputs
    }
}

/// A kernel being printed.
struct Printer<'a> {
    k: &'a ConvKernel,
    s: Sizes,
    lanes: usize,
    isa: &'a dyn Lanes,
}

impl Printer<'_> {
    /// Side of a tile's input.
    const fn n(&self) -> usize {
        self.s.m + 2
    }

    /// Vectors of output channels that hold an existing one.
    fn vectors(&self) -> usize {
        self.lanes.div_ceil(self.isa.lanes())
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
    /// of `sides[0]`; `finish(i, name)` takes row `i` of the `sides[1]` rows made of it, an array.
    fn both_ways(
        &self,
        name: &str,
        sides: [usize; 2],
        load: impl Fn(usize, usize) -> TokenStream,
        finish: impl Fn(usize, &Ident) -> TokenStream,
    ) -> TokenStream {
        let name = format_ident!("{name}");
        let column = |j: usize| format_ident!("column{j}");
        let mut out = TokenStream::new();
        for j in 0..sides[0] {
            let (to, loads) = (column(j), (0..sides[0]).map(|i| load(i, j)));
            out.extend(quote!(let #to = #name([#(#loads),*]);));
        }
        for i in 0..sides[1] {
            let from = (0..sides[0]).map(|j| {
                let (column, i) = (column(j), int(i));
                quote!(#column[#i])
            });
            let row = format_ident!("row");
            let finish = finish(i, &row);
            out.extend(quote! { let #row = #name([#(#from),*]); #finish });
        }
        out
    }

    /// `input`: V of a row of tiles.
    fn input(&self) -> TokenStream {
        let (n, m, lanes) = (self.n(), self.s.m, self.isa.lanes());
        let Sizes { cin, depth, .. } = self.s;
        let transform = self.transform(
            "forward",
            " Values at the points, of a row or column of inputs.",
            &transform::input(m),
        );
        let (n_l, m_l, c_l, lanes_l) = (int(n), int(m), int(cin), int(lanes));
        let (attributes, entry) = (self.isa.attributes(), self.isa.entry());
        let load = |i: usize, j: usize| {
            let (i, at) = (int(i), affine(&[(quote!(from), 1)], (j * cin) as isize));
            self.isa.load(quote!(x), quote!(taps[#i] + #at))
        };
        let transformed = self.both_ways("forward", [n, n], load, |i, row| {
            let stores = (0..n).map(|j| {
                let at = affine(&[(quote!(at), 1), (quote!(plane), i * n + j)], 0);
                let j = int(j);
                self.isa.store(quote!(v), at, quote!(#row[#j]), None)
            });
            quote!(#(#stores)*)
        });
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
        let reach = affine(&[(quote!((cols - 1)), cin)], (3 * cin) as isize);
        let body = self.guard(
            "taps reach as far as the last tile's last column, and V as far as the last tile.",
            transformed,
        );
        let (widest, doc) = (
            int(COLS_MAX),
            format!(" Transforms the inputs of one row of tiles, {m} x {m} pixels each."),
        );
        let call = self.isa.call(quote!(input_row(x, taps, v, cols)));
        quote! {
            #[doc = #doc]
            pub fn input(x: &[f32], taps: &[usize; #n_l], v: &mut Strip<'_>, cols: usize) {
                #entry
                #call
            }

            #attributes
            fn input_row(x: &[f32], taps: &[usize; #n_l], v: &mut Strip<'_>, cols: usize) {
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
                for tile in 0..across {
                    let col = (tile * #m_l).min(cols - #m_l);
                    for c in (0..#c_l).step_by(#lanes_l) {
                        #part
                        let (from, at) = (col * #c_l + c, #place + tile * #d);
                        #body
                    }
                }
            }

            #transform
        }
    }

    /// `weights`: U of one block and part.
    fn weights(&self) -> TokenStream {
        let (n, nr, lanes) = (self.n(), self.s.nr, self.isa.lanes());
        let transform = self.transform(
            "expand",
            " Values at the points, of a row or column of weights.",
            &transform::weights(self.s.m),
        );
        let (nr_l, attributes) = (int(nr), self.isa.attributes());
        let load = |ky: usize, kx: usize| {
            let tap = ((ky * 3 + kx) * self.s.cin * nr) as isize;
            self.isa.load(quote!(w), affine(&[(quote!(from), 1)], tap))
        };
        let transformed = self.both_ways("expand", [3, n], load, |i, row| {
            let stores = (0..n).map(|j| {
                let at = affine(&[(quote!(at), 1), (quote!(plane), i * n + j)], 0);
                let j = int(j);
                self.isa.store(quote!(u), at, quote!(#row[#j]), None)
            });
            quote!(#(#stores)*)
        });
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

    /// `multiply`: products of a few tiles at one point.
    fn multiply(&self) -> TokenStream {
        let (nr, lanes, vectors) = (self.s.nr, self.isa.lanes(), self.vectors());
        let (ty, attributes, zero) = (self.isa.ty(), self.isa.attributes(), self.isa.zero());
        let (nr_l, vec_l, lanes_l) = (int(nr), int(vectors), int(lanes));
        let tile = int(self.s.points() * nr);
        let load = self.isa.load(quote!(m), quote!(i * #tile + v * #lanes_l));
        let store = self.isa.store(
            quote!(m),
            quote!(i * #tile + v * #lanes_l),
            quote!(*sum),
            None,
        );
        let weights = (0..vectors).map(|v| {
            let at = affine(&[(quote!((c + k)), nr)], (v * lanes) as isize);
            self.isa.load(quote!(u), at)
        });
        let depth = int(self.s.depth);
        let broadcast = self.isa.broadcast(quote!(x), quote!(i * #depth + c + k));
        let fused = self.isa.mul_add(quote!(value), quote!(w), quote!(*sum));
        // The next block's inputs follow this one's: as many values as this step consumes, in lines.
        let ahead = (0..4 * self.k.mr).step_by(16).map(|line| {
            let at = affine(&[(quote!(TILES * (#depth + c)), 1)], line as isize);
            self.isa.prefetch(quote!(x), at)
        });
        let by_lane: Option<TokenStream> = (0..4)
            .map(|k| {
                let values = quote!(values);
                let fused = self.isa.mul_add_lane(values, k, quote!(w), quote!(*sum))?;
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
            })
            .collect();
        let four = if let Some(steps) = by_lane {
            let load = self.isa.load(quote!(x), quote!(i * #depth + c));
            quote! {
                let mut values: [#ty; TILES] = [#zero; TILES];
                for (i, values) in values.iter_mut().enumerate() { *values = #load; }
                #steps
            }
        } else {
            quote! {
                for k in 0..4 {
                    let w = [#(#weights),*];
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let value = #broadcast;
                        for (sum, w) in sums.iter_mut().zip(w) { *sum = #fused; }
                    }
                }
            }
        };
        let steps = self.guard(
            "the caller's tiles and part lie in the slices.",
            quote! {
                if !is_first {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        for (v, sum) in sums.iter_mut().enumerate() { *sum = #load; }
                    }
                }
                for c in (0..deep).step_by(4) {
                    #(#ahead)*
                    #four
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
                assert!(deep.is_multiple_of(4) && deep <= #depth && u.len() >= deep * #nr_l);
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

    /// `outputs`: the pixels of one tile.
    fn outputs(&self) -> TokenStream {
        let (n, m, nr, lanes) = (self.n(), self.s.m, self.s.nr, self.isa.lanes());
        let transform = self.transform(
            "backward",
            " Outputs of a row or column, of the products at the points.",
            &transform::output(m),
        );
        let (m_l, attributes) = (int(m), self.isa.attributes());
        let load = |i: usize, j: usize| {
            let at = affine(&[(quote!(lane), 1)], ((i * n + j) * nr) as isize);
            self.isa.load(quote!(products), at)
        };
        let bias = self.isa.load(quote!(bias), quote!(lane));
        let value = format_ident!("value");
        let activated = self.isa.activate(self.k, &value);
        let rest = self.lanes % lanes;
        let part = (rest > 0).then_some(rest);
        let constants = self.isa.constants(self.k, part);
        let vector = |part: Option<usize>| {
            let transformed = self.both_ways("backward", [n, m], load, |i, row| {
                let stores = (0..m).map(|j| {
                    let at = affine(&[(quote!(at), 1)], (j * self.k.y_stride) as isize);
                    let j = int(j);
                    let sum = self.isa.add(quote!(#row[#j]), quote!(bias));
                    let store = self.isa.store(quote!(y), at, activated.clone(), part);
                    quote! { let value = #sum; #store }
                });
                let at = affine(
                    &[(quote!(pixel), 1), (quote!(y_row), i), (quote!(lane), 1)],
                    0,
                );
                let code = quote! { let at = #at; #(#stores)* };
                if i == 0 {
                    code
                } else {
                    let i = int(i);
                    quote! { if rows > #i { #code } }
                }
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
        let (points, nr_l) = (int(n * n * nr), int(nr));
        let last = int((m - 1) * self.k.y_stride + self.lanes);
        quote! {
            /// The first `rows` rows of pixels of a tile, of its products, from index `pixel` on.
            #attributes
            fn outputs(products: &[f32], bias: &[f32], y: &mut Strip<'_>, [pixel, y_row, rows]: [usize; 3]) {
                assert!(products.len() >= #points && bias.len() >= #nr_l);
                assert!((1..=#m_l).contains(&rows) && y.len() >= #last && pixel <= y.len() - #last);
                assert!((rows - 1).saturating_mul(y_row) <= y.len() - #last - pixel);
                #constants
                #code
            }

            #transform
        }
    }

    /// `channels`: everything behind the input's transform.
    fn channels(&self) -> TokenStream {
        let (n, m, nr) = (self.n(), self.s.m, self.s.nr);
        let Sizes { cin, depth, .. } = self.s;
        let points = n * n;
        let (m_l, nr_l, cin_l, points_l) = (int(m), int(nr), int(cin), int(points));
        let (attributes, entry) = (self.isa.attributes(), self.isa.entry());
        let (gap, u_floats, tile) = (int(GAP), int(self.s.u()), int(points * nr));
        let (d, planes) = (int(depth), int(points * self.s.parts()));
        let most = self.k.mr;
        let most_l = int(most);
        let arms = (1..=most).map(|i| {
            let less = int(i - 1);
            if i == 1 {
                return quote!(1 => multiply::<1>(x, u, m, [deep, large], is_first),);
            }
            let i = int(i);
            quote!(#i => {
                multiply::<#i>(x, u, m, [deep, large], is_first);
                if large < blocks {
                    let (x, m) = (&x[large * #i * #d..], &mut m[large * #i * #tile..]);
                    multiply::<#less>(x, u, m, [deep, blocks - large], is_first);
                }
            })
        });
        let products = quote! {
            // As few blocks as possible, as equal as possible: `large` ones of `most` tiles, the
            // others of one less.
            let blocks = strip.len().div_ceil(#most_l);
            let most = strip.len().div_ceil(blocks);
            let large = strip.len() - blocks * (most - 1);
            for point in 0..#points_l {
                let u = &u[point * (deep * #nr_l + #gap)..];
                let x = &v[point * plane + strip.start * #d..];
                let m = &mut products[point * #nr_l..];
                match most {
                    #(#arms)*
                    _ => unreachable!("blocks are equal"),
                }
            }
        };
        let y_stride = self.k.y_stride;
        let pixel = affine(&[(quote!(row * y_row), 1), (quote!(col), y_stride)], 0);
        let finish = quote! {
            for (tile, products) in strip.zip(products.chunks_exact(#tile)) {
                let (row, col) = (tile / across * #m_l, (tile % across * #m_l).min(cols - #m_l));
                outputs(products, bias, y, [#pixel, y_row, #m_l.min(rows - row)]);
            }
        };
        let body = if self.s.parts() == 1 {
            let strip = int((PRODUCTS / (points * nr)).max(most));
            quote! {
                let (deep, is_first) = (#cin_l, true);
                weights(w, u, 0, deep);
                for begin in (0..tiles).step_by(#strip) {
                    let strip = begin..tiles.min(begin + #strip);
                    { #products }
                    #finish
                }
            }
        } else {
            quote! {
                let strip = 0..tiles;
                for (part, first) in (0..#cin_l).step_by(#d).enumerate() {
                    let (deep, is_first) = (#d.min(#cin_l - first), part == 0);
                    let v = &v[part * #points_l * plane..];
                    weights(w, u, first, deep);
                    #products
                }
                #finish
            }
        };
        let (w_floats, widest) = (int(super::block_floats(self.k)), int(COLS_MAX));
        let doc = format!(
            " Multiplies and finishes all tiles for {} channels: 3x3 by F({m}x{m}, 3x3), depth {}, {}; blocks of {most} tiles x {nr} channels.",
            self.lanes,
            grouped(cin as u64),
            self.k.activation.name(),
        );
        let call = self
            .isa
            .call(quote!(block(v, w, work, y, [y_row, cols, rows])));
        let last = affine(&[(quote!((cols - 1)), y_stride)], self.lanes as isize);
        let (y_stride_l, lanes_l) = (int(y_stride), int(self.lanes));
        quote! {
            #[doc = #doc]
            pub fn channels(v: &[f32], w: &[f32], work: &mut [f32], y: &mut Strip<'_>, y_row: usize, cols: usize, rows: usize) {
                #entry
                #call
            }

            #attributes
            fn block(v: &[f32], w: &[f32], work: &mut [f32], y: &mut Strip<'_>, [y_row, cols, rows]: [usize; 3]) {
                assert!((#m_l..=#widest).contains(&cols), "a row is at least one tile wide");
                assert!((1..=#widest).contains(&rows), "as many rows as a map may have");
                assert_eq!(w.len(), #w_floats, "one packed block");
                let last = #last;
                assert!(y.len() >= last && (rows - 1).saturating_mul(y_row) <= y.len() - last, "the rows' pixels");
                assert!(y.stride() == #y_stride_l && y.width() >= #lanes_l, "the block's channels");
                assert!(y_row.is_multiple_of(#y_stride_l), "rows of whole pixels");
                let across = cols.div_ceil(#m_l);
                let tiles = across * rows.div_ceil(#m_l);
                let plane = tiles * #d + #gap;
                assert!(v.len() >= plane * #planes, "the transformed inputs");
                let (bias, w) = w.split_at(#nr_l);
                let (u, products) = work.split_at_mut(#u_floats);
                assert!(products.len() >= tiles * #tile, "room for the products");
                #body
            }
        }
    }
}
