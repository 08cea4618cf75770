//! A tensor as a picture: whatever its layout and type, a PPM file of its pixels, which the edge reads like any posted file.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

/// Longest side, in pixels.
const SIDE_MAX: u64 = 8192;
/// A float32 tensor with a value above it has values up to 255, not up to 1. Rounding may put a value just above 1.
const UNIT_MAX: f32 = 1.5;

/// Why a tensor is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The shape.
    #[error("its shape is not that of one picture with three colours")]
    Shape,
    /// The type.
    #[error("its dtype is neither uint8 nor float32")]
    Type,
    /// The bytes.
    #[error("it has {found} bytes; its shape needs {needed}")]
    Bytes {
        /// By the shape.
        needed: usize,
        /// That came.
        found: usize,
    },
}

/// Where a pixel's colours lie, in values.
struct Layout {
    h: usize,
    w: usize,
    /// Between rows, pixels and colours.
    step: [usize; 3],
}

impl Layout {
    /// One picture in one of the four orders that Frigate knows, where more than one fits in this order: rows, columns,
    /// colours; colours first; rows, columns, picture, colours; rows, columns, colours, picture.
    fn of(shape: &Value) -> Option<Self> {
        let shape = shape.as_array()?;
        let side = |at: usize| {
            let n = shape
                .get(at)?
                .as_u64()
                .filter(|n| (1..=SIDE_MAX).contains(n))?;
            usize::try_from(n).ok()
        };
        let dims = [side(0)?, side(1)?, side(2)?, side(3)?];
        if shape.len() != 4 {
            return None;
        }
        match dims {
            [1, h, w, 3] => Some(Self {
                h,
                w,
                step: [w * 3, 3, 1],
            }),
            [1, 3, h, w] => Some(Self {
                h,
                w,
                step: [w, 1, h * w],
            }),
            [h, w, 1, 3] | [h, w, 3, 1] => Some(Self {
                h,
                w,
                step: [w * 3, 3, 1],
            }),
            _ => None,
        }
    }

    const fn is_plain(&self) -> bool {
        self.step[2] == 1
    }
}

/// The picture that a request shows, and its height and width.
///
/// # Errors
/// When it shows none.
pub fn picture(
    header: &Map<String, Value>,
    data: &[u8],
) -> Result<(Bytes, [usize; 2]), TensorError> {
    let layout = header
        .get("shape")
        .and_then(Layout::of)
        .ok_or(TensorError::Shape)?;
    let value_bytes = match header.get("dtype").and_then(Value::as_str) {
        Some("uint8") => 1,
        Some("float32") => 4,
        _ => return Err(TensorError::Type),
    };
    let values = layout.h * layout.w * 3;
    let needed = values * value_bytes;
    if data.len() != needed {
        return Err(TensorError::Bytes {
            needed,
            found: data.len(),
        });
    }
    let head = format!("P6\n{} {}\n255\n", layout.w, layout.h);
    let mut out = BytesMut::with_capacity(head.len() + values);
    out.put_slice(head.as_bytes());
    if value_bytes == 1 {
        if layout.is_plain() {
            out.put_slice(data);
        } else {
            put(&mut out, &layout, |at| data[at]);
        }
    } else {
        let value = |at: usize| {
            let bytes = data[4 * at..].first_chunk().copied();
            f32::from_le_bytes(bytes.unwrap_or_default())
        };
        // The header does not tell 0..1 from 0..255.
        let most = (0..values).map(value).fold(0.0, f32::max);
        let scale = if most > UNIT_MAX { 1.0 } else { 255.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded and clamped; what is no number becomes 0"
        )]
        let byte = |at| (value(at) * scale).round().clamp(0.0, 255.0) as u8;
        put(&mut out, &layout, byte);
    }
    Ok((out.freeze(), [layout.h, layout.w]))
}

fn put(out: &mut BytesMut, layout: &Layout, byte: impl Fn(usize) -> u8) {
    let [row, pixel, colour] = layout.step;
    for y in 0..layout.h {
        for x in 0..layout.w {
            let at = y * row + x * pixel;
            out.put_slice(&[byte(at), byte(at + colour), byte(at + 2 * colour)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(shape: Value, kind: &str, data: &[u8]) -> Result<Bytes, TensorError> {
        let header = json!({ "shape": shape, "dtype": kind });
        picture(header.as_object().unwrap(), data).map(|(p, _)| p)
    }

    #[test]
    fn every_layout_and_type_gives_the_same_picture() {
        let (h, w) = (2, 4);
        let rgb: Vec<u8> = (0..24).map(|n| n * 10).collect();
        let planes: Vec<u8> = (0..3)
            .flat_map(|c| rgb.iter().skip(c).step_by(3).copied())
            .collect();
        let floats = |bytes: &[u8], scale: f32| -> Vec<u8> {
            (bytes.iter())
                .flat_map(|b| (f32::from(*b) / scale).to_le_bytes())
                .collect()
        };
        let wanted = [&b"P6\n4 2\n255\n"[..], &rgb].concat();
        for (shape, data) in [
            (json!([1, h, w, 3]), &rgb),
            (json!([1, 3, h, w]), &planes),
            (json!([h, w, 1, 3]), &rgb),
            (json!([h, w, 3, 1]), &rgb),
        ] {
            assert_eq!(of(shape.clone(), "uint8", data).unwrap(), wanted);
            assert_eq!(
                of(shape.clone(), "float32", &floats(data, 255.0)).unwrap(),
                wanted
            );
            assert_eq!(of(shape, "float32", &floats(data, 1.0)).unwrap(), wanted);
        }
    }

    #[test]
    fn what_is_no_number_does_no_harm() {
        let data: Vec<u8> = [f32::NAN, f32::INFINITY, -1.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(
            of(json!([1, 1, 1, 3]), "float32", &data).unwrap(),
            &b"P6\n1 1\n255\n\0\xff\0"[..]
        );
    }

    #[test]
    fn what_is_no_picture_is_told() {
        let shapes = [
            json!([1, 2, 2, 4]),
            json!([2, 2, 2, 3]),
            json!([1, 0, 2, 3]),
            json!([1, 2, 2, 3, 1]),
            json!([1, 2, 3]),
            json!([1, -2, 2, 3]),
            json!([1, 1e300, 2, 3]),
            json!([1, u64::MAX, u64::MAX, 3]),
            json!("1,2,2,3"),
            Value::Null,
        ];
        for shape in shapes {
            assert_eq!(
                of(shape.clone(), "uint8", &[0; 12]),
                Err(TensorError::Shape),
                "{shape}"
            );
        }
        assert_eq!(
            of(json!([1, 1, 1, 3]), "int8", b"abc"),
            Err(TensorError::Type)
        );
        let wrong = TensorError::Bytes {
            needed: 12,
            found: 3,
        };
        assert_eq!(of(json!([1, 1, 1, 3]), "float32", b"abc"), Err(wrong));
    }
}
