//! Scaling of a map by one value per channel or per pixel (`[scale_channels]`).

use quote::quote;
use tessera_plan::graph::Activation;

use super::{Body, LayerCx};
use crate::{act, names::int};

/// Input 0 holds the factors, input 1 the map.
pub(super) fn emit(cx: &LayerCx, per_pixel: bool, activation: Activation) -> Body {
    let (factors, map) = (cx.ins[0], cx.ins[1]);
    let row = map.row_slice(&quote!(x1), quote!(row), 1);
    let (pixels, c) = (cx.out.pixels(), int(map.c));
    let pass = act::pass(activation, &cx.out.pixels(), cx.out.c, cx.uses);
    if per_pixel {
        let factors = factors.row_slice(&quote!(x0), quote!(row), 1);
        let code = cx.out.for_rows(quote! {
            let (x0, x1) = (#factors, #row);
            for ((y, x0), x1) in #pixels.chunks_exact_mut(#c).zip(x0).zip(x1.chunks_exact(#c)) {
                for (y, x1) in y.iter_mut().zip(x1) { *y = x0 * x1; }
            }
            #pass
        });
        return Body::plain(format!("scale per pixel, {}", activation.name()), code);
    }
    let at = int(factors.start());
    let rows = cx.out.for_rows(quote! {
        let x1 = #row;
        for (y, x1) in #pixels.chunks_exact_mut(#c).zip(x1.chunks_exact(#c)) {
            for ((y, x0), x1) in y.iter_mut().zip(x0).zip(x1) { *y = x0 * x1; }
        }
        #pass
    });
    let code = quote! { let x0 = &x0[#at..][..#c]; #rows };
    Body::plain(format!("scale per channel, {}", activation.name()), code)
}
