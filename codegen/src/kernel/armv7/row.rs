//! The frame of a kernel: one row of pixels in blocks, one block's taps.

use tessera_plan::{kernel::half_block, plan::ConvKernel};

use super::{
    asm::{Asm, doubles},
    dense, depthwise, epilogue, exp,
};

/// Lanes of a vector.
pub(super) const LANES: usize = 4;

/// First register of the sums.
const SUMS: usize = 8;

/// Where the arguments `y` and `cols` lie, behind eight saved `d` and ten core registers.
const Y: &str = "[sp, #64]";
const COLS: &str = "[sp, #104]";
/// The same of `second`, which kernels that pool take.
const SECOND: &str = "[sp, #108]";

/// Registers that say where the pixels' input continues.
const PIXELS: [&str; super::PIXELS] = ["r4", "r5", "r6", "r7"];

/// One block of pixels and channels.
pub(super) struct Block<'a> {
    /// The kernel.
    pub k: &'a ConvKernel,
    /// Output channels that exist; the others are padding of the packed weights.
    pub lanes: usize,
    /// Pixels, at most four.
    pub pixels: usize,
}

/// The text of a kernel.
pub(super) fn text(k: &ConvKernel, lanes: usize) -> String {
    let mut a = Asm::default();
    let block = |pixels| Block { k, lanes, pixels };
    a.comment("r0 x, r1 taps, r2 w, r11 column; y and cols on the stack.");
    a.comment("q8 and up: sums. r4 to r7: the pixels' input. r8: weights.");
    a.ins(".fpu neon");
    a.ins("push {r3-r11, lr}");
    a.ins("vpush {d8-d15}");
    a.ins("mov r11, #0");
    let few = half_block(k.mr, k.pool);
    a.label(1);
    a.ins(format!("ldr r4, {COLS}"));
    if few < k.mr {
        a.ins("sub lr, r4, r11");
        a.ins(format!("cmp lr, #{few}"));
        a.ins("bls 8f");
    }
    a.comment(format!(
        "A block of {}, which may overlap the one before.",
        pixels(k.mr)
    ));
    a.ins(format!("sub lr, r4, #{}", k.mr));
    a.ins("cmp r11, lr");
    a.ins("movhi r11, lr");
    block(k.mr).emit(&mut a);
    a.ins(format!("ldr r4, {COLS}"));
    a.ins(format!("add r11, r11, #{}", k.mr));
    a.ins("cmp r11, r4");
    a.ins("blo 1b");
    if few < k.mr {
        a.ins("b 9f");
        a.label(8);
        a.comment(format!("The last {}.", pixels(few)));
        a.ins(format!("sub r11, r4, #{few}"));
        block(few).emit(&mut a);
    }
    a.label(9);
    a.ins("vpop {d8-d15}");
    a.ins("pop {r3-r11, pc}");
    if exp::has_routine(k.activation) {
        exp::routine(k.activation, &mut a);
    }
    a.finish()
}

fn pixels(n: usize) -> String {
    format!("{n} pixel{}", if n == 1 { "" } else { "s" })
}

impl Block<'_> {
    /// Vectors that hold an existing channel: one or two.
    pub const fn vectors(&self) -> usize {
        self.lanes.div_ceil(LANES)
    }

    /// Number of the `q` register with the sum of pixel `i`, vector `v`.
    pub const fn sum(&self, i: usize, v: usize) -> usize {
        SUMS + i * self.vectors() + v
    }

    /// Register that says where the input of pixel `i` continues.
    pub const fn pixel(i: usize) -> &'static str {
        PIXELS[i]
    }

    /// Loads the next weights to `q` register `to` and, if there is a second vector, the next one.
    /// Blocks are eight channels wide whatever exists of them.
    pub fn weights(&self, a: &mut Asm, to: usize) {
        if self.vectors() == 2 {
            a.ins(format!("vld1.32 {}, [r8]!", doubles(2 * to, 4)));
        } else {
            a.ins(format!("vld1.32 {}, [r8]", doubles(2 * to, 2)));
            a.ins("add r8, r8, #32");
        }
    }

    /// Bytes between the windows of neighbouring output pixels.
    const fn step_bytes(&self) -> usize {
        4 * self.k.stride_x * self.k.x_stride
    }

    /// Everything from the bias to the stores, for the pixels from column `r11` on.
    fn emit(&self, a: &mut Asm) {
        a.constant("lr", self.step_bytes());
        a.ins("mla r12, r11, lr, r0");
        a.ins("mov r10, r1");
        a.ins("mov r8, r2");
        a.comment("Sums begin with the bias.");
        self.weights(a, SUMS);
        for i in 1..self.pixels {
            for v in 0..self.vectors() {
                a.ins(format!("vmov q{}, q{}", self.sum(i, v), SUMS + v));
            }
        }
        self.taps(a);
        if self.k.pool {
            self.maxima(a);
        }
        epilogue::apply(self, a);
        self.store(a);
    }

    /// The loop over the kernel's rows.
    fn taps(&self, a: &mut Asm) {
        let many = self.k.size > 1;
        if many {
            a.comment("Every row of the kernel.");
            a.label(2);
        }
        a.ins("ldr lr, [r10], #4");
        a.ins("add r4, r12, lr, lsl #2");
        for i in 1..self.pixels {
            a.add(PIXELS[i], PIXELS[i - 1], self.step_bytes());
        }
        if self.k.depthwise {
            depthwise::row(self, a);
        } else {
            dense::row(self, a);
        }
        if many {
            a.ins(format!("add lr, r1, #{}", 4 * self.k.size));
            a.ins("cmp r10, lr");
            a.ins("blo 2b");
        }
    }

    /// The sums of every second pixel become the greater of two.
    fn maxima(&self, a: &mut Asm) {
        for i in (0..self.pixels).step_by(2) {
            for v in 0..self.vectors() {
                let (left, right) = (self.sum(i, v), self.sum(i + 1, v));
                a.ins(format!("vmax.f32 q{left}, q{left}, q{right}"));
            }
        }
    }

    /// Stores the values; maxima of a second row of sums join those of the first.
    fn store(&self, a: &mut Asm) {
        a.ins(format!("ldr r4, {Y}"));
        let mut column = "r11";
        if self.k.pool {
            column = "r5";
            a.ins("lsr r5, r11, #1");
            a.ins(format!("ldr r6, {SECOND}"));
            a.ins("cmp r6, #0");
        }
        a.constant("lr", 4 * self.k.y_stride);
        a.ins(format!("mla r4, {column}, lr, r4"));
        for i in (0..self.pixels).step_by(self.k.side()) {
            if self.k.pool {
                a.ins("beq 5f");
                a.lanes("vld1", [0, self.lanes], "r4", None, "r5");
                for v in 0..self.vectors() {
                    let sum = self.sum(i, v);
                    a.ins(format!("vmax.f32 q{sum}, q{sum}, q{v}"));
                }
                a.label(5);
            }
            let first = 2 * self.sum(i, 0);
            a.lanes("vst1", [first, self.lanes], "r4", Some("lr"), "r5");
        }
    }
}
