//! Depthwise convolutions: channels are vector lanes of input, weights and output alike.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{Block, LANES, load};
use crate::names::{affine, int};

/// Loops over the taps of a block.
pub(super) fn taps(b: &Block) -> TokenStream {
    let k = b.k;
    let at = affine(
        &[
            (quote!(tap), 1),
            (quote!(col), b.step()),
            (quote!(kx), k.dilation * k.x_stride),
        ],
        0,
    );
    let weights = b.load("w");
    let mut pixels = TokenStream::new();
    for i in 0..b.pixels {
        for v in 0..b.vectors() {
            // Lanes behind the last channel belong to the next pixel, or to nobody.
            let x = load(&quote!(x), i * b.step() + v * LANES, b.filled(v));
            let (sum, w) = (Block::sum(i, v), format_ident!("w{v}"));
            pixels.extend(quote!(#sum = vfmaq_f32(#sum, #x, #w);));
        }
    }
    let (size, nr) = (int(k.size), int(k.nr));
    quote! {
        for tap in taps {
            for kx in 0..#size {
                let x = x.as_ptr().add(#at);
                #weights
                #pixels
                w = w.add(#nr);
            }
        }
    }
}
