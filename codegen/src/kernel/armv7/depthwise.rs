//! Depthwise convolutions: channels are vector lanes of input, weights and output alike.
//!
//! Input lies in q4 to q7, weights in q0 to q3; pairs take turns, so that the next values are on
//! their way while the ones before are used.

use super::{asm::Asm, block::Block};

/// One row of the kernel.
pub(super) fn row(b: &Block, a: &mut Asm) {
    // From one kernel column to the next.
    a.constant("lr", 4 * b.k.dilation * b.k.x_stride);
    let uses: Vec<(usize, usize)> = (0..b.k.size)
        .flat_map(|kx| (0..b.pixels).map(move |i| (kx, i)))
        .collect();
    for (n, (kx, i)) in uses.iter().enumerate() {
        if n == 0 {
            b.weights(a, 0);
            load(b, a, 0, 0);
        }
        if let Some((_, next)) = uses.get(n + 1) {
            if *i == 0 && kx + 1 < b.k.size {
                b.weights(a, 2 * ((kx + 1) % 2));
            }
            load(b, a, *next, n + 1);
        }
        for v in 0..b.vectors() {
            let (x, w) = (input(n) + v, 2 * (kx % 2) + v);
            a.ins(format!("vmla.f32 q{}, q{x}, q{w}", b.sum(*i, v)));
        }
    }
}

/// Register of the `n`th input.
const fn input(n: usize) -> usize {
    4 + 2 * (n % 2)
}

/// The next input of pixel `i`, as the `n`th. Lanes behind the last channel belong to the next pixel,
/// or to nobody: they are not read.
fn load(b: &Block, a: &mut Asm, i: usize, n: usize) {
    let (first, from) = (2 * input(n), Block::pixel(i));
    a.channels("vld1", [first, b.channels], from, Some("lr"), "r9");
}
