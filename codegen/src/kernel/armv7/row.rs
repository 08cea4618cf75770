//! The frame of a kernel: one row of pixels in blocks, one block's taps.

use tessera_plan::{kernel::half_block, plan::ConvKernel};

use super::{
    asm::Asm,
    block::{Block, PIXELS, SUMS},
    dense, depthwise, epilogue, exp,
};

/// Where the arguments `y` and `cols` lie, behind eight saved `d` and ten core registers.
const Y: &str = "[sp, #64]";
const COLS: &str = "[sp, #104]";
/// The same of `second`, which kernels that pool take.
const SECOND: &str = "[sp, #108]";

/// The text of a kernel.
pub(super) fn text(k: &ConvKernel, channels: usize) -> String {
    let mut a = Asm::default();
    let block = |pixels| Block {
        k,
        channels,
        pixels,
    };
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
    emit(&block(k.mr), &mut a);
    a.ins(format!("ldr r4, {COLS}"));
    a.ins(format!("add r11, r11, #{}", k.mr));
    a.ins("cmp r11, r4");
    a.ins("blo 1b");
    if few < k.mr {
        a.ins("b 9f");
        a.label(8);
        a.comment(format!("The last {}.", pixels(few)));
        a.ins(format!("sub r11, r4, #{few}"));
        emit(&block(few), &mut a);
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

/// Everything from the bias to the stores, for the pixels from column `r11` on.
fn emit(b: &Block, a: &mut Asm) {
    a.constant("lr", b.step_bytes());
    a.ins("mla r12, r11, lr, r0");
    a.ins("mov r10, r1");
    a.ins("mov r8, r2");
    a.comment("Sums begin with the bias.");
    b.weights(a, SUMS);
    for i in 1..b.pixels {
        for v in 0..b.vectors() {
            a.ins(format!("vmov q{}, q{}", b.sum(i, v), SUMS + v));
        }
    }
    taps(b, a);
    if b.k.pool {
        maxima(b, a);
    }
    epilogue::apply(b, a);
    store(b, a);
}

/// The loop over the kernel's rows.
fn taps(b: &Block, a: &mut Asm) {
    let many = b.k.size > 1;
    if many {
        a.comment("Every row of the kernel.");
        a.label(2);
    }
    a.ins("ldr lr, [r10], #4");
    a.ins("add r4, r12, lr, lsl #2");
    for i in 1..b.pixels {
        a.add(PIXELS[i], PIXELS[i - 1], b.step_bytes());
    }
    if b.k.depthwise {
        depthwise::row(b, a);
    } else {
        dense::row(b, a);
    }
    if many {
        a.ins(format!("add lr, r1, #{}", 4 * b.k.size));
        a.ins("cmp r10, lr");
        a.ins("blo 2b");
    }
}

/// The sums of every second pixel become the greater of two.
fn maxima(b: &Block, a: &mut Asm) {
    for i in (0..b.pixels).step_by(2) {
        for v in 0..b.vectors() {
            let (left, right) = (b.sum(i, v), b.sum(i + 1, v));
            a.ins(format!("vmax.f32 q{left}, q{left}, q{right}"));
        }
    }
}

/// Stores the values; maxima of a second row of sums join those of the first.
fn store(b: &Block, a: &mut Asm) {
    a.ins(format!("ldr r4, {Y}"));
    let mut column = "r11";
    if b.k.pool {
        column = "r5";
        a.ins("lsr r5, r11, #1");
        a.ins(format!("ldr r6, {SECOND}"));
        a.ins("cmp r6, #0");
    }
    a.constant("lr", 4 * b.k.y_stride);
    a.ins(format!("mla r4, {column}, lr, r4"));
    for i in (0..b.pixels).step_by(b.k.side()) {
        if b.k.pool {
            a.ins("beq 5f");
            a.channels("vld1", [0, b.channels], "r4", None, "r5");
            for v in 0..b.vectors() {
                let sum = b.sum(i, v);
                a.ins(format!("vmax.f32 q{sum}, q{sum}, q{v}"));
            }
            a.label(5);
        }
        let first = 2 * b.sum(i, 0);
        a.channels("vst1", [first, b.channels], "r4", Some("lr"), "r5");
    }
}
