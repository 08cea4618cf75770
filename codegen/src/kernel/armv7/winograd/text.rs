//! The assembly of Winograd kernels: transforms of inputs, weights and products, and the products
//! themselves. Rows are transformed first, then columns, by way of the stack (products: the other way
//! round, so that pixels of a row come out side by side).

use tessera_plan::plan::ConvKernel;

use super::straight::{Constants, emit};
use crate::kernel::{
    armv7::{
        asm::{Asm, doubles},
        block::{Block, LANES},
        dense, epilogue, exp,
    },
    winograd::transform::{self, Transform},
};

/// Bytes of a vector.
const VECTOR: usize = 4 * LANES;

/// What a kernel's functions are made for.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// The kernel.
    pub k: &'a ConvKernel,
    /// Side of a tile's outputs.
    pub m: usize,
    /// Input channels of a part of V.
    pub depth: usize,
    /// Output channels that exist.
    pub channels: usize,
}

/// Begins a function: saves eight core and eight vector registers, and takes `bytes` of the stack.
fn enter(a: &mut Asm, bytes: usize) {
    a.ins(".fpu neon");
    a.ins("push {r4-r10, lr}");
    a.ins("vpush {d8-d15}");
    a.ins(format!("sub sp, sp, #{bytes}"));
}

fn leave(a: &mut Asm, bytes: usize) {
    a.ins(format!("add sp, sp, #{bytes}"));
    a.ins("vpop {d8-d15}");
    a.ins("pop {r4-r10, pc}");
}

/// Loads `n` vectors from `from`, `stride` apart, to `q` registers from `first` on.
fn load(a: &mut Asm, n: usize, first: usize, from: &str, stride: &str) {
    for q in first..first + n {
        a.ins(format!("vld1.32 {}, [{from}], {stride}", doubles(2 * q, 2)));
    }
}

/// Stores registers to `to`, `stride` apart, or side by side.
fn store(a: &mut Asm, list: &[usize], to: &str, stride: Option<&str>) {
    for q in list {
        let list = doubles(2 * q, 2);
        a.ins(match stride {
            Some(stride) => format!("vst1.32 {list}, [{to}], {stride}"),
            None => format!("vst1.32 {list}, [{to}]!"),
        });
    }
}

impl Text<'_> {
    /// Side of a tile's inputs.
    const fn n(&self) -> usize {
        self.m + 2
    }

    /// Vectors of output channels.
    const fn vectors(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// `forward(rows, v, plane, groups)`: the tile whose rows begin at `rows[i]`, four channels at a
    /// time, to `v` and the `n * n` planes that are `plane` bytes apart.
    pub fn forward(&self) -> String {
        let (n, t) = (self.n(), transform::input(self.m));
        let mut a = Asm::default();
        a.comment("r0 rows, r1 v, r2 bytes of a plane, r3 groups of four channels left.");
        enter(&mut a, n * n * VECTOR);
        let c = Constants::new(&t, &[]);
        c.load(&mut a);
        a.ins("mov r4, #0");
        a.constant("r8", 4 * self.k.x_stride);
        a.ins(format!("mov r10, #{n}"));
        a.ins("mul r10, r2, r10");
        a.label(1);
        a.comment("Rows, to the stack.");
        a.ins("mov r5, r0");
        a.ins("mov r7, sp");
        a.ins(format!("mov r9, #{n}"));
        a.label(2);
        a.ins("ldr r6, [r5], #4");
        a.ins("add r6, r6, r4");
        load(&mut a, n, c.registers(), "r6", "r8");
        let outputs = emit(&mut a, &t, &c, c.registers());
        store(&mut a, &outputs, "r7", None);
        a.ins("subs r9, r9, #1");
        a.ins("bne 2b");
        a.ins("add r5, r1, r4");
        self.columns(&mut a, &t, &c, n);
        a.ins(format!("add r4, r4, #{VECTOR}"));
        a.ins("subs r3, r3, #1");
        a.ins("bne 1b");
        leave(&mut a, n * n * VECTOR);
        a.finish()
    }

    /// Columns of what lies on the stack, `rows` of them, to the planes from `r5` on: `r2` bytes from
    /// one column to the next, `r10` from row to row.
    fn columns(&self, a: &mut Asm, t: &Transform, c: &Constants, n: usize) {
        a.comment("Columns, to the planes.");
        a.ins("mov r7, sp");
        a.ins(format!("mov r6, #{}", n * VECTOR));
        a.ins(format!("mov r9, #{n}"));
        a.label(3);
        a.ins("mov lr, r7");
        load(a, t.inputs, c.registers(), "lr", "r6");
        let outputs = emit(a, t, c, c.registers());
        a.ins(format!("add r7, r7, #{VECTOR}"));
        a.ins("mov lr, r5");
        store(a, &outputs, "lr", Some("r10"));
        a.ins("add r5, r5, r2");
        a.ins("subs r9, r9, #1");
        a.ins("bne 3b");
    }

    /// `expand(w, u, plane, deep)`: the weights of `deep` input channels from `w` on, to `u` and the
    /// planes that are `plane` bytes apart.
    pub fn expand(&self) -> String {
        let (n, t) = (self.n(), transform::weights(self.m));
        let mut a = Asm::default();
        a.comment("r0 w, r1 u, r2 bytes of a plane, r3 vectors left.");
        let bytes = 3 * n * VECTOR;
        enter(&mut a, bytes);
        let c = Constants::new(&t, &[]);
        c.load(&mut a);
        a.ins("mov r4, #0");
        // From one tap to the next.
        a.constant("r8", 4 * self.k.cin * self.k.nr);
        a.ins(format!("mov r10, #{n}"));
        a.ins("mul r10, r2, r10");
        if self.vectors() == 2 {
            a.ins("lsl r3, r3, #1");
        }
        a.label(1);
        a.comment("Rows, to the stack.");
        a.ins("add r6, r0, r4");
        a.ins("mov r7, sp");
        a.ins("mov r9, #3");
        a.label(2);
        load(&mut a, 3, c.registers(), "r6", "r8");
        let outputs = emit(&mut a, &t, &c, c.registers());
        store(&mut a, &outputs, "r7", None);
        a.ins("subs r9, r9, #1");
        a.ins("bne 2b");
        a.ins("add r5, r1, r4");
        self.columns(&mut a, &t, &c, n);
        let next = if self.vectors() == 2 {
            VECTOR
        } else {
            2 * VECTOR
        };
        a.ins(format!("add r4, r4, #{next}"));
        a.ins("subs r3, r3, #1");
        a.ins("bne 1b");
        leave(&mut a, bytes);
        a.finish()
    }

    /// `multiply(x, u, m, eights, tiles, first)`: the products of `tiles` tiles at one point, summed
    /// over eight times `eights` input channels, to `m` if `first`, else added to what is there.
    pub fn multiply(&self) -> String {
        let mut a = Asm::default();
        a.comment("r0 x, r1 u, r2 m, r3 eights of input channels; tiles and first on the stack.");
        a.comment("r11 tiles left, r10 first, r12 from a tile's input to the next in bytes.");
        a.ins(".fpu neon");
        a.ins("push {r4-r11, lr}");
        a.ins("vpush {d8-d15}");
        a.ins("ldr r11, [sp, #100]");
        a.ins("ldr r10, [sp, #104]");
        a.constant("r12", 4 * self.depth);
        a.ins("subs r11, r11, #4");
        a.ins("blo 2f");
        a.label(1);
        self.block(&mut a, 4);
        a.ins("add r0, r0, r12, lsl #2");
        a.ins("subs r11, r11, #4");
        a.ins("bhs 1b");
        a.label(2);
        for pixels in [3, 2, 1] {
            a.ins(format!("cmn r11, #{}", 4 - pixels));
            a.ins("bne 3f");
            self.block(&mut a, pixels);
            a.ins("b 9f");
            a.label(3);
        }
        a.label(9);
        a.ins("vpop {d8-d15}");
        a.ins("pop {r4-r11, pc}");
        a.finish()
    }

    /// `pixels` tiles, which are a direct kernel's pixels.
    fn block(&self, a: &mut Asm, pixels: usize) {
        let b = Block {
            k: self.k,
            channels: self.channels,
            pixels,
        };
        let v = b.vectors();
        a.comment(format!("{pixels} at a time."));
        a.ins("mov r4, r0");
        for i in 1..pixels {
            a.ins(format!(
                "add {}, {}, r12",
                Block::pixel(i),
                Block::pixel(i - 1)
            ));
        }
        a.ins("mov r8, r1");
        a.constant("lr", 4 * self.n() * self.n() * self.k.nr);
        a.ins("cmp r10, #0");
        a.ins("beq 5f");
        for q in b.sum(0, 0)..b.sum(pixels, 0) {
            a.ins(format!("vmov.i32 q{q}, #0"));
        }
        a.ins("b 6f");
        a.label(5);
        a.ins("mov r9, r2");
        for i in 0..pixels {
            a.ins(format!(
                "vld1.32 {}, [r9], lr",
                doubles(2 * b.sum(i, 0), 2 * v)
            ));
        }
        a.label(6);
        dense::eights(&b, a);
        a.constant("lr", 4 * self.n() * self.n() * self.k.nr);
        for i in 0..pixels {
            a.ins(format!(
                "vst1.32 {}, [r2], lr",
                doubles(2 * b.sum(i, 0), 2 * v)
            ));
        }
    }

    /// `backward(products, bias, y, y_row, rows)`: the first `rows` rows of a tile's pixels, `y_row`
    /// bytes apart.
    pub fn backward(&self) -> String {
        let (n, m, t) = (self.n(), self.m, transform::output(self.m));
        let mut a = Asm::default();
        a.comment("r0 products, r1 bias, r2 y, r3 bytes of a row; rows on the stack.");
        let bytes = n * m * VECTOR;
        enter(&mut a, bytes);
        let slope = epilogue::slope(self.k.activation);
        let c = Constants::new(&t, slope.as_slice());
        c.load(&mut a);
        let (bias, first) = (c.registers(), c.registers() + 1);
        a.constant("r8", 4 * n * self.k.nr);
        a.constant("r10", 4 * self.k.y_stride);
        for v in 0..self.vectors() {
            a.comment("Columns, to the stack.");
            a.add("r4", "r0", v * VECTOR);
            a.ins("mov r7, sp");
            a.ins(format!("mov r9, #{n}"));
            a.label(2);
            a.ins("mov r6, r4");
            load(&mut a, n, first, "r6", "r8");
            let outputs = emit(&mut a, &t, &c, first);
            store(&mut a, &outputs, "r7", None);
            a.ins(format!("add r4, r4, #{}", 4 * self.k.nr));
            a.ins("subs r9, r9, #1");
            a.ins("bne 2b");
            a.comment("Rows, to the pixels.");
            a.add("r6", "r1", v * VECTOR);
            a.ins(format!("vld1.32 {}, [r6]", doubles(2 * bias, 2)));
            a.ins(format!("ldr r9, [sp, #{}]", bytes + 96));
            a.add("r5", "r2", v * VECTOR);
            a.ins("mov r7, sp");
            a.ins(format!("mov r4, #{}", m * VECTOR));
            a.label(3);
            let slope = slope.map_or_else(String::new, |s| c.lane(s));
            let channels = self.of_vector(v);
            for last in (0..self.k.side()).map(|row| row + 1 == self.k.side()) {
                a.ins("mov r6, r7");
                load(&mut a, n, first, "r6", "r4");
                let outputs = emit(&mut a, &t, &c, first);
                let temps: Vec<usize> = (first..16).filter(|q| !outputs.contains(q)).collect();
                let outputs = if self.k.pool {
                    maxima(&mut a, &outputs, temps[0], channels, last)
                } else {
                    outputs
                };
                if last {
                    for q in &outputs {
                        a.ins(format!("vadd.f32 q{q}, q{q}, q{bias}"));
                    }
                    epilogue::each(self.k.activation, &mut a, &outputs, &temps, &slope);
                }
                a.ins("mov r6, r5");
                pixels(&mut a, &outputs, channels);
                a.ins(format!("add r7, r7, #{VECTOR}"));
            }
            a.ins("add r5, r5, r3");
            a.ins(format!("subs r9, r9, #{}", self.k.side()));
            a.ins("bne 3b");
        }
        if exp::has_routine(self.k.activation) {
            self.activate(&mut a, bytes);
        }
        leave(&mut a, bytes);
        if exp::has_routine(self.k.activation) {
            exp::routine(self.k.activation, &mut a);
        }
        a.finish()
    }

    /// Activates the pixels, two by two: the transform leaves no room in registers. `bytes` of the stack
    /// are taken.
    fn activate(&self, a: &mut Asm, bytes: usize) {
        a.comment("The activation, of what was just stored.");
        a.ins(format!("ldr r9, [sp, #{}]", bytes + 96));
        a.ins("mov r5, r2");
        a.label(4);
        a.ins("mov r7, r5");
        for _ in 0..self.m / 2 {
            for v in 0..self.vectors() {
                let channels = self.of_vector(v);
                a.add("r8", "r7", v * VECTOR);
                for q in 0..2 {
                    a.channels("vld1", [2 * q, channels], "r8", Some("r10"), "lr");
                }
                exp::call(a);
                a.add("r6", "r7", v * VECTOR);
                pixels(a, &[0, 1], channels);
            }
            a.ins("add r7, r7, r10, lsl #1");
        }
        a.ins("add r5, r5, r3");
        a.ins("subs r9, r9, #1");
        a.ins("bne 4b");
    }

    /// Existing channels of vector `v`.
    fn of_vector(&self, v: usize) -> usize {
        (self.channels - v * LANES).min(LANES)
    }
}

/// The greater of pairs of the sums `list`, and, if they are the `second` row's, of what the first left from
/// `r5` on; `temp` and `r6` change. Gives their registers.
fn maxima(a: &mut Asm, list: &[usize], temp: usize, channels: usize, second: bool) -> Vec<usize> {
    if second {
        a.ins("mov r6, r5");
    }
    for pair in list.chunks(2) {
        a.ins(format!("vmax.f32 q{0}, q{0}, q{1}", pair[0], pair[1]));
        if second {
            a.channels("vld1", [2 * temp, channels], "r6", Some("r10"), "lr");
            a.ins(format!("vmax.f32 q{0}, q{0}, q{temp}", pair[0]));
        }
    }
    list.iter().copied().step_by(2).collect()
}

/// Stores `channels` channels of pixels from `r6` on, `r10` bytes apart.
fn pixels(a: &mut Asm, list: &[usize], channels: usize) {
    for q in list {
        a.channels("vst1", [2 * q, channels], "r6", Some("r10"), "lr");
    }
}
