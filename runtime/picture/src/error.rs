//! Reasons why a file cannot become a network's input.

use std::path::PathBuf;

use super::{budget::SIDE_MAX, jpeg::Damage};

/// Why a file cannot become a network's input. The message includes the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The system cannot open or read the file.
    #[error("cannot read {path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The path leads to a folder, a pipe or a device.
    #[error("{path} is {what}; give a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of file found, in words.
        what: &'static str,
    },
    /// The file holds nothing.
    #[error("{path} is empty: no picture")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file's format is not supported.
    #[error("{path} is no picture that can be decoded (PNG, JPEG, BMP or PNM), by its contents")]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The decoder cannot decode the file.
    #[error("{path} is no picture that can be decoded (PNG, JPEG, BMP or PNM): {cause}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        cause: image::ImageError,
    },
    /// A part of the file is missing or invalid.
    #[error("{path} is a damaged JPEG: {cause}; fetch it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The missing or invalid part.
        cause: Damage,
    },
    /// The file is shorter than a picture of its size can be.
    #[error(
        "{path} is cut off: {file_bytes} bytes cannot hold {width} x {height} pixels; fetch it again"
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// Columns of pixels.
        width: u32,
        /// Rows of pixels.
        height: u32,
        /// Length of the file in bytes.
        file_bytes: u64,
    },
    /// A side of the picture exceeds the largest side that is decoded.
    #[error(
        "{path} is too large: {width} x {height} pixels, at most {SIDE_MAX} a side are read; scale it down first"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Columns of pixels.
        width: u32,
        /// Rows of pixels.
        height: u32,
    },
    /// Decoding would take more memory than the budget allows.
    #[error(
        "{path} is too large for the memory that is free: {width} x {height} pixels take {} MiB to decode, {} MiB may be taken now; scale it down first",
        needed_bytes.div_ceil(1 << 20), budget_bytes >> 20
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// Columns of pixels.
        width: u32,
        /// Rows of pixels.
        height: u32,
        /// Bytes that decoding needs.
        needed_bytes: u64,
        /// Bytes that decoding may take.
        budget_bytes: u64,
    },
    /// The file alone is longer than the budget.
    #[error(
        "{path} is too large for the memory that is free: {} MiB, {} MiB may be taken now",
        file_bytes.div_ceil(1 << 20), budget_bytes >> 20
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Length of the file in bytes.
        file_bytes: u64,
        /// Bytes that decoding may take.
        budget_bytes: u64,
    },
    /// The system refused to allocate the memory for decoding.
    #[error(
        "{path} is too large: the system does not give the {} MiB that {width} x {height} pixels take to decode; scale it down first",
        needed_bytes.div_ceil(1 << 20)
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// Columns of pixels.
        width: u32,
        /// Rows of pixels.
        height: u32,
        /// Bytes that decoding needs.
        needed_bytes: u64,
    },
    /// The picture has no pixels.
    #[error("{path} is a picture of {width} x {height}: there are no pixels")]
    NoPixels {
        /// The file.
        path: PathBuf,
        /// Columns of pixels.
        width: u32,
        /// Rows of pixels.
        height: u32,
    },
    /// The network's input does not have 1 or 3 channels.
    #[error(
        "the network takes {channels} channels, pictures have 1 or 3; give it tensors (--input-f32)"
    )]
    Channels {
        /// Channels of the network's input.
        channels: usize,
    },
}
