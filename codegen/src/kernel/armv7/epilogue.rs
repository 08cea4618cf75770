//! Activations of running sums with the results of the scalar functions; denormals are zero.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{graph::Activation, plan::ConvKernel};

use super::{asm::Asm, block::Block, exp};
use crate::{act, names::int, uses::Uses};

/// Whether assembly applies the function. For the others, and NEON has no form that would be faster, safe
/// functions do.
pub(super) const fn is_assembly(activation: Activation) -> bool {
    activation.is_in_registers() || exp::has_routine(activation)
}

/// Statements that activate the row `y` that a kernel's assembly left as sums.
pub(super) fn stored(k: &ConvKernel, channels: usize, uses: &Uses) -> TokenStream {
    if is_assembly(k.activation) {
        return TokenStream::new();
    }
    let value = act::scalar(k.activation, quote!(*v), uses);
    let (stride, channels) = (int(k.y_stride), int(channels));
    quote! {
        for y in y.chunks_mut(#stride).take(cols) {
            for v in &mut y[..#channels] { *v = #value; }
        }
    }
}

/// Replaces every sum by its function's value. The taps' registers q0 to q7 are free here.
pub(super) fn apply(b: &Block, a: &mut Asm) {
    if let Some(slope) = slope(b.k.activation) {
        a.constant("lr", slope.to_bits() as usize);
        a.ins("vmov.32 d0[0], lr");
    }
    let sums: Vec<usize> = (0..b.pixels)
        .step_by(b.k.side())
        .flat_map(|i| (0..b.vectors()).map(move |v| (i, v)))
        .map(|(i, v)| b.sum(i, v))
        .collect();
    if exp::has_routine(b.k.activation) {
        exp::each(a, &sums);
    }
    each(b.k.activation, a, &sums, &[1, 2, 3, 4, 5, 6], "d0[0]");
}

/// The factor below zero.
pub(super) const fn slope(activation: Activation) -> Option<f32> {
    match activation {
        Activation::Leaky | Activation::Ramp => Some(0.1),
        Activation::Relie => Some(0.01),
        _ => None,
    }
}

/// Replaces the values of registers `list` by their function's; `slope` is the lane with
/// [`slope()`]; `temps` may be overwritten. As many at a time as there are registers for, so that no
/// instruction waits for the one before.
pub(super) fn each(
    activation: Activation,
    a: &mut Asm,
    list: &[usize],
    temps: &[usize],
    slope: &str,
) {
    match activation {
        Activation::Leaky | Activation::Relie => {
            for some in list.chunks(temps.len()) {
                two(a, some, temps, |p, t| {
                    format!("vmul.f32 q{t}, q{p}, {slope}")
                });
                two(a, some, temps, |p, t| format!("vmax.f32 q{p}, q{p}, q{t}"));
            }
        }
        Activation::Ramp => {
            let (products, masks) = temps.split_at(temps.len() / 2);
            for some in list.chunks(products.len()) {
                two(a, some, products, |p, t| {
                    format!("vmul.f32 q{t}, q{p}, {slope}")
                });
                positive(a, some, masks);
                two(a, some, products, |p, t| {
                    format!("vadd.f32 q{p}, q{p}, q{t}")
                });
            }
        }
        Activation::Relu => positive(a, list, temps),
        Activation::Relu6 => {
            positive(a, list, temps);
            let six = temps[0];
            a.ins(format!("vmov.f32 q{six}, #6.0"));
            two(a, list, list, |p, _| format!("vmin.f32 q{p}, q{p}, q{six}"));
        }
        _ => {}
    }
}

/// What is not greater than zero becomes zero, NaN included, which `vmax` would keep.
fn positive(a: &mut Asm, list: &[usize], masks: &[usize]) {
    for some in list.chunks(masks.len()) {
        two(a, some, masks, |p, t| format!("vcgt.f32 q{t}, q{p}, #0"));
        two(a, some, masks, |p, t| format!("vand q{p}, q{p}, q{t}"));
    }
}

/// One instruction for every value and the register beside it.
fn two(a: &mut Asm, list: &[usize], beside: &[usize], text: impl Fn(usize, usize) -> String) {
    for (p, t) in list.iter().zip(beside) {
        a.ins(text(*p, *t));
    }
}
