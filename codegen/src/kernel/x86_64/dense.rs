//! Convolutions whose output channels see all input channels of their group: pixels are broadcast,
//! vectors run over output channels.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Block, offset};
use crate::names::{affine, int};

/// Loops over the taps of a block.
pub(super) fn taps(b: &Block) -> TokenStream {
    let k = b.k;
    let contiguous = k.dilation == 1 && k.x_stride == k.cin;
    let first = affine(&[(quote!(tap), 1), (quote!(col), b.step())], 0);
    if contiguous || k.size == 1 {
        let depth = depth(b, k.size * k.cin);
        return quote! {
            for tap in taps {
                let x = x.as_ptr().add(#first);
                #depth
            }
        };
    }
    let at = affine(
        &[
            (quote!(tap), 1),
            (quote!(col), b.step()),
            (quote!(kx), k.dilation * k.x_stride),
        ],
        0,
    );
    let (size, depth) = (int(k.size), depth(b, k.cin));
    quote! {
        for tap in taps {
            for kx in 0..#size {
                let x = x.as_ptr().add(#at);
                #depth
            }
        }
    }
}

/// Values that one turn of the loop takes: a short loop is written out.
const fn unroll(n: usize) -> usize {
    if n <= 12 { n } else { 4 }
}

/// The loop over `n` values that lie side by side, `x` and `w` moving along.
fn depth(b: &Block, n: usize) -> TokenStream {
    let turn = unroll(n);
    let steps = |count: usize| (0..count).map(|u| step(b, u)).collect::<TokenStream>();
    let ahead = Ahead::new(b, turn);
    let (begin, fetch) = (ahead.begin(), ahead.fetch());
    let (each, by, floats) = (steps(turn), int(turn), int(turn * b.k.nr));
    let mut out = if n == turn {
        quote! {
            #each
            w = w.add(#floats);
        }
    } else {
        let turns = int(n / turn);
        quote! {
            #begin
            for _ in 0..#turns {
                #fetch
                #each
                x = x.add(#by);
                w = w.add(#floats);
            }
        }
    };
    let rest = n % turn;
    if rest > 0 {
        let (rest, floats) = (steps(rest), int(rest * b.k.nr));
        out.extend(quote! {
            #rest
            w = w.add(#floats);
        });
    }
    if n == turn {
        quote!(#out)
    } else {
        quote!(let mut x = x; #out)
    }
}

/// Value `u` of a turn.
fn step(b: &Block, u: usize) -> TokenStream {
    let (mut out, fused) = (b.load("w", u * b.k.nr), b.width.op("fmadd_ps"));
    for i in 0..b.k.mr {
        let from = offset(&quote!(x), i * b.step() + u);
        let value = b.width.broadcast(&from);
        out.extend(quote!(let v = #value;));
        for v in 0..b.vectors() {
            let (sum, w) = (Block::sum(i, v), quote::format_ident!("w{v}"));
            out.extend(quote!(#sum = #fused(v, #w, #sum);));
        }
    }
    out
}

/// Pixels of the next block, fetched while this one is computed: those of 1x1 kernels follow each
/// other, and no pixel is read twice in a pass, so that only this hides their way from memory.
struct Ahead {
    /// From this block's pixels to the next one's; none where nothing is fetched.
    distance: Option<usize>,
    /// Values that a turn consumes.
    consumed: usize,
}

impl Ahead {
    fn new(b: &Block, turn: usize) -> Self {
        let follow = b.k.size == 1 && b.k.stride_x == 1 && b.k.x_stride == b.k.cin;
        Self {
            distance: follow.then_some(b.k.mr * b.k.cin),
            consumed: b.k.mr * turn,
        }
    }

    fn begin(&self) -> TokenStream {
        let Some(n) = self.distance.map(int) else {
            return TokenStream::new();
        };
        quote!(let mut next = x.wrapping_add(#n);)
    }

    fn fetch(&self) -> TokenStream {
        if self.distance.is_none() {
            return TokenStream::new();
        }
        let lines = (0..self.consumed).step_by(16).map(|at| {
            let at = if at == 0 {
                quote!(next)
            } else {
                let at = int(at);
                quote!(next.wrapping_add(#at))
            };
            quote!(_mm_prefetch::<_MM_HINT_T0>(#at.cast());)
        });
        let n = int(self.consumed);
        quote! {
            #(#lines)*
            next = next.wrapping_add(#n);
        }
    }
}
