//! How a camera was held: the EXIF field that says how a picture wants to be turned.

use exif::{Exif, In, Reader, Tag};
use image::metadata::Orientation;

/// The orientation that EXIF data (of its TIFF header on) ask for; none where they cannot be read.
pub(super) fn of_exif(data: Vec<u8>) -> Orientation {
    asked(Reader::new().read_raw(data))
}

/// The orientation that a PNG file's `eXIf` chunk asks for.
pub(super) fn of_png(file: &mut (impl std::io::BufRead + std::io::Seek)) -> Orientation {
    asked(Reader::new().read_from_container(file))
}

fn asked(exif: Result<Exif, exif::Error>) -> Orientation {
    let value = || {
        let exif = exif.ok()?;
        let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
        let value = u8::try_from(field.value.get_uint(0)?).ok()?;
        Orientation::from_exif(value)
    };
    value().unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// EXIF data with an orientation, in the order of bytes of either kind of machine.
    pub(crate) fn exif(orientation: u16, big: bool) -> Vec<u8> {
        let short = |v: u16| {
            if big {
                v.to_be_bytes()
            } else {
                v.to_le_bytes()
            }
        };
        let long = |v: u32| {
            if big {
                v.to_be_bytes()
            } else {
                v.to_le_bytes()
            }
        };
        let mut data = if big { b"MM".to_vec() } else { b"II".to_vec() };
        data.extend(short(42));
        data.extend(long(8));
        // One field: Orientation, of type SHORT, of one value.
        data.extend(short(1));
        data.extend([short(0x112), short(3)].concat());
        data.extend(long(1));
        data.extend([short(orientation), short(0)].concat());
        data.extend(long(0));
        data
    }

    #[test]
    fn both_orders_of_bytes_are_read_and_nonsense_turns_nothing() {
        for big in [false, true] {
            for v in 1..=8 {
                assert_eq!(of_exif(exif(v, big)).to_exif(), v as u8);
            }
            for v in [0, 9, 255, 256 + 6, u16::MAX] {
                assert_eq!(of_exif(exif(v, big)), Orientation::NoTransforms, "{v}");
            }
            let whole = exif(6, big);
            for cut in 0..20 {
                assert_eq!(of_exif(whole[..cut].to_vec()), Orientation::NoTransforms);
            }
        }
    }
}
