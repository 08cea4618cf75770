//! Values of objects as bytes, and as the float32 that tasks compute with.
//!
//! | stored | read as | written as |
//! |---|---|---|
//! | `u8` | `byte / 255` | `value * 255`, clamped to 0..=255, to nearest, ties to even; NaN is 0 |
//! | `f16` | itself | to nearest, ties to even; what is too large is infinite |
//! | `f32` | itself | itself, bit for bit |
//!
//! A byte that is read and written again is the same byte. Bytes of other tensors than frames have scales:
//! [`crate::scales`].

use std::borrow::Cow;

use half::{
    f16,
    slice::{HalfBitsSliceExt, HalfFloatSliceExt},
};
use tessera_plan::element::ElementType;
use zerocopy::{FromBytes, IntoBytes};

/// Reads all elements of `bytes` into as many `values`.
///
/// # Panics
/// If `bytes` holds more or fewer.
pub fn load(element: ElementType, bytes: &[u8], values: &mut [f32]) {
    match element {
        ElementType::U8 => u8_to_f32(bytes, values),
        ElementType::F16 => f16_to_f32(bytes, values),
        ElementType::F32 => f32_to_f32(bytes, values),
    }
}

/// Writes all `values` to `bytes` as elements.
///
/// # Panics
/// If `bytes` has room for more or fewer.
pub fn store(element: ElementType, values: &[f32], bytes: &mut [u8]) {
    assert_eq!(
        bytes.len(),
        values.len() * element.bytes(),
        "room for the values"
    );
    match element {
        ElementType::U8 => {
            for (b, v) in bytes.iter_mut().zip(values) {
                // The conversion clamps, and makes 0 of NaN.
                *b = (v * 255.0).round_ties_even() as u8;
            }
        }
        ElementType::F16 => {
            // Aligned to 2 unless somebody packs objects tighter than slots are.
            if let Ok(halves) = <[u16]>::mut_from_bytes(bytes) {
                let halves: &mut [f16] = halves.reinterpret_cast_mut();
                halves.convert_from_f32_slice(values);
                return;
            }
            for (b, v) in bytes.chunks_exact_mut(2).zip(values) {
                b.copy_from_slice(&f16::from_f32(*v).to_le_bytes());
            }
        }
        ElementType::F32 => store_f32(values, bytes),
    }
}

/// The values of all elements of `bytes`. float32 values are borrowed where they lie.
///
/// # Panics
/// If the bytes are no whole number of elements, or float32 values are not aligned.
pub fn values(element: ElementType, bytes: &[u8]) -> Cow<'_, [f32]> {
    if element == ElementType::F32 {
        return floats(bytes).into();
    }
    let mut values = vec![0.0; bytes.len() / element.bytes()];
    load(element, bytes, &mut values);
    values.into()
}

/// The float32 values in `bytes`, borrowed where they lie.
///
/// # Panics
/// If the bytes are not aligned to 4, or no multiple of 4.
pub fn floats(bytes: &[u8]) -> &[f32] {
    match <[f32]>::ref_from_bytes(bytes) {
        Ok(values) => values,
        Err(_) => panic!("float32 values are aligned to 4 bytes"),
    }
}

/// The float32 values in `bytes`, mutably borrowed where they lie.
///
/// # Panics
/// As [`floats`].
pub fn floats_mut(bytes: &mut [u8]) -> &mut [f32] {
    match <[f32]>::mut_from_bytes(bytes) {
        Ok(values) => values,
        Err(_) => panic!("float32 values are aligned to 4 bytes"),
    }
}

/// As [`store`], of float32 elements.
#[inline]
pub(crate) fn store_f32(values: &[f32], bytes: &mut [u8]) {
    bytes.copy_from_slice(values.as_bytes());
}

pub(crate) fn u8_to_f32(bytes: &[u8], values: &mut [f32]) {
    assert_eq!(bytes.len(), values.len(), "as many values as bytes");
    for (v, b) in values.iter_mut().zip(bytes) {
        *v = f32::from(*b) / 255.0;
    }
}

pub(crate) fn f16_to_f32(bytes: &[u8], values: &mut [f32]) {
    assert_eq!(bytes.len(), 2 * values.len(), "two bytes a value");
    // Aligned to 2 unless somebody packs objects tighter than slots are.
    match <[u16]>::ref_from_bytes(bytes) {
        Ok(halves) => {
            <[f16] as HalfFloatSliceExt>::convert_to_f32_slice(halves.reinterpret_cast(), values);
        }
        Err(_) => {
            for (v, b) in values.iter_mut().zip(bytes.chunks_exact(2)) {
                *v = f16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
    }
}

#[inline]
pub(crate) fn f32_to_f32(bytes: &[u8], values: &mut [f32]) {
    values.as_mut_bytes().copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut values = vec![f32::NAN; 256];
        load(ElementType::U8, &bytes, &mut values);
        assert!(
            values
                .iter()
                .zip(&bytes)
                .all(|(v, b)| *v == f32::from(*b) / 255.0)
        );
        let mut back = vec![77; 256];
        store(ElementType::U8, &values, &mut back);
        assert_eq!(back, bytes);
    }

    #[test]
    fn bytes_are_clamped_and_rounded_to_even() {
        let values = [-1.0, 1.5, 0.5 / 255.0, 1.5 / 255.0, 0.49 / 255.0, f32::NAN];
        let mut bytes = [77; 6];
        store(ElementType::U8, &values, &mut bytes);
        assert_eq!(bytes, [0, 255, 0, 2, 0, 0]);
        store(
            ElementType::U8,
            &[f32::INFINITY, f32::NEG_INFINITY],
            &mut bytes[..2],
        );
        assert_eq!(bytes[..2], [255, 0]);
    }

    #[test]
    fn every_half_comes_back_as_it_was() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut values = vec![0.0; 1 << 16];
        load(ElementType::F16, &bytes, &mut values);
        assert_eq!(values[0x3c01], 1.0 + 1.0 / 1024.0);
        assert_eq!(values[0x0001], 2f32.powi(-24));
        let mut back = vec![0; bytes.len()];
        store(ElementType::F16, &values, &mut back);
        for (i, v) in values.iter().enumerate() {
            let half = [back[2 * i], back[2 * i + 1]];
            assert!(v.is_nan() || half == bytes[2 * i..2 * i + 2], "{i:x}");
        }
        // Anywhere in memory.
        let mut apart = vec![0];
        apart.extend_from_slice(&bytes);
        let mut again = vec![0.0; 1 << 16];
        for from in [0, 1] {
            load(ElementType::F16, &apart[from..][..2 << 16], &mut again);
        }
        assert!(again.iter().zip(&values).all(|(a, b)| a == b || b.is_nan()));
    }

    #[test]
    fn halves_are_rounded_to_even() {
        let ulp = 1.0 / 1024.0;
        for (value, bits) in [
            (1.0 + 0.5 * ulp, 0x3c00u16),
            (1.0 + 1.5 * ulp, 0x3c02),
            (1.0 + 0.51 * ulp, 0x3c01),
            (65_519.0, 0x7bff),
            (65_520.0, 0x7c00),
            (2f32.powi(-25), 0),
        ] {
            let mut bytes = [0; 2];
            store(ElementType::F16, &[value], &mut bytes);
            assert_eq!(bytes, bits.to_le_bytes(), "{value}");
        }
    }

    #[test]
    fn floats_are_borrowed_and_others_converted() {
        let mut memory = crate::arena::AlignedBytes::new(8);
        store(ElementType::F32, &[1.5, -2.5], memory.bytes_mut());
        let borrowed = values(ElementType::F32, memory.bytes());
        assert!(matches!(borrowed, Cow::Borrowed([1.5, -2.5])));
        assert_eq!(*values(ElementType::U8, &[0, 255]), [0.0, 1.0]);
        assert_eq!(*values(ElementType::F16, &[0, 0x3c, 0, 0xc0]), [1.0, -2.0]);
    }
}
