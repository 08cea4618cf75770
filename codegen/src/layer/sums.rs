//! Sums of a convolution's partial sums.

use quote::quote;
use tessera_plan::graph::Activation;

use super::{Body, LayerCx};
use crate::{act, names::int};

/// Adds the partial sums of every value in the order of the parts, then applies the activation.
pub(super) fn emit(cx: &LayerCx, activation: Activation) -> Body {
    let row = cx.input().row_slice(&quote!(x), quote!(row), 1);
    let (pixels, pass) = (
        cx.out.pixels(),
        act::pass(activation, &cx.out.pixels(), cx.out.c, cx.uses),
    );
    let [c, all] = [cx.out.c, cx.input().c].map(int);
    let code = cx.out.for_rows(quote! {
        let x = #row;
        for (y, x) in #pixels.chunks_exact_mut(#c).zip(x.chunks_exact(#all)) {
            y.copy_from_slice(&x[..#c]);
            for part in x[#c..].chunks_exact(#c) {
                for (y, x) in y.iter_mut().zip(part) { *y += x; }
            }
        }
        #pass
    });
    Body::plain(
        format!("{} partial sums, {}", cx.step.sums, activation.name()),
        code,
    )
}
