//! Convolutions whose output channels see all input channels of their group: vectors run over output
//! channels, every pixel's value is one lane of a vector of four input channels.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{Block, LANES, load};
use crate::names::{affine, int};

/// Loops over the taps of a block.
pub(super) fn taps(b: &Block) -> TokenStream {
    let k = b.k;
    let contiguous = k.dilation == 1 && k.x_stride == k.cin;
    let mut place = vec![(quote!(tap), 1), (quote!(col), b.step())];
    if contiguous || k.size == 1 {
        let depth = depth(b, &affine(&place, 0), k.size * k.cin);
        return quote! { for tap in taps { #depth } };
    }
    place.push((quote!(kx), k.dilation * k.x_stride));
    let (size, depth) = (int(k.size), depth(b, &affine(&place, 0), k.cin));
    quote! {
        for tap in taps {
            for kx in 0..#size { #depth }
        }
    }
}

/// `n` values of every pixel that lie side by side from `at` on: in eights, then what is left.
fn depth(b: &Block, at: &TokenStream, n: usize) -> TokenStream {
    const EIGHT: usize = 2 * LANES;
    let looped = if n < 2 * EIGHT { 0 } else { n / EIGHT * EIGHT };
    // Steps from the `first`th on, up to the `end`th.
    let straight = |first: usize, end: usize| -> TokenStream {
        let groups = (first..end).step_by(LANES);
        groups
            .map(|k| steps(b, k - first, LANES.min(end - k)))
            .collect()
    };
    let rest = straight(looped, n);
    if looped == 0 {
        return quote! { let x = x.as_ptr().add(#at); #rest };
    }
    let (count, eight, steps) = (int(looped / EIGHT), int(EIGHT), straight(0, EIGHT));
    quote! {
        let mut x = x.as_ptr().add(#at);
        for _ in 0..#count {
            #steps
            x = x.add(#eight);
        }
        #rest
    }
}

/// `n` steps of the depth, at most four, with input from `x + skip` on; `w` moves along.
fn steps(b: &Block, skip: usize, n: usize) -> TokenStream {
    let mut out = TokenStream::new();
    for i in 0..b.pixels {
        let (x, at) = (format_ident!("x{i}"), i * b.step() + skip);
        let value = load(&quote!(x), at, n);
        out.extend(quote!(let #x = #value;));
    }
    let nr = int(b.k.nr);
    for lane in 0..n {
        out.extend(b.load("w"));
        let lane = int(lane);
        for i in 0..b.pixels {
            let x = format_ident!("x{i}");
            for v in 0..b.vectors() {
                let (sum, w) = (Block::sum(i, v), format_ident!("w{v}"));
                out.extend(quote!(#sum = vfmaq_laneq_f32::<#lane>(#sum, #w, #x);));
            }
        }
        out.extend(quote!(w = w.add(#nr);));
    }
    out
}
