//! Whether two runs of a task made the same.

use half::f16;
use tessera_plan::element::ElementType;

/// By how much values may differ where boards have different instruction sets: the tolerance of the golden tests, which holds for
/// whole networks and so for one task.
const TOLERANCE: f32 = 5e-4;
/// What rounding to half precision adds, relative to the value: the two nearest values to either side.
const HALF: f32 = 1.0 / 512.0;

/// How two outputs compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Bit for bit the same.
    Equal,
    /// The same within rounding.
    Close,
    /// Not the same.
    Different,
}

/// Compares two outputs, packed values of an element type. Whoever made an output has rounded it once to that type: what is
/// compared is what readers get.
pub fn compare(element: ElementType, a: &[u8], b: &[u8]) -> Likeness {
    if a == b {
        return Likeness::Equal;
    }
    let n = element.bytes();
    let values = || a.chunks_exact(n).zip(b.chunks_exact(n));
    let close = match element {
        // One step: both round the same number, nearly.
        ElementType::U8 => a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1),
        ElementType::F16 => {
            let half = |v: &[u8]| f16::from_le_bytes([v[0], v[1]]).to_f32();
            values().all(|(a, b)| near(half(a), half(b), HALF))
        }
        ElementType::F32 => {
            let single = |v: &[u8]| f32::from_le_bytes([v[0], v[1], v[2], v[3]]);
            values().all(|(a, b)| near(single(a), single(b), 0.0))
        }
    };
    if close && a.len() == b.len() {
        Likeness::Close
    } else {
        Likeness::Different
    }
}

/// True if two values are equal within the tolerance and a relative error.
fn near(a: f32, b: f32, relative: f32) -> bool {
    let size = a.abs().max(b.abs());
    let equal = a == b || a.is_nan() && b.is_nan();
    equal || (a - b).abs() <= TOLERANCE * size.max(1.0) + relative * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_near_or_not() {
        let f32s = |v: [f32; 2]| v.map(f32::to_le_bytes).concat();
        let f16s = |v: [f32; 2]| v.map(|v| f16::from_f32(v).to_le_bytes()).concat();
        let check = |element, a: &[u8], b: &[u8], expected| {
            assert_eq!(compare(element, a, b), expected, "{element:?} {a:?} {b:?}");
        };
        use ElementType::{F16, F32, U8};
        use Likeness::{Close, Different, Equal};
        check(F32, &f32s([1.0, 2.0]), &f32s([1.0, 2.0]), Equal);
        check(F32, &f32s([1.0, 2.0]), &f32s([1.0, 2.0001]), Close);
        check(F32, &f32s([1.0, 2.0]), &f32s([1.0, 2.01]), Different);
        check(F32, &f32s([1.0, 0.0]), &f32s([1.0, -0.0]), Close);
        check(F32, &f32s([f32::NAN, 0.0]), &f32s([1.0, 0.0]), Different);
        check(F16, &f16s([1.0, 700.0]), &f16s([1.0, 700.5]), Close);
        check(F16, &f16s([1.0, 700.0]), &f16s([1.0, 710.0]), Different);
        check(U8, &[0, 255], &[1, 254], Close);
        check(U8, &[0, 255], &[2, 255], Different);
        check(U8, &[0, 255], &[0], Different);
    }
}
