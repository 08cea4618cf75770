//! Scalar functions of emitted layers. Emitted crates get a copy of what they use as `math.rs`; the
//! same text is compiled and tested here.
//!
//! Own polynomials instead of libm: the bits do not depend on the system's C library, and loops
//! over them become vector code. Only IEEE operations in a fixed order, no fused ones.

/// `a` if it is greater, else `b`: Darknet's maximum. Keeps `b` of equals and passes over NaN in `a`.
#[inline]
pub fn max(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// `e^x`, within 2 ulp; 0 below -104, infinity above 88.73, NaN stays NaN.
#[inline]
pub fn exp(x: f32) -> f32 {
    exp_from(x, -110.0)
}

/// `1 + e^x`. Below -87 that is 1, and subnormal powers, which cost processors a hundred cycles and more,
/// do not come up.
#[inline]
pub fn one_plus_exp(x: f32) -> f32 {
    1.0 + exp_from(x, -87.0)
}

/// `e^x`, of `least` where `x` is less.
///
/// `x = n ln 2 + r`, `|r| <= ln 2 / 2`; a Taylor polynomial of degree 7 for `e^r`; `2^n` in two
/// factors, so that results near the ends of the range are right too.
#[inline]
pub fn exp_from(x: f32, least: f32) -> f32 {
    // 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // Clamped by comparisons that let NaN through.
    let x = if x < least { least } else { x };
    let x = if x > 90.0 { 90.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts; n times the first is exact.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * (r * r) + r + 1.0;
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    let two_to = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    p * two_to(half) * two_to(n.wrapping_sub(half))
}

/// Natural logarithm of a positive, normal number, within 2 ulp.
///
/// `x = 2^n m` with `m` in `[sqrt(1/2), sqrt(2))`; `ln m = 2 artanh(s)`, `s = (m - 1) / (m + 1)`.
#[inline]
pub fn ln(x: f32) -> f32 {
    // Bits of sqrt(1/2): subtracting them makes the exponent change where m does.
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(SQRT_HALF);
    let n = (bits as i32 >> 23) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF));
    let f = m - 1.0;
    let s = f / (m + 1.0);
    let z = s * s;
    let p = 2.0 / 9.0;
    let p = p * z + 2.0 / 7.0;
    let p = p * z + 2.0 / 5.0;
    let p = p * z + 2.0 / 3.0;
    let p = p * z;
    // ln m = f - (f^2/2 - s (f^2/2 + p)): keeps the leading term exact near 1.
    let h = 0.5 * f * f;
    let low = n * -2.121_944_4e-4;
    n * 0.693_359_4 + (f - (h - (s * (h + p) + low)))
}

/// `x^e` for positive, normal `x` and moderate `e`.
#[inline]
pub fn pow(x: f32, e: f32) -> f32 {
    exp(e * ln(x))
}

/// `1 / (1 + e^-x)`; 0, not NaN, far below zero.
#[inline]
pub fn logistic(x: f32) -> f32 {
    1.0 / one_plus_exp(-x)
}

/// `2 / (1 + e^-x) - 1`.
#[inline]
pub fn loggy(x: f32) -> f32 {
    2.0 / one_plus_exp(-x) - 1.0
}

/// `x` above zero, else 0.
#[inline]
pub fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// `x` between 0 and 6, else the nearer end.
#[inline]
pub fn relu6(x: f32) -> f32 {
    let x = if x > 0.0 { x } else { 0.0 };
    if x < 6.0 { x } else { 6.0 }
}

/// `x` above zero, else `0.1 x`.
#[inline]
pub fn leaky(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.1 * x }
}

/// `x` above zero, else `0.01 x`.
#[inline]
pub fn relie(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.01 * x }
}

/// `1.1 x` above zero, else `0.1 x`.
#[inline]
pub fn ramp(x: f32) -> f32 {
    let above = if x > 0.0 { x } else { 0.0 };
    above + 0.1 * x
}

/// `x` from zero up, else `e^x - 1`.
#[inline]
pub fn elu(x: f32) -> f32 {
    if x >= 0.0 { x } else { exp(x) - 1.0 }
}

/// Scaled elu, with Darknet's constants 1.0507 and 1.6732.
#[inline]
pub fn selu(x: f32) -> f32 {
    if x >= 0.0 {
        1.0507 * x
    } else {
        1.0507 * 1.6732 * (exp(x) - 1.0)
    }
}

/// `0.5 x (1 + tanh(0.797885 x + 0.035677 x^3))`, as `x logistic(2 (...))`, which is the same
/// without cancellation.
#[inline]
pub fn gelu(x: f32) -> f32 {
    let u = 0.797_885 * x + 0.035_677 * (x * x * x);
    x / one_plus_exp(-2.0 * u)
}

/// `2 / (1 + e^-2x) - 1`.
#[inline]
pub fn tanh(x: f32) -> f32 {
    2.0 / one_plus_exp(-2.0 * x) - 1.0
}

/// Piecewise linear sigmoid.
#[inline]
pub fn plse(x: f32) -> f32 {
    if x < -4.0 {
        0.01 * (x + 4.0)
    } else if x > 4.0 {
        0.01 * (x - 4.0) + 1.0
    } else {
        0.125 * x + 0.5
    }
}

/// Darknet's stair: flat over even steps, rising over odd ones.
#[inline]
pub fn stair(x: f32) -> f32 {
    let n = x.floor();
    let half = (x * 0.5).floor();
    if n % 2.0 == 0.0 { half } else { (x - n) + half }
}

/// `x` clamped to -1 and 1.
#[inline]
pub fn hardtan(x: f32) -> f32 {
    x.clamp(-1.0, 1.0)
}

/// `x` between 0 and 1, slope 0.001 outside.
#[inline]
pub fn lhtan(x: f32) -> f32 {
    if x < 0.0 {
        0.001 * x
    } else if x > 1.0 {
        0.001 * (x - 1.0) + 1.0
    } else {
        x
    }
}

/// `x / (1 + e^-x)`.
#[inline]
pub fn swish(x: f32) -> f32 {
    x / one_plus_exp(-x)
}

/// `x tanh(ln(1 + e^x))`, as `x n / (n + 2)` with `n = e^x (e^x + 2)`: the same without logarithm
/// and cancellation; `x` itself above 20.
#[inline]
pub fn mish(x: f32) -> f32 {
    let e = exp(if x > 20.0 { 20.0 } else { x });
    let n = e * (e + 2.0);
    let y = x * n / (n + 2.0);
    if x > 20.0 { x } else { y }
}

/// `x` above zero, `x^2 / 2 + x` down to -2, else 0.
#[inline]
pub fn hard_mish(x: f32) -> f32 {
    if x > 0.0 {
        x
    } else if x > -2.0 {
        x * x / 2.0 + x
    } else {
        0.0
    }
}

/// One pixel's channels above zero, divided by 0.0001 plus their sum.
pub fn normalize_channels(y: &mut [f32]) {
    let mut sum = 0.0001;
    for v in y.iter_mut() {
        *v = relu(*v);
        sum += *v;
    }
    for v in y {
        *v /= sum;
    }
}

/// `e^x` of one pixel's channels, divided by 0.0001 plus their sum.
pub fn normalize_channels_softmax(y: &mut [f32]) {
    let mut sum = 0.0001;
    for v in y.iter_mut() {
        *v = exp(*v);
        sum += *v;
    }
    for v in y {
        *v /= sum;
    }
}

/// The same, with the greatest channel subtracted first.
pub fn normalize_channels_softmax_maxval(y: &mut [f32]) {
    let top = y.iter().fold(f32::MIN, |top, v| max(*v, top));
    for v in y.iter_mut() {
        *v -= top;
    }
    normalize_channels_softmax(y);
}

/// Softmax of `y / temperature` in place (Darknet `blas.c`, `softmax`); 0 below `e^-80` of the greatest, where
/// subnormal numbers begin.
pub fn softmax(y: &mut [f32], temperature: f32) {
    let top = y.iter().fold(f32::MIN, |top, v| max(*v, top));
    // Apart from the sum, whose order keeps the compiler from making vectors.
    for v in y.iter_mut() {
        let x = *v / temperature - top / temperature;
        let e = exp_from(x, -80.0);
        *v = if x < -80.0 { 0.0 } else { e };
    }
    let mut sum = 0.0;
    for v in y.iter() {
        sum += *v;
    }
    for v in y {
        *v /= sum;
    }
}
