//! What kernels do with finished sums beyond registers: activations of what was stored, and maxima of
//! squares, which a pool behind would take.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::ConvKernel;

use crate::{
    act,
    names::{affine, comment, int},
    uses::Uses,
};

/// The parameter of direct kernels that pool, with a comma before it, and its name in a call: whether this
/// is the second of two rows of sums, whose maxima join those of the first.
pub(super) fn second(k: &ConvKernel) -> (TokenStream, TokenStream) {
    if k.pool {
        (quote!(, second: bool), quote!(, second))
    } else {
        (TokenStream::new(), TokenStream::new())
    }
}

/// What a kernel's description says of a pool in it.
pub(super) const fn pooled(k: &ConvKernel) -> &'static str {
    if k.pool { ", maxima of 2x2" } else { "" }
}

/// Place among the outputs of the pixel at column `col` of the sums.
pub(super) fn column(k: &ConvKernel, col: TokenStream) -> TokenStream {
    if k.pool { quote!((#col / 2)) } else { col }
}

/// Number of the last output of `n` rows or columns of sums.
pub(super) fn last(k: &ConvKernel, n: &TokenStream) -> TokenStream {
    if k.pool {
        quote!((#n / 2 - 1))
    } else {
        quote!((#n - 1))
    }
}

/// Pixels that are activated together where that has no form in registers: few enough for a first-level
/// cache, many enough to hide how long one takes.
const TOGETHER: usize = 64;

/// An activation that has no form in registers, applied by a direct kernel to what it stored.
pub(super) struct Stored {
    /// Statements in front of the loop over blocks.
    pub before: TokenStream,
    /// Statements in front of a block, whose first pixel is `col`.
    pub begin: TokenStream,
    /// Statements behind a block; `col` is the pixel behind its last one.
    pub end: TokenStream,
}

impl Stored {
    /// Of `channels` channels. Channels are a loop of known length, of which the compiler makes vectors, with
    /// the bits of the scalar function.
    pub fn new(k: &ConvKernel, channels: usize, uses: &Uses) -> Self {
        if k.activation.is_in_registers() {
            let none = TokenStream::new;
            return Self {
                before: none(),
                begin: none(),
                end: none(),
            };
        }
        let at = affine(&[(quote!(i), k.y_stride)], 0);
        let value = act::scalar(k.activation, quote!(*v), uses);
        let (together, channels) = (int(TOGETHER), int(channels));
        let bounds = comment("SAFETY: as above.");
        let overlap =
            comment("The last block overlaps pixels that may be done: they are sums again.");
        Self {
            before: quote!(
                let mut done = 0;
            ),
            begin: quote! {
                #overlap
                done = done.min(col);
            },
            end: quote! {
                if col == cols || col - done >= #together {
                    for i in done..col {
                        #bounds
                        let y = unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().add(#at), #channels) };
                        for v in y { *v = #value; }
                    }
                    done = col;
                }
            },
        }
    }
}

/// The assertion that `n` rows or columns of sums are pairs, where a kernel pools.
pub(super) fn pairs(k: &ConvKernel, n: &TokenStream) -> TokenStream {
    if !k.pool {
        return TokenStream::new();
    }
    quote!(assert!(#n.is_multiple_of(2), "squares of 2x2");)
}
