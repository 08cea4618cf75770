//! Winograd's minimal filtering F(m x m, 3 x 3) as lists of operations, without an instruction set.
//!
//! A tile of `m x m` outputs reads `n x n` inputs, `n = m + 2`. With `d` the inputs and `g` the 3 x 3
//! weights of one pair of channels,
//!
//! ```text
//! Y = A [ (G g G^T) * (B d B^T) ] A^T        (Lavin and Gray 2016, eq. 8; * element by element)
//! ```
//!
//! and `A`, `B`, `G` follow from `n` points: 0, infinity, and m / 2 pairs `+-p` (Toom and Cook's
//! interpolation, transposed). Pairs let both signs share their even and odd parts:
//!
//! ```text
//! Q(z) = product of (z - p^2) over the pairs,  Q_p = Q without p's own factor
//! B d:  at 0         Q(x^2) read as coefficients of d0, d2, d4, ..
//!       at +-p       x^2 Q_p(x^2) +- p x Q_p(x^2)
//!       at infinity  x Q(x^2): d1, d3, ..
//! G g:  at 0         g0 / Q(0)
//!       at +-p       (g0 + p^2 g2 +- p g1) / (2 p^2 Q_p(p^2))
//!       at infinity  g2
//! A m:  y_j = sum of p^j m_p; infinity counts for the last one alone
//! ```
//!
//! The points decide how much rounding is amplified. Against double precision, 256 input channels,
//! normal weights and leaky activations, largest error over the outputs' root mean square: direct
//! 4.4e-6; F(2,3) 1.8e-6; F(4,3) with 1, 2: 2.5e-5, with sqrt(1/2), sqrt(2): 4.7e-6;
//! F(6,3) with 1/2, 1, 2: 5.0e-5, the least of 25 triples (a s, s, s / a) tried.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// A value inside a transform: its inputs, then the results of its operations.
pub type Value = usize;

/// One operation; `c` are constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// `a + b`
    Add(Value, Value),
    /// `a - b`
    Sub(Value, Value),
    /// `c * a`
    Mul(f64, Value),
    /// `c * a + b`, fused where the instruction set can
    MulAdd(f64, Value, Value),
    /// `b - c * a`, fused where the instruction set can
    MulSub(f64, Value, Value),
}

/// A linear map of a few values.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// Number of inputs, which are the values `0..inputs`.
    pub inputs: usize,
    /// Operation `i` makes value `inputs + i` of earlier ones.
    pub ops: Vec<Op>,
    /// The values that are the outputs.
    pub outputs: Vec<Value>,
}

/// The positive points of F(m, 3).
///
/// # Panics
/// For any `m` but 2, 4 and 6: a plan's check refuses them.
fn points(m: usize) -> &'static [f64] {
    match m {
        2 => &[1.0],
        4 => &[FRAC_1_SQRT_2, SQRT_2],
        6 => &[0.5, 1.0, 2.0],
        _ => panic!("no points for F({m}, 3)"),
    }
}

/// Coefficients of the product of `(z - p^2)`, from the constant to the leading 1.
fn product(points: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut c = vec![1.0];
    for p in points {
        // Squares of the square roots above are meant to be exact.
        let square = (p * p * 1e12).round() / 1e12;
        c.insert(0, 0.0);
        for i in 1..c.len() {
            c[i - 1] -= square * c[i];
        }
    }
    c
}

/// Makes operations one by one.
struct Maker {
    inputs: usize,
    ops: Vec<Op>,
}

impl Maker {
    const fn new(inputs: usize) -> Self {
        Self {
            inputs,
            ops: Vec::new(),
        }
    }

    fn push(&mut self, op: Op) -> Value {
        self.ops.push(op);
        self.inputs + self.ops.len() - 1
    }

    /// `c * a`.
    fn mul(&mut self, c: f64, a: Value) -> Value {
        if c == 1.0 {
            a
        } else {
            self.push(Op::Mul(c, a))
        }
    }

    /// `c * a + b`.
    fn mul_add(&mut self, c: f64, a: Value, b: Value) -> Value {
        self.push(if c == 1.0 {
            Op::Add(b, a)
        } else if c == -1.0 {
            Op::Sub(b, a)
        } else if c < 0.0 {
            Op::MulSub(-c, a, b)
        } else {
            Op::MulAdd(c, a, b)
        })
    }

    /// `sum of c[i] * values[i]`, the last factor being 1.
    fn dot(&mut self, c: &[f64], values: impl Iterator<Item = Value>) -> Value {
        let terms: Vec<(f64, Value)> = c.iter().copied().zip(values).collect();
        let (_, mut sum) = terms[terms.len() - 1];
        for &(c, v) in terms[..terms.len() - 1].iter().rev() {
            sum = self.mul_add(c, v, sum);
        }
        sum
    }

    fn finish(self, outputs: Vec<Value>) -> Transform {
        Transform {
            inputs: self.inputs,
            ops: self.ops,
            outputs,
        }
    }
}

/// `B d`: `m + 2` inputs to as many values, in the order 0, `+p`, `-p`, .., infinity.
pub fn input(m: usize) -> Transform {
    let points = points(m);
    let mut t = Maker::new(m + 2);
    let all = product(points.iter().copied());
    let mut out = vec![t.dot(&all, (0..).step_by(2))];
    for (i, &p) in points.iter().enumerate() {
        let others = points.iter().enumerate().filter(|(k, _)| *k != i);
        let own = product(others.map(|(_, p)| *p));
        let even = t.dot(&own, (2..).step_by(2));
        let odd = t.dot(&own, (1..).step_by(2));
        out.push(t.mul_add(p, odd, even));
        out.push(t.mul_add(-p, odd, even));
    }
    out.push(t.dot(&all, (1..).step_by(2)));
    t.finish(out)
}

/// `G g`: three weights to `m + 2` values.
pub fn weights(m: usize) -> Transform {
    let points = points(m);
    let mut t = Maker::new(3);
    let at_zero = product(points.iter().copied())[0];
    let mut out = vec![t.mul(1.0 / at_zero, 0)];
    for (i, &p) in points.iter().enumerate() {
        let others = points.iter().enumerate().filter(|(k, _)| *k != i);
        let norm = others.fold(2.0 * p * p, |n, (_, q)| n * (p * p - q * q));
        let constant = t.mul(1.0 / norm, 0);
        let even = t.mul_add(p * p / norm, 2, constant);
        out.push(t.mul_add(p / norm, 1, even));
        out.push(t.mul_add(-p / norm, 1, even));
    }
    out.push(2);
    t.finish(out)
}

/// `A m`: `m + 2` products to `m` outputs.
pub fn output(m: usize) -> Transform {
    let points = points(m);
    let mut t = Maker::new(m + 2);
    let pairs: Vec<(Value, Value)> = (0..points.len())
        .map(|i| {
            let (plus, minus) = (1 + 2 * i, 2 + 2 * i);
            (t.mul_add(1.0, minus, plus), t.mul_add(-1.0, minus, plus))
        })
        .collect();
    let mut out = Vec::new();
    for j in 0..m {
        // What has no factor: the point 0, infinity, or the first pair.
        let mut sum = match j {
            0 => Some(0),
            _ if j == m - 1 => Some(m + 1),
            _ => None,
        };
        for (p, &(even, odd)) in points.iter().zip(&pairs) {
            let part = if j % 2 == 0 { even } else { odd };
            let c = p.powi(j as i32);
            sum = Some(match sum {
                None => t.mul(c, part),
                Some(s) => t.mul_add(c, part, s),
            });
        }
        out.extend(sum);
    }
    t.finish(out)
}

/// `G` as a matrix of `m + 2` rows.
pub fn weights_matrix(m: usize) -> Vec<[f64; 3]> {
    let t = weights(m);
    let columns = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|unit| t.run(&unit));
    (0..m + 2)
        .map(|i| std::array::from_fn(|k| columns[k][i]))
        .collect()
}

impl Transform {
    /// The values of `x`, in double precision.
    fn run(&self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.inputs, "as many values as it takes");
        let mut v = x.to_vec();
        for op in &self.ops {
            v.push(match *op {
                Op::Add(a, b) => v[a] + v[b],
                Op::Sub(a, b) => v[a] - v[b],
                Op::Mul(c, a) => c * v[a],
                Op::MulAdd(c, a, b) => c * v[a] + v[b],
                Op::MulSub(c, a, b) => v[b] - c * v[a],
            });
        }
        self.outputs.iter().map(|o| v[*o]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transforms_filter() {
        for m in [2, 4, 6] {
            let d: Vec<f64> = (0..m + 2)
                .map(|i| ((i * i * 7 + 3) % 11) as f64 - 4.0)
                .collect();
            let g = [0.75, -1.5, 2.25];
            let (u, v) = (weights(m).run(&g), input(m).run(&d));
            let products: Vec<f64> = u.iter().zip(&v).map(|(u, v)| u * v).collect();
            let y = output(m).run(&products);
            assert_eq!(y.len(), m);
            for (i, y) in y.iter().enumerate() {
                let want: f64 = (0..3).map(|k| g[k] * d[i + k]).sum();
                assert!(
                    (y - want).abs() < 1e-10,
                    "F({m}, 3), output {i}: {y}, not {want}"
                );
            }
        }
    }

    #[test]
    fn operations_are_few() {
        let count = |m| [input(m), weights(m), output(m)].map(|t| t.ops.len());
        assert_eq!(count(2), [4, 5, 4]);
        assert_eq!(count(4), [12, 8, 12]);
        assert_eq!(count(6), [24, 13, 24]);
    }
}
