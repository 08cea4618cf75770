//! Fully connected layers: split over output channels, vectors over output channels.

use quote::quote;
use tessera_plan::graph::Activation;

use super::{Body, LayerCx, context::Sharing};
use crate::{act, names::int};

/// Packed weights: `[out]` bias, then `[h][w][c][out]`: the input is read as it lies, the flattening
/// to Darknet's C, H, W happened when the weights were packed.
pub(super) fn emit(cx: &LayerCx, activation: Activation) -> Body {
    let (x, n) = (cx.input(), int(cx.out.c));
    let each = quote! {
        for (y, w) in y.iter_mut().zip(&w[channels.clone()]) { *y += x * w; }
    };
    let sum = if x.is_packed() {
        let (start, len) = (int(x.start()), int(x.h * x.w * x.c));
        quote! {
            for (x, w) in x[#start..][..#len].iter().zip(w[#n..].chunks_exact(#n)) { #each }
        }
    } else {
        let (h, len) = (int(x.h), int(x.w * x.c));
        let row_floats = int(x.w * x.c * cx.out.c);
        let from = x.index(&[(quote!(row), 1)], 0, &[], 0);
        quote! {
            for (row, w) in (0..#h).zip(w[#n..].chunks_exact(#row_floats)) {
                for (x, w) in x[#from..][..#len].iter().zip(w.chunks_exact(#n)) { #each }
            }
        }
    };
    // Activations over all channels cannot be split; the front end gives none of them here.
    let pass = act::pass(activation, &quote!(y), cx.out.c, cx.uses);
    Body {
        sharing: Sharing::Channels,
        ..Body::weighted(
            format!(
                "connected, {} -> {}, {}",
                x.h * x.w * x.c,
                cx.out.c,
                activation.name()
            ),
            quote! { y.copy_from_slice(&w[channels.clone()]); #sum #pass },
        )
    }
}
