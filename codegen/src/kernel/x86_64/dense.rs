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
                let mut x = x.as_ptr().add(#first);
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
                let mut x = x.as_ptr().add(#at);
                #depth
            }
        }
    }
}

/// The loop over `n` values that lie side by side, `x` and `w` moving along.
fn depth(b: &Block, n: usize) -> TokenStream {
    let weights = b.weights();
    let mut pixels = TokenStream::new();
    for i in 0..b.k.mr {
        let from = offset(&quote!(x), i * b.step());
        pixels.extend(quote!(let v = _mm256_broadcast_ss(&*#from);));
        for v in 0..b.vectors() {
            let (sum, w) = (Block::sum(i, v), quote::format_ident!("w{v}"));
            pixels.extend(quote!(#sum = _mm256_fmadd_ps(v, #w, #sum);));
        }
    }
    let (n, nr) = (int(n), int(b.k.nr));
    quote! {
        for _ in 0..#n {
            #weights
            #pixels
            x = x.add(1);
            w = w.add(#nr);
        }
    }
}
