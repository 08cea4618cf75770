//! Why a file is no picture that a network can be given.

use std::path::PathBuf;

use super::{budget::SIDE_MAX, jpeg::Damage};

/// Why a file is no picture. Messages hold their cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// It cannot be opened or read.
    #[error("cannot read {path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        cause: std::io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{path} is {what}; give a file")]
    NotAFile {
        /// What was given.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file holds nothing.
    #[error("{path} is empty: no picture")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is of no kind that is read.
    #[error("{path} is no picture that can be decoded (PNG, JPEG, BMP or PNM), by its contents")]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be decoded.
    #[error("{path} is no picture that can be decoded (PNG, JPEG, BMP or PNM): {cause}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        cause: image::ImageError,
    },
    /// A part of it is missing or makes no sense.
    #[error("{path} is a damaged JPEG: {cause}; fetch it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: Damage,
    },
    /// It is shorter than a picture of that size can be.
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
        /// Bytes in the file.
        file_bytes: u64,
    },
    /// It has too many pixels for anything.
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
    /// It would take more memory than there is for it.
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
        /// Bytes that decoding takes.
        needed_bytes: u64,
        /// Bytes that it may take.
        budget_bytes: u64,
    },
    /// The file alone would take more.
    #[error(
        "{path} is too large for the memory that is free: {} MiB, {} MiB may be taken now",
        file_bytes.div_ceil(1 << 20), budget_bytes >> 20
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Bytes in the file.
        file_bytes: u64,
        /// Bytes that decoding may take.
        budget_bytes: u64,
    },
    /// The system does not give as much memory.
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
        /// Bytes that decoding takes.
        needed_bytes: u64,
    },
    /// A picture without pixels.
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
