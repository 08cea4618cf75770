//! Activations that need `e^x`, as a routine for two vectors at a time: the operations of `math.rs` in
//! their order, but that the quotient is a product with a reciprocal (two steps of Newton's from the
//! processor's estimate, within 2 ulp), and that denormals are zero.

use std::f32::consts::LOG2_E;

use tessera_plan::graph::Activation;

use super::asm::Asm;

/// 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;
/// `ln 2` in two parts.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Coefficients of `e^r` from the sixth on down; the seventh stands apart.
const TAYLOR: [f32; 5] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];
/// From here on `mish(x)` is `x`.
const LINEAR: f32 = 20.0;

/// Whether there is a routine for the function.
pub(super) const fn has_routine(activation: Activation) -> bool {
    matches!(
        activation,
        Activation::Mish | Activation::Swish | Activation::Logistic
    )
}

/// Replaces the values of registers `list`, all above q7, by their function's. Changes q0 to q7, r6 and
/// lr.
pub(super) fn each(a: &mut Asm, list: &[usize]) {
    for pair in list.chunks(2) {
        for (to, q) in pair.iter().enumerate() {
            a.ins(format!("vmov q{to}, q{q}"));
        }
        call(a);
        for (from, q) in pair.iter().enumerate() {
            a.ins(format!("vmov q{q}, q{from}"));
        }
    }
}

/// Replaces q0 and q1 by their function's values. Changes q2 to q7, r6 and lr.
pub(super) fn call(a: &mut Asm) {
    a.ins("bl 70f");
}

/// The routine, behind the function that calls it.
pub(super) fn routine(activation: Activation, a: &mut Asm) {
    let mut r = Routine {
        a,
        constants: Vec::new(),
    };
    r.a.comment(format!("q0, q1 = {}(q0), (q1)", activation.name()));
    r.a.label(70);
    r.a.ins("vpush {d0-d3}");
    r.a.ins("adr r6, 71f");
    // Mish has e^x of at most 20, the others e^-x, and what is 1 + e^x need not be less than 2^-24.
    let (least, greatest) = if activation == Activation::Mish {
        (-110.0, LINEAR)
    } else {
        r.both(|v| format!("vneg.f32 q{v}, q{v}"));
        (-87.0, 90.0)
    };
    r.exp(least, greatest);
    r.a.ins("vpop {d12-d15}");
    r.a.comment("e^x in q0 and q1, x in q6 and q7.");
    match activation {
        Activation::Mish => {
            r.a.ins("vmov.f32 q2, #2.0");
            r.both(|v| format!("vadd.f32 q{}, q{v}, q2", 4 + v));
            r.a.comment("n = e (e + 2); x n / (n + 2)");
            r.both(|v| format!("vmul.f32 q{v}, q{v}, q{}", 4 + v));
            r.both(|v| format!("vmul.f32 q{}, q{}, q{v}", 4 + v, 6 + v));
            r.both(|v| format!("vadd.f32 q{v}, q{v}, q2"));
            r.a.ins("vpush {d8-d11}");
            r.reciprocal();
            r.a.ins("vpop {d8-d11}");
            r.both(|v| format!("vmul.f32 q{v}, q{}, q{}", 4 + v, 2 + v));
            r.a.ins(format!("vmov.f32 q2, #{LINEAR:?}"));
            r.both(|v| format!("vcgt.f32 q{}, q{}, q2", 4 + v, 6 + v));
            r.both(|v| format!("vbit q{v}, q{}, q{}", 6 + v, 4 + v));
        }
        _ => {
            r.a.ins("vmov.f32 q2, #1.0");
            r.both(|v| format!("vadd.f32 q{v}, q{v}, q2"));
            r.reciprocal();
            if activation == Activation::Swish {
                r.both(|v| format!("vmul.f32 q{v}, q{}, q{}", 6 + v, 2 + v));
            } else {
                r.both(|v| format!("vmov q{v}, q{}", 2 + v));
            }
        }
    }
    r.a.ins("bx lr");
    r.finish();
}

/// A routine being written: its constants are read in the order in which it needs them.
struct Routine<'a> {
    a: &'a mut Asm,
    constants: Vec<f32>,
}

impl Routine<'_> {
    /// One instruction for either vector.
    fn both(&mut self, text: impl Fn(usize) -> String) {
        for v in 0..2 {
            self.a.ins(text(v));
        }
    }

    /// All lanes of register `q` the constant `c`.
    fn constant(&mut self, q: usize, c: f32) {
        self.constants.push(c);
        let list = format!("{{d{}[], d{}[]}}", 2 * q, 2 * q + 1);
        self.a.ins(format!("vld1.32 {list}, [r6]!"));
    }

    /// q0, q1 = e^q0, e^q1, of `least` and `greatest` beyond them; q2 to q7 change.
    fn exp(&mut self, least: f32, greatest: f32) {
        self.constant(2, least);
        self.both(|v| format!("vmax.f32 q{v}, q{v}, q2"));
        self.constant(2, greatest);
        self.both(|v| format!("vmin.f32 q{v}, q{v}, q2"));
        self.a.comment("n = x / ln 2, rounded; r = x - n ln 2");
        self.constant(3, ROUND);
        self.both(|v| format!("vmov q{}, q3", 4 + v));
        self.constant(2, LOG2_E);
        self.both(|v| format!("vmla.f32 q{}, q{v}, q2", 4 + v));
        self.both(|v| format!("vsub.f32 q{}, q{}, q3", 6 + v, 4 + v));
        for part in LN_2 {
            self.constant(2, part);
            self.both(|v| format!("vmls.f32 q{v}, q{}, q2", 6 + v));
        }
        self.both(|v| format!("vsub.i32 q{0}, q{0}, q3", 4 + v));
        self.a
            .comment("The polynomial of r, from two registers to two others and back.");
        self.constant(6, 1.0 / 5040.0);
        self.a.ins("vmov q7, q6");
        let (mut from, mut to) = (6, 2);
        for c in TAYLOR {
            self.constant(to, c);
            self.a.ins(format!("vmov q{}, q{to}", to + 1));
            self.both(|v| format!("vmla.f32 q{}, q{}, q{v}", to + v, from + v));
            (from, to) = (to, from);
        }
        self.both(|v| format!("vmul.f32 q{}, q{v}, q{v}", to + v));
        self.both(|v| format!("vmla.f32 q{v}, q{}, q{}", from + v, to + v));
        self.a.ins("vmov.f32 q2, #1.0");
        self.both(|v| format!("vadd.f32 q{v}, q{v}, q2"));
        self.a.comment("2^n in two factors.");
        self.both(|v| format!("vshr.s32 q{}, q{}, #1", 2 + v, 4 + v));
        self.both(|v| format!("vsub.i32 q{0}, q{0}, q{1}", 4 + v, 2 + v));
        self.a.ins("vmov.i32 q6, #127");
        for first in [2, 4] {
            self.both(|v| format!("vadd.i32 q{0}, q{0}, q6", first + v));
            self.both(|v| format!("vshl.i32 q{0}, q{0}, #23", first + v));
        }
        for first in [2, 4] {
            self.both(|v| format!("vmul.f32 q{v}, q{v}, q{}", first + v));
        }
    }

    /// q2, q3 = 1 / q0, 1 / q1; q4 and q5 change.
    fn reciprocal(&mut self) {
        self.both(|v| format!("vrecpe.f32 q{}, q{v}", 2 + v));
        for _ in 0..2 {
            self.both(|v| format!("vrecps.f32 q{}, q{v}, q{}", 4 + v, 2 + v));
            self.both(|v| format!("vmul.f32 q{0}, q{0}, q{1}", 2 + v, 4 + v));
        }
    }

    /// The constants.
    fn finish(self) {
        self.a.label(71);
        for c in self.constants {
            self.a.ins(format!(".word 0x{:08x} @ {c:?}", c.to_bits()));
        }
    }
}
