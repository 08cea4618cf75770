//! Bytes with a scale per channel, as float32 and back.
//!
//! Byte `b` of channel `c` is read as `(b - zeros[c]) * steps[c]`. A value is written as `value * inverses[c] + zeros[c]`,
//! clamped to 0..=255, to nearest, ties to even; NaN is 0. A byte that is read and written again is the same byte.
//!
//! All of it is plain arithmetic without fused operations, so every board reads and writes the same bits. The loops
//! are over the channels of a pixel, side by side in all four slices, of which the compiler makes vectors.

use tessera_plan::region::Span;

/// Scales of a tensor's channels: constants of an emitted crate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Per channel the difference between the values of neighbouring bytes.
    pub steps: &'static [f32],
    /// `1 / steps`.
    pub inverses: &'static [f32],
    /// Per channel the byte that stands for 0.
    pub zeros: &'static [f32],
}

/// `1.5 * 2^23`: sums with it have no fraction, rounded to nearest, ties to even, and the integer in their lowest bits.
const ROUNDS: f32 = 12_582_912.0;

impl Scales {
    /// The scales of some channels.
    ///
    /// # Panics
    /// If there are fewer channels.
    #[must_use]
    pub fn of(&self, c: Span) -> Self {
        Self {
            steps: &self.steps[c.lo..c.hi],
            inverses: &self.inverses[c.lo..c.hi],
            zeros: &self.zeros[c.lo..c.hi],
        }
    }

    /// Number of channels.
    pub const fn channels(&self) -> usize {
        self.steps.len()
    }

    /// Reads all pixels of `bytes` into as many `values`.
    ///
    /// # Panics
    /// If `values` are more or fewer.
    pub fn load(&self, bytes: &[u8], values: &mut [f32]) {
        assert_eq!(bytes.len(), values.len(), "as many values as bytes");
        let c = self.channels().max(1);
        let (steps, zeros) = (&self.steps[..c], &self.zeros[..c]);
        for (bytes, values) in bytes.chunks_exact(c).zip(values.chunks_exact_mut(c)) {
            for i in 0..c {
                values[i] = (f32::from(bytes[i]) - zeros[i]) * steps[i];
            }
        }
    }

    /// Writes all pixels of `values` to as many `bytes`.
    ///
    /// # Panics
    /// If `bytes` are more or fewer.
    pub fn store(&self, values: &[f32], bytes: &mut [u8]) {
        assert_eq!(bytes.len(), values.len(), "as many bytes as values");
        let c = self.channels().max(1);
        let (inverses, zeros) = (&self.inverses[..c], &self.zeros[..c]);
        for (values, bytes) in values.chunks_exact(c).zip(bytes.chunks_exact_mut(c)) {
            for i in 0..c {
                let exact = values[i] * inverses[i] + zeros[i];
                // Comparisons with NaN are false.
                let above = if exact > 0.0 { exact } else { 0.0 };
                let inside = if above < 255.0 { above } else { 255.0 };
                bytes[i] = (inside + ROUNDS).to_bits() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static STEPS: [f32; 5] = [1.0, 0.003_2, 1e-30, 7.7e29, 1.0 / 3.0];
    static INVERSES: [f32; 5] = [1.0, 1.0 / 0.003_2, 1e30, 1.0 / 7.7e29, 1.0 / (1.0 / 3.0)];
    static ZEROS: [f32; 5] = [0.0, 13.0, 255.0, 128.0, 1.0];

    const ALL: Scales = Scales {
        steps: &STEPS,
        inverses: &INVERSES,
        zeros: &ZEROS,
    };

    #[test]
    fn every_byte_comes_back_and_zero_is_a_value() {
        let bytes: Vec<u8> = (0..=255u8).flat_map(|b| [b; 5]).collect();
        let mut values = vec![f32::NAN; bytes.len()];
        ALL.load(&bytes, &mut values);
        for (c, zero) in ZEROS.iter().enumerate() {
            assert_eq!(values[5 * *zero as usize + c], 0.0);
            let of_channel = values.iter().skip(c).step_by(5);
            assert!(
                of_channel
                    .clone()
                    .zip(of_channel.skip(1))
                    .all(|(a, b)| a < b)
            );
        }
        let mut back = vec![77; bytes.len()];
        ALL.store(&values, &mut back);
        assert_eq!(back, bytes);
    }

    #[test]
    fn values_are_clamped_and_rounded_to_even() {
        let one = Scales {
            steps: &[0.5],
            inverses: &[2.0],
            zeros: &[10.0],
        };
        let cases = [
            (0.25, 10),
            (0.75, 12),
            (0.74, 11),
            (-0.25, 10),
            (-0.75, 8),
            (-5.0, 0),
            (-1e30, 0),
            (f32::NEG_INFINITY, 0),
            (122.5, 255),
            (1e30, 255),
            (f32::INFINITY, 255),
            (f32::NAN, 0),
        ];
        for (value, byte) in cases {
            let mut bytes = [77];
            one.store(&[value], &mut bytes);
            assert_eq!(bytes, [byte], "{value}");
        }
    }

    #[test]
    fn channels_have_scales_of_their_own() {
        let some = ALL.of(Span::new(3, 5));
        let mut values = [0.0; 4];
        some.load(&[129, 4, 127, 0], &mut values);
        assert_eq!(values, [7.7e29, 3.0 * STEPS[4], -7.7e29, -STEPS[4]]);
        let mut bytes = [0; 4];
        some.store(&values, &mut bytes);
        assert_eq!(bytes, [129, 4, 127, 0]);
    }
}
