//! Convolutions: which kernel computes them, and what direct ones and Winograd's share.

mod direct;
mod widen;
mod winograd;

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{graph::Conv, kernel::winograd::Sizes, plan::ConvKernel};

use super::{Body, LayerCx, context::Sharing};
use crate::{act, kernel, names::int};

/// Emits a convolution, whose step names its kernel.
///
/// # Panics
/// If it names none: a plan that its check refuses.
pub(super) fn emit(cx: &LayerCx, conv: &Conv) -> Body {
    let k = cx.step.conv.as_ref().expect("a convolution has a kernel");
    let (tap, pass) = (tap(cx), pass(cx, conv, k));
    let (code, channels, sharing) = match Sizes::new(k) {
        Some(sizes) => {
            let (code, channels) = winograd::rows(cx, k, sizes, &pass);
            (code, channels, Sharing::Own)
        }
        None => direct::rows(cx, conv, k, &pass),
    };
    Body {
        weights: true,
        kernels: channels.into_iter().map(|n| (k.clone(), n)).collect(),
        how: kernel::name(k, cx.isa, k.nr),
        sharing,
        ..Body::plain(what(conv, k, cx), quote! { #tap #code })
    }
}

/// Statements that apply an activation that no kernel applies to rows `block` of `y`, which begins at row
/// `first`.
fn pass(cx: &LayerCx, conv: &Conv, k: &ConvKernel) -> TokenStream {
    if k.activation == conv.activation {
        return TokenStream::new();
    }
    let y_row = int(cx.out.row);
    let each = act::pass(conv.activation, &cx.out.pixels(), cx.out.c, cx.uses);
    quote! {
        let done = (block.start - first) * #y_row..(block.end - first) * #y_row;
        for y in y[done].chunks_exact_mut(#y_row) { #each }
    }
}

/// `tap(y)`: index in `x` of the first pixel of input row `y`, counted from `pad` rows above the
/// view; rows outside of the map are the zero row.
fn tap(cx: &LayerCx) -> TokenStream {
    let x = cx.input();
    let [top, bottom, left, _] = cx.step.pad;
    let shift = left * x.c;
    let inside = x.index(&[(quote!(y), 1)], -(top as isize), &[], -(shift as isize));
    if top + bottom == 0 {
        return quote! { let tap = |y: usize| #inside; };
    }
    let (lo, hi) = (int(top), int(top + x.h));
    let zero = int(x.zero - shift);
    let test = match (top, bottom) {
        (0, _) => quote!(y < #hi),
        (_, 0) => quote!(y >= #lo),
        _ => quote!((#lo..#hi).contains(&y)),
    };
    quote! { let tap = |y: usize| if #test { #inside } else { #zero }; }
}

fn what(conv: &Conv, k: &ConvKernel, cx: &LayerCx) -> String {
    let stride = if conv.stride_x == conv.stride_y {
        conv.stride_x.to_string()
    } else {
        format!("{}x{}", conv.stride_y, conv.stride_x)
    };
    let mut s = format!(
        "conv {0}x{0}/{stride}, {1} -> {2}, {3}",
        conv.size,
        k.cin * conv.groups,
        cx.node.shape.c,
        conv.activation.name()
    );
    if k.cin * conv.groups < cx.input().c {
        let channel = cx.step.inputs[0].channel;
        s += &format!(", channels {channel}..{}", channel + k.cin);
    }
    if let Some(d) = cx.step.depth {
        s += &format!(", partial sums of input channels {}..{}", d.lo, d.hi);
    }
    if let Some(f) = cx.step.filters {
        s += &format!(", output channels {}..{}", f.lo, f.hi);
    }
    if conv.groups > 1 {
        s += &format!(", {} groups", conv.groups);
    }
    if conv.dilation > 1 {
        s += &format!(", dilation {}", conv.dilation);
    }
    if k.pool {
        s += ", maxpool 2x2/2";
    }
    s
}
