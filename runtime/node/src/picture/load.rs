//! Decoding picture files, with limits.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageReader, Limits, Rgb, RgbImage};

/// Longest side that is decoded.
const SIDE_MAX: u32 = 16_384;
/// Most memory that decoding may take.
const DECODE_BYTES_MAX: u64 = 512 << 20;

/// An 8-bit RGB picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels, rows of R, G, B.
    pub rgb: Vec<u8>,
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
}

/// Why a file is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// It cannot be opened.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The file holds nothing.
    #[error("{path} is empty: no picture")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be decoded.
    #[error("{path} is no picture that can be decoded (PNG, JPEG, BMP or PNM): {source}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        source: image::ImageError,
    },
    /// It would take too much memory.
    #[error(
        "{path} is too large: at most {SIDE_MAX} pixels a side and {} MiB decoded; scale it down first",
        DECODE_BYTES_MAX >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A decoded picture without pixels.
    #[error("{path} is a picture of {width} x {height}: there are no pixels")]
    NoPixels {
        /// The file.
        path: PathBuf,
        /// Columns of pixels.
        width: u32,
        /// Rows of pixels.
        height: u32,
    },
    /// The network's input is no picture.
    #[error(
        "the network takes {channels} channels, pictures have 1 or 3; give it tensors (--input-f32)"
    )]
    Channels {
        /// Channels of the network's input.
        channels: usize,
    },
}

/// Decodes a picture; grey, alpha and 16-bit ones are converted to 8-bit RGB.
///
/// As in Darknet's decoder (`stb_image.h`) alpha is left out, not blended, and the high byte of a
/// 16-bit value counts. JPEG decoders round differently: expect differences of a few levels there.
///
/// # Errors
/// When the file cannot be read, is no picture, has no pixels, or is too large.
pub fn load(path: &Path) -> Result<Picture, PictureError> {
    let io = |source| PictureError::Io {
        path: path.into(),
        source,
    };
    let decode = |source| match source {
        image::ImageError::Limits(_) => PictureError::TooLarge { path: path.into() },
        source => PictureError::Decode {
            path: path.into(),
            source,
        },
    };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(PictureError::Empty { path: path.into() });
    }
    let mut reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(io)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODE_BYTES_MAX);
    reader.limits(limits);
    let rgb = rgb8(reader.decode().map_err(decode)?);
    let (width, height) = rgb.dimensions();
    if width == 0 || height == 0 {
        return Err(PictureError::NoPixels {
            path: path.into(),
            width,
            height,
        });
    }
    Ok(Picture {
        rgb: rgb.into_raw(),
        width,
        height,
    })
}

fn rgb8(picture: DynamicImage) -> RgbImage {
    let high = |v: u16| (v >> 8) as u8;
    let (w, h) = (picture.width(), picture.height());
    match picture {
        DynamicImage::ImageRgb8(p) => p,
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_) => {
            let wide = picture.into_rgb16();
            RgbImage::from_fn(w, h, |x, y| Rgb(wide.get_pixel(x, y).0.map(high)))
        }
        other => other.into_rgb8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageBuffer, Luma, Rgba, RgbaImage};

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn every_kind_becomes_8_bit_rgb() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        GrayImage::from_pixel(3, 2, Luma([77]))
            .save(at("grey.png"))
            .unwrap();
        RgbaImage::from_pixel(3, 2, Rgba([10, 20, 30, 5]))
            .save(at("alpha.png"))
            .unwrap();
        ImageBuffer::<Rgb<u16>, _>::from_pixel(3, 2, Rgb([0x12ff_u16, 0x3400, 0xffff]))
            .save(at("wide.png"))
            .unwrap();
        RgbImage::from_pixel(3, 2, Rgb([1, 2, 3]))
            .save(at("plain.bmp"))
            .unwrap();
        std::fs::write(
            at("plain.ppm"),
            b"P6 3 2 255\n\x04\x05\x06\x04\x05\x06\x04\x05\x06\x04\x05\x06\x04\x05\x06\x04\x05\x06",
        )
        .unwrap();
        for (name, pixel) in [
            ("grey.png", [77, 77, 77]),
            ("alpha.png", [10, 20, 30]),
            ("wide.png", [0x12, 0x34, 0xff]),
            ("plain.bmp", [1, 2, 3]),
            ("plain.ppm", [4, 5, 6]),
        ] {
            let p = load(&at(name)).unwrap();
            assert_eq!((p.width, p.height), (3, 2), "{name}");
            assert_eq!(p.rgb, pixel.repeat(6), "{name}");
        }
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let (_d, path) = written("a.png", b"");
        assert!(matches!(load(&path), Err(PictureError::Empty { .. })));
        let (_d, path) = written("a.png", b"GIF89a or something");
        let e = load(&path).unwrap_err();
        assert!(matches!(e, PictureError::Decode { .. }));
        assert!(e.to_string().contains("a.png"), "{e}");
        let (_d, path) = written("a.ppm", b"P6 3 2 255\n\x01\x02");
        assert!(matches!(load(&path), Err(PictureError::Decode { .. })));
        let missing = path.with_file_name("b.png");
        assert!(matches!(load(&missing), Err(PictureError::Io { .. })));
        let folder = path.parent().unwrap();
        assert!(load(folder).is_err());
    }

    #[test]
    fn huge_and_empty_pictures_are_refused_before_memory_is_taken() {
        let (_d, path) = written("huge.ppm", b"P6 60000 60000 255\n");
        assert!(matches!(load(&path), Err(PictureError::TooLarge { .. })));
        let (_d, path) = written("large.ppm", b"P6 16384 16384 255\n");
        assert!(matches!(load(&path), Err(PictureError::TooLarge { .. })));
        let (_d, path) = written("none.ppm", b"P6 0 4 255\n");
        assert!(load(&path).is_err());
    }
}
