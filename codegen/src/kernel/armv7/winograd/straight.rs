//! A one-dimensional transform as instructions: its values in `q` registers, its constants in lanes.

use crate::kernel::{
    armv7::asm::Asm,
    winograd::transform::{Op, Transform, Value},
};

/// Constants of a function, as lanes of the first registers.
#[derive(Debug, Default)]
pub(super) struct Constants(Vec<f32>);

impl Constants {
    /// The constants of `t`, and `more`.
    pub fn new(t: &Transform, more: &[f32]) -> Self {
        let mut list = Self::default();
        for op in &t.ops {
            if let Op::Mul(c, _) | Op::MulAdd(c, ..) | Op::MulSub(c, ..) = op {
                list.add(rounded(*c));
            }
        }
        more.iter().for_each(|c| list.add(*c));
        list
    }

    fn add(&mut self, c: f32) {
        if !self.0.contains(&c) {
            self.0.push(c);
        }
    }

    /// Number of registers taken.
    pub fn registers(&self) -> usize {
        self.0.len().div_ceil(4)
    }

    /// The lane that holds `c`.
    pub fn lane(&self, c: f32) -> String {
        let at = self.0.iter().position(|v| *v == c).unwrap_or_default();
        format!("d{}[{}]", at / 2, at % 2)
    }

    /// Loads the constants into their registers.
    pub fn load(&self, a: &mut Asm) {
        for c in &self.0 {
            a.constant("lr", c.to_bits() as usize);
            a.ins(format!("vmov.32 {}, lr", self.lane(*c)));
        }
    }
}

/// Emits the operations of `t`. Its inputs are in registers `first..first + t.inputs`; what is behind
/// them, up to q15, may be used too. Gives the registers of the outputs.
///
/// # Panics
/// When registers do not suffice: a test makes all the transforms there are.
pub(super) fn emit(a: &mut Asm, t: &Transform, c: &Constants, first: usize) -> Vec<usize> {
    let mut place: Vec<usize> = (first..first + t.inputs).collect();
    let mut free: Vec<usize> = (first + t.inputs..16).rev().collect();
    for (n, op) in t.ops.iter().enumerate() {
        let needed = |v: Value| {
            t.outputs.contains(&v) || t.ops[n + 1..].iter().any(|op| operands(op).contains(&v))
        };
        let mut done: Vec<usize> = operands(op)
            .into_iter()
            .filter(|v| !needed(*v))
            .map(|v| place[v])
            .collect();
        done.dedup();
        let (name, x, y, factor) = match *op {
            Op::Add(x, y) => ("vadd", x, y, None),
            Op::Sub(x, y) => ("vsub", x, y, None),
            Op::Mul(c, x) => ("vmul", x, x, Some(c)),
            Op::MulAdd(c, x, y) => ("vmla", x, y, Some(c)),
            Op::MulSub(c, x, y) => ("vmls", x, y, Some(c)),
        };
        // `vmla` and `vmls` change their first operand: the value that is added to.
        let changes = matches!(op, Op::MulAdd(..) | Op::MulSub(..));
        let mut fresh = || free.pop().expect("registers suffice");
        let to = match (changes, done.first()) {
            (true, _) if !needed(y) => place[y],
            (true, _) => {
                let to = fresh();
                a.ins(format!("vmov q{to}, q{}", place[y]));
                to
            }
            (false, Some(to)) => *to,
            (false, None) => fresh(),
        };
        let second = factor.map_or_else(|| format!("q{}", place[y]), |f| c.lane(rounded(f)));
        a.ins(format!("{name}.f32 q{to}, q{}, {second}", place[x]));
        free.extend(done.into_iter().filter(|r| *r != to));
        place.push(to);
    }
    t.outputs.iter().map(|v| place[*v]).collect()
}

fn operands(op: &Op) -> Vec<Value> {
    match *op {
        Op::Mul(_, x) => vec![x],
        Op::Add(x, y) | Op::Sub(x, y) | Op::MulAdd(_, x, y) | Op::MulSub(_, x, y) => vec![x, y],
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounded once, here")]
const fn rounded(c: f64) -> f32 {
    c as f32
}
