//! Depthwise convolutions: channels are vector lanes of input, weights and output alike.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{Block, offset};
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
    let (weights, fused) = (b.weights(), b.width.op("fmadd_ps"));
    let mut pixels = TokenStream::new();
    for i in 0..k.mr {
        for v in 0..b.vectors() {
            let from = offset(&quote!(x), i * b.step() + v * b.width.lanes());
            // Lanes behind the last channel belong to the next pixel, or to nobody.
            let x = b.width.load(&from, b.is_partial(v));
            let (sum, w) = (Block::sum(i, v), format_ident!("w{v}"));
            pixels.extend(quote!(#sum = #fused(#x, #w, #sum);));
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
