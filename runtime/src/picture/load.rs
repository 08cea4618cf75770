//! Decoding picture files, with limits.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader, Limits};

/// Longest side that is decoded.
const SIDE_MAX: u32 = 16_384;
/// Most memory that decoding may take.
const DECODE_BYTES_MAX: u64 = 512 << 20;

/// An 8-bit RGB picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels, rows of R, G, B.
    pub rgb: Vec<u8>,
    /// Columns.
    pub width: u32,
    /// Rows.
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
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be decoded.
    #[error("{path} is no picture that can be decoded (PNG, JPEG, BMP or PNM): {source}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
}

/// Decodes a picture; grey, alpha and 16-bit ones are converted to 8-bit RGB.
///
/// # Errors
/// When the file cannot be read, is no picture, or is too large.
pub fn load(path: &Path) -> Result<Picture, PictureError> {
    let io = |source| PictureError::Io {
        path: path.into(),
        source,
    };
    let decode = |source| PictureError::Decode {
        path: path.into(),
        source,
    };
    let mut reader = ImageReader::open(path)
        .map_err(io)?
        .with_guessed_format()
        .map_err(io)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODE_BYTES_MAX);
    reader.limits(limits);
    let rgb = match reader.decode().map_err(decode)? {
        DynamicImage::ImageRgb8(rgb) => rgb,
        other => other.into_rgb8(),
    };
    let (width, height) = rgb.dimensions();
    Ok(Picture {
        rgb: rgb.into_raw(),
        width,
        height,
    })
}
