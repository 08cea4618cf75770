//! Concatenation of channel ranges (`[route]`).

use quote::quote;
use tessera_plan::graph::Part;

use super::{Body, LayerCx};
use crate::names::int;

/// Copies every part's channels of every pixel, but for those that lie there already.
pub(super) fn emit(cx: &LayerCx, parts: &[Part]) -> Body {
    let px = cx.out.pixels();
    let mut code = quote!();
    let mut at = 0;
    let cout = int(cx.out.c);
    for part in parts {
        let i = part.input;
        let (x, n) = (cx.ins[i], part.c.len());
        if cx.is_there(i) {
            at += n;
            continue;
        }
        let row = x.row_slice(&cx.x(i), quote!(row), 1);
        let (y0, y1, cin) = (int(at), int(at + n), int(x.c));
        let (c0, c1) = (int(part.c.lo), int(part.c.hi));
        let to = if n == cx.out.c {
            quote!(y)
        } else {
            quote!(y[#y0..#y1])
        };
        let from = if n == x.c {
            quote!(x)
        } else {
            quote!(&x[#c0..#c1])
        };
        code.extend(if n == cx.out.c && n == x.c {
            quote! { #px.copy_from_slice(#row); }
        } else {
            quote! {
                let x = #row;
                for (y, x) in #px.chunks_exact_mut(#cout).zip(x.chunks_exact(#cin)) {
                    #to.copy_from_slice(#from);
                }
            }
        });
        at += n;
    }
    let list: Vec<String> = parts
        .iter()
        .map(|p| {
            if cx.is_there(p.input) {
                format!("{} in place", p.c.len())
            } else if p.c.len() == cx.ins[p.input].c {
                format!("{}", p.c.len())
            } else {
                format!("{}..{}", p.c.lo, p.c.hi)
            }
        })
        .collect();
    Body::plain(
        format!("concatenation of channels {}", list.join(" + ")),
        cx.out.for_rows(code),
    )
}
