//! Local response normalisation across channels (`[normalization]`,
//! `docs/darknet.md#normalization`).

use quote::quote;

use super::{Body, LayerCx};
use crate::names::{affine, float, int};

/// `y = x * N^(-beta)` with a running sum over channels. The off-by-one is Darknet's: channel
/// `size / 2` never enters the first sum but leaves it later (`normalization_layer.c`).
pub(super) fn emit(cx: &LayerCx, size: usize, alpha: f32, beta: f32, kappa: f32) -> Body {
    let x = cx.input();
    let row = x.row_slice(&quote!(x), quote!(row), 1);
    let (pixels, c) = (cx.out.pixels(), int(x.c));
    let (ahead, behind) = (size / 2, size.saturating_sub(1) / 2 + 1);
    let (first, behind_l) = (int(ahead.min(x.c)), int(behind));
    let (next, prev) = (
        affine(&[(quote!(k), 1)], ahead as isize),
        quote!(k - #behind_l),
    );
    let pow = cx.uses.math("pow");
    let (alpha, beta, kappa) = (float(alpha), float(-beta), float(kappa));
    let code = cx.out.for_rows(quote! {
        let x = #row;
        for (y, x) in #pixels.chunks_exact_mut(#c).zip(x.chunks_exact(#c)) {
            let mut norm = x[..#first].iter().fold(#kappa, |n, x| n + #alpha * (x * x));
            for (k, y) in y.iter_mut().enumerate() {
                if k >= #behind_l {
                    norm -= #alpha * (x[#prev] * x[#prev]);
                }
                if let (1.., Some(next)) = (k, x.get(#next)) {
                    norm += #alpha * (next * next);
                }
                *y = x[k] * #pow(norm, #beta);
            }
        }
    });
    Body::plain(format!("local response normalisation over {size}"), code)
}
