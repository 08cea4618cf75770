//! Sums of layers (`[shortcut]`, `docs/darknet.md#shortcut`).

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::graph::{Activation, ShortcutKind};

use super::{Body, LayerCx};
use crate::{
    act,
    names::{affine, float, int},
};

/// Emits any kind of shortcut; additions happen in the order of the inputs.
pub(super) fn emit(cx: &LayerCx, kind: &ShortcutKind, activation: Activation) -> Body {
    let mut body = match kind {
        ShortcutKind::Add => add(cx),
        ShortcutKind::Weighted => weighted(cx),
        ShortcutKind::Resized {
            down,
            up,
            alpha,
            beta,
        } => resized(cx, *down, *up, *alpha, *beta),
    };
    let pass = act::pass(activation, &cx.out.pixels(), cx.out.c, cx.uses);
    let code = body.code;
    body.code = cx.out.for_rows(quote!(#code #pass));
    body.what += &format!(", {}", activation.name());
    body
}

/// Rows of every input: `let x0 = &x0[..][..];`
fn rows(cx: &LayerCx) -> TokenStream {
    let lets = cx.ins.iter().enumerate().map(|(i, x)| {
        let name = cx.x(i);
        let row = x.row_slice(&name, quote!(row), 1);
        quote!(let #name = #row;)
    });
    quote!(#(#lets)*)
}

fn add(cx: &LayerCx) -> Body {
    let (rows, pixels) = (rows(cx), cx.out.pixels());
    let c = cx.out.c;
    let what = format!("shortcut of {}", cx.ins.len());
    let x0 = cx.x(0);
    if cx.ins.len() == 2 && cx.ins[1].c == c {
        return Body::plain(
            what,
            quote! {
                #rows
                for ((y, x0), x1) in #pixels.iter_mut().zip(x0).zip(x1) { *y = x0 + x1; }
            },
        );
    }
    let adds = cx.ins.iter().enumerate().skip(1).map(|(i, x)| {
        let name = cx.x(i);
        if x.c == c {
            return quote! { for (y, x) in #pixels.iter_mut().zip(#name) { *y += x; } };
        }
        // Channels that only one side has are left alone (output) or dropped (input).
        let (cout, cin) = (int(c), int(x.c));
        quote! {
            for (y, x) in #pixels.chunks_exact_mut(#cout).zip(#name.chunks_exact(#cin)) {
                for (y, x) in y.iter_mut().zip(x) { *y += x; }
            }
        }
    });
    Body::plain(
        what,
        quote! { #rows #pixels.copy_from_slice(#x0); #(#adds)* },
    )
}

fn weighted(cx: &LayerCx) -> Body {
    let (rows, pixels) = (rows(cx), cx.out.pixels());
    let c = cx.out.c;
    let cout = int(c);
    let terms = cx.ins.iter().enumerate().map(|(i, x)| {
        let name = cx.x(i);
        let (from, to, cin) = (int(i * c), int((i + 1) * c), int(x.c));
        let add = if i == 0 {
            quote!(*y = w * x;)
        } else {
            quote!(*y += w * x;)
        };
        quote! {
            for (y, x) in #pixels.chunks_exact_mut(#cout).zip(#name.chunks_exact(#cin)) {
                for ((y, x), w) in y.iter_mut().zip(x).zip(&w[#from..#to]) { #add }
            }
        }
    });
    Body::weighted(
        format!("weighted shortcut of {}", cx.ins.len()),
        quote! { #rows #(#terms)* },
    )
}

fn resized(cx: &LayerCx, down: usize, up: usize, alpha: f32, beta: f32) -> Body {
    let from = cx.ins[1];
    let (x0_row, pixels) = (
        cx.ins[0].row_slice(&quote!(x0), quote!(row), 1),
        cx.out.pixels(),
    );
    let (cout, common) = (int(cx.out.c), int(from.c.min(cx.out.c)));
    let (upl, alpha, beta) = (int(up), float(alpha), float(beta));
    // The tile begins `phase` pixels into the map; the from-view at the first sampled place in it.
    let place = |var: TokenStream, phase: usize| {
        let p = phase % up;
        let v = affine(&[(var, 1)], p as isize);
        let (test, index) = match (up, p) {
            (1, _) => (None, v),
            (_, 0) => (Some(quote!(#v % #upl == 0)), quote!(#v / #upl)),
            _ => (Some(quote!((#v) % #upl == 0)), quote!((#v) / #upl - 1)),
        };
        (test, index)
    };
    let ((row_test, j), (col_test, i)) = (
        place(quote!(row), cx.step.phase[0]),
        place(quote!(col), cx.step.phase[1]),
    );
    let at = from.at((quote!(j), down), (quote!(i), down));
    let when = |test: Option<TokenStream>, body: TokenStream| match test {
        Some(t) => quote! { if #t { #body } },
        None => body,
    };
    let per_pixel = when(
        col_test,
        quote! {
            let i = #i;
            let from = &x1[#at..][..#common];
            for (y, x) in y.iter_mut().zip(from) { *y = #alpha * *y + #beta * x; }
        },
    );
    let per_row = when(
        row_test,
        quote! {
            let j = #j;
            for (col, y) in #pixels.chunks_exact_mut(#cout).enumerate() { #per_pixel }
        },
    );
    Body::plain(
        format!("resized shortcut, every {down} onto every {up}"),
        quote! { #pixels.copy_from_slice(#x0_row); #per_row },
    )
}
