//! Activations of running sums with the results of the scalar functions; denormals are zero.

use tessera_planner::graph::Activation;

use super::{asm::Asm, row::Block};

/// Replaces every sum by its function's value. The taps' registers q0 to q7 are free here.
pub(super) fn apply(b: &Block, a: &mut Asm) {
    let activation = b.k.activation;
    match activation {
        Activation::Leaky | Activation::Ramp => constant(a, "q0", 0.1),
        Activation::Relie => constant(a, "q0", 0.01),
        Activation::Relu6 => a.ins("vmov.f32 q0, #6.0"),
        Activation::Relu => {}
        _ => return,
    }
    let sums: Vec<usize> = (0..b.pixels)
        .flat_map(|i| (0..b.vectors()).map(move |v| (i, v)))
        .map(|(i, v)| b.sum(i, v))
        .collect();
    // Four at a time, so that no instruction waits for the one before.
    for sums in sums.chunks(4) {
        let each = |a: &mut Asm, f: &dyn Fn(usize, usize) -> String| {
            for (i, p) in sums.iter().enumerate() {
                a.ins(f(*p, i + 1));
            }
        };
        match activation {
            Activation::Leaky | Activation::Relie => {
                each(a, &|p, t| format!("vmul.f32 q{t}, q{p}, q0"));
                each(a, &|p, t| format!("vmax.f32 q{p}, q{p}, q{t}"));
            }
            Activation::Ramp => {
                each(a, &|p, t| format!("vmul.f32 q{t}, q{p}, q0"));
                positive(a, sums, 4);
                each(a, &|p, t| format!("vadd.f32 q{p}, q{p}, q{t}"));
            }
            Activation::Relu => positive(a, sums, 0),
            _ => {
                positive(a, sums, 0);
                each(a, &|p, _| format!("vmin.f32 q{p}, q{p}, q0"));
            }
        }
    }
}

/// What is not greater than zero becomes zero, NaN included, which `vmax` would keep; masks go to
/// the registers after `q{free}`.
fn positive(a: &mut Asm, sums: &[usize], free: usize) {
    for chunk in sums.chunks(7 - free) {
        for (i, p) in chunk.iter().enumerate() {
            a.ins(format!("vcgt.f32 q{}, q{p}, #0", free + i + 1));
        }
        for (i, p) in chunk.iter().enumerate() {
            a.ins(format!("vand q{p}, q{p}, q{}", free + i + 1));
        }
    }
}

/// Every lane of `q` is `value`.
fn constant(a: &mut Asm, q: &str, value: f32) {
    a.constant("lr", value.to_bits() as usize);
    a.ins(format!("vdup.32 {q}, lr"));
}
