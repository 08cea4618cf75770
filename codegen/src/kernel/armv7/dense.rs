//! Convolutions whose output channels see all input channels of their group: vectors run over output
//! channels, every pixel's value is one lane of a vector of four input channels.
//!
//! In-order cores stop at an instruction whose operands are not there. So everything is loaded ahead:
//! the weights of step `k + 2` right behind the last use of step `k`'s, a pixel's next four values
//! right behind the last use of the four before. Nothing is loaded ahead past the end.

use super::super::entry::block_floats;
use super::{
    asm::Asm,
    block::{Block, LANES},
};

/// First register of the weights: two pairs take turns.
const WEIGHTS: usize = 4;
/// Packed blocks beyond this many bytes do not stay in a first-level cache: their weights are asked
/// for ahead of time.
const NEAR: usize = 16 << 10;

/// One row of the kernel.
pub(super) fn row(b: &Block, a: &mut Asm) {
    let k = b.k;
    let ahead = 4 * block_floats(k) > NEAR;
    let depth = |n| Depth { b, n, ahead };
    if k.size == 1 || (k.dilation == 1 && k.x_stride == k.cin) {
        depth(k.size * k.cin).emit(a);
        return;
    }
    a.ins(format!("mov r3, #{}", k.size));
    a.label(3);
    depth(k.cin).emit(a);
    // From behind the values of one kernel column to the next one.
    let skip = 4 * (k.dilation * k.x_stride - k.cin);
    for i in 0..b.pixels {
        a.add(Block::pixel(i), Block::pixel(i), skip);
    }
    a.ins("subs r3, r3, #1");
    a.ins("bne 3b");
}

/// Eight times `r3 >= 1` values of every pixel that lie side by side.
pub(super) fn eights(b: &Block, a: &mut Asm) {
    // Far from the end, and at the end.
    let depth = |n| Depth { b, n, ahead: false };
    let (far, last) = (depth(4 * LANES), depth(LANES));
    far.begin(a);
    far.steps(a, 0);
    a.ins("subs r9, r3, #1");
    a.ins("beq 7f");
    a.label(4);
    far.steps(a, 0);
    far.steps(a, 0);
    a.ins("subs r9, r9, #1");
    a.ins("bne 4b");
    a.label(7);
    last.steps(a, 0);
}

/// `n` values of every pixel that lie side by side.
struct Depth<'a> {
    b: &'a Block<'a>,
    n: usize,
    /// Weights are far away: they are asked for ahead of time.
    ahead: bool,
}

impl Depth<'_> {
    fn emit(&self, a: &mut Asm) {
        let fours = self.n / LANES;
        self.begin(a);
        // Steps behind which all of the next four are loaded ahead; they look alike.
        let alike = fours.saturating_sub(1);
        if alike > 3 {
            if alike % 2 == 1 {
                self.steps(a, 0);
            }
            a.constant("r9", alike / 2);
            a.comment("Eight steps of the depth at a time.");
            a.label(4);
            self.steps(a, 0);
            self.steps(a, 0);
            a.ins("subs r9, r9, #1");
            a.ins("bne 4b");
        } else {
            for _ in 0..alike {
                self.steps(a, 0);
            }
        }
        for first in (LANES * alike..self.n).step_by(LANES) {
            self.steps(a, first);
        }
    }

    /// What the first step needs.
    fn begin(&self, a: &mut Asm) {
        for i in 0..self.b.pixels {
            self.load(a, i, self.n.min(LANES));
        }
        for k in 0..self.n.min(2) {
            self.weights(a, k);
        }
    }

    /// Steps `first .. first + 4` of the depth, as far as there are any.
    fn steps(&self, a: &mut Asm, first: usize) {
        let (n, b) = (LANES.min(self.n - first), self.b);
        for lane in 0..n {
            let k = first + lane;
            for i in 0..b.pixels {
                for v in 0..b.vectors() {
                    a.ins(format!(
                        "vmla.f32 q{}, q{}, d{}[{}]",
                        b.sum(i, v),
                        Self::register(k) + v,
                        2 * i + lane / 2,
                        lane % 2
                    ));
                }
                if lane + 1 == n && first + n < self.n {
                    self.load(a, i, LANES.min(self.n - first - n));
                }
            }
            if k + 2 < self.n {
                self.weights(a, k);
            }
        }
    }

    /// Register of the weights of step `k`.
    const fn register(k: usize) -> usize {
        WEIGHTS + 2 * (k % 2)
    }

    /// The next weights, to the registers of step `k`.
    fn weights(&self, a: &mut Asm, k: usize) {
        if self.ahead && k.is_multiple_of(2) {
            a.ins("pld [r8, #192]");
        }
        self.b.weights(a, Self::register(k));
    }

    /// The next `n` values of pixel `i`.
    fn load(&self, a: &mut Asm, i: usize, n: usize) {
        let (low, high, from) = (2 * i, 2 * i + 1, Block::pixel(i));
        match n {
            4 => a.ins(format!("vld1.32 {{d{low}-d{high}}}, [{from}]!")),
            1 => a.ins(format!("vld1.32 {{d{low}[0]}}, [{from}]!")),
            _ => a.ins(format!("vld1.32 {{d{low}}}, [{from}]!")),
        }
        if n == 3 {
            a.ins(format!("vld1.32 {{d{high}[0]}}, [{from}]!"));
        }
    }
}
