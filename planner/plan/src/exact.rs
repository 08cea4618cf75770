//! float32 parameters in `plan.toml`: read back with the bits they had.
//!
//! TOML has double precision only. A parameter is written as the shortest decimal that stands for it, `0.1`
//! rather than `0.10000000149011612`. A reader takes that decimal for a double first and rounds twice, which
//! is not always the same as once; where it would not be, all digits of the double are written.

use serde::{Deserialize, Deserializer, Serializer};

/// The double that `v` is written as: rounding it gives `v` again.
#[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
fn double(v: f32) -> f64 {
    let shortest = v.to_string().parse::<f64>().unwrap_or_else(|_| v.into());
    if (shortest as f32).to_bits() == v.to_bits() {
        shortest
    } else {
        v.into()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the inverse of `double`")]
const fn single(v: f64) -> f32 {
    v as f32
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) fn serialize<S: Serializer>(v: &f32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(double(*v))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    f64::deserialize(from).map(single)
}

/// Lists of such parameters.
#[cfg(feature = "schema")]
pub(crate) mod list {
    use serde::Serialize;

    use super::{Deserialize, Deserializer, Serializer, double, single};

    pub(crate) fn serialize<S: Serializer>(list: &[f32], to: S) -> Result<S::Ok, S::Error> {
        let doubles: Vec<f64> = list.iter().map(|v| double(*v)).collect();
        doubles.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let doubles = Vec::<f64>::deserialize(from)?;
        Ok(doubles.into_iter().map(single).collect())
    }
}

/// Pairs of such parameters.
#[cfg(feature = "schema")]
pub(crate) mod pairs {
    use serde::Serialize;

    use super::{Deserialize, Deserializer, Serializer, double, single};

    pub(crate) fn serialize<S: Serializer>(pairs: &[(f32, f32)], to: S) -> Result<S::Ok, S::Error> {
        let doubles: Vec<[f64; 2]> = pairs
            .iter()
            .map(|(a, b)| [double(*a), double(*b)])
            .collect();
        doubles.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(f32, f32)>, D::Error> {
        let doubles = Vec::<[f64; 2]>::deserialize(from)?;
        Ok(doubles
            .into_iter()
            .map(|[a, b]| (single(a), single(b)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{double, single};

    #[test]
    fn every_bit_comes_back() {
        let spread = (0..=u32::MAX).step_by(4093).map(f32::from_bits);
        let edges = [
            0.0,
            -0.0,
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::MIN,
            1e-45,
            0.1,
            16_777_216.0,
        ];
        for v in spread.chain(edges).filter(|v| v.is_finite()) {
            let text = format!("{:?}", double(v));
            let back: f64 = text.parse().expect("a number");
            assert_eq!(single(back).to_bits(), v.to_bits(), "{v:?} as {text}");
        }
    }
}
