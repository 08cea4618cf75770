//! Decoding picture files: what they are is decided by their contents, whether they are whole and
//! fit into memory before anything is decoded.

use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Read, Seek},
    path::Path,
};

use image::{
    ColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits,
    error::{UnsupportedError, UnsupportedErrorKind},
    metadata::Orientation,
};

use super::{
    budget::{self, SIDE_MAX},
    error::PictureError,
    file::{io, open},
    jpeg::Jpeg,
    orientation,
    pixels::{Picture, Samples},
    pnm,
};

/// Bytes that tell a file's kind.
const HEAD_BYTES: u64 = 64;

/// Options for reading a picture.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether to turn the picture as its EXIF orientation says.
    pub upright: bool,
    /// Most bytes that decoding one picture may take; `None` for a share of the free memory.
    pub budget_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            upright: true,
            budget_bytes: None,
        }
    }
}

/// Decodes a picture, upright; grey, alpha and 16-bit ones are read as 8-bit RGB.
///
/// As in Darknet's decoder (`stb_image.h`) alpha is left out, not blended, and the high byte of a
/// 16-bit value counts. JPEG decoders round differently: expect differences of a few levels there.
///
/// # Errors
/// When the file is unreadable, no picture, damaged, without pixels, or too large.
pub fn load(path: &Path) -> Result<Picture, PictureError> {
    load_with(path, Options::default())
}

/// Decodes a picture as [`load`] does, with options.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, options: Options) -> Result<Picture, PictureError> {
    of_file(path)?.open(options)?.decode()
}

/// Decodes a picture file that is in memory. `name` stands for the path in errors.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(name: &str, bytes: &[u8], options: Options) -> Result<Picture, PictureError> {
    of_bytes(name, bytes).open(options)?.decode()
}

/// Performs all checks that [`load_with`] performs before it decodes the picture.
///
/// # Errors
/// As [`load`].
pub fn check(path: &Path, options: Options) -> Result<(), PictureError> {
    of_file(path)?.open(options)?.examine().map(|_| ())
}

/// Performs all checks that [`load_bytes`] performs before it decodes the picture.
///
/// # Errors
/// As [`load`].
pub fn check_bytes(name: &str, bytes: &[u8], options: Options) -> Result<(), PictureError> {
    of_bytes(name, bytes).open(options)?.examine().map(|_| ())
}

/// Where a picture file is read from.
struct Place<'a, R> {
    path: &'a Path,
    file: R,
    file_bytes: u64,
    /// Reads it once more from the beginning, beside a decoder that has the file.
    again: Box<dyn Fn() -> Result<Box<dyn BufRead + 'a>, PictureError> + 'a>,
}

fn of_file(path: &Path) -> Result<Place<'_, BufReader<File>>, PictureError> {
    let (file, file_bytes) = open(path)?;
    Ok(Place {
        path,
        file: BufReader::new(file),
        file_bytes,
        again: Box::new(move || Ok(Box::new(BufReader::new(open(path)?.0)))),
    })
}

fn of_bytes<'a>(name: &'a str, bytes: &'a [u8]) -> Place<'a, Cursor<&'a [u8]>> {
    Place {
        path: Path::new(name),
        file: Cursor::new(bytes),
        file_bytes: bytes.len() as u64,
        again: Box::new(move || Ok(Box::new(bytes))),
    }
}

/// A file that may be a picture.
struct Opened<'a, R> {
    place: Place<'a, R>,
    format: ImageFormat,
    /// Whether its samples are numbers in text.
    is_plain: bool,
    upright: bool,
    budget_bytes: u64,
}

/// A picture that is whole and fits into memory.
struct Examined<D> {
    decoder: D,
    width: u32,
    height: u32,
    samples: Samples,
    orientation: Orientation,
    needed_bytes: u64,
}

impl<'a, R: BufRead + Seek + 'a> Place<'a, R> {
    fn open(mut self, options: Options) -> Result<Opened<'a, R>, PictureError> {
        let path = self.path;
        if self.file_bytes == 0 {
            return Err(PictureError::Empty { path: path.into() });
        }
        let mut head = Vec::new();
        self.file
            .by_ref()
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(io(path))?;
        let format = match image::guess_format(&head) {
            Ok(
                f @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp | ImageFormat::Pnm),
            ) => f,
            _ => return Err(PictureError::Unknown { path: path.into() }),
        };
        Ok(Opened {
            place: self,
            format,
            is_plain: pnm::is_plain(&head),
            upright: options.upright,
            budget_bytes: options
                .budget_bytes
                .unwrap_or_else(budget::decode_bytes_now),
        })
    }
}

impl<'a, R: BufRead + Seek + 'a> Opened<'a, R> {
    /// Finds size, layout and orientation, and whether the file is whole and fits into memory.
    fn examine(mut self) -> Result<Examined<impl ImageDecoder + use<'a, R>>, PictureError> {
        let (mut extra_bytes, mut orientation) = (0, Orientation::NoTransforms);
        match self.format {
            ImageFormat::Jpeg => (extra_bytes, orientation) = self.examine_jpeg()?,
            ImageFormat::Png => {
                self.rewind()?;
                orientation = orientation::of_png(&mut self.place.file);
            }
            _ => {}
        }
        if !self.upright {
            orientation = Orientation::NoTransforms;
        }
        self.rewind()?;
        let (format, is_plain, budget_bytes) = (self.format, self.is_plain, self.budget_bytes);
        let Place {
            path,
            file,
            file_bytes,
            again,
        } = self.place;
        let mut reader = ImageReader::with_format(file, format);
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(budget_bytes);
        reader.limits(limits);
        let decoder = reader.into_decoder().map_err(decode(path))?;
        let (width, height) = decoder.dimensions();
        let needed_bytes = match format {
            // Read as a whole before they are unpacked.
            ImageFormat::Pnm => 2 * decoder.total_bytes(),
            _ => decoder.total_bytes().saturating_add(extra_bytes),
        };
        fits(path, (width, height), needed_bytes, budget_bytes)?;
        let pixels = u64::from(width) * u64::from(height);
        let short = pixels.div_ceil(pixels_per_byte_max(format)) > file_bytes;
        let channels = u64::from(decoder.color_type().channel_count());
        if short || is_plain && !has_samples(path, again()?, pixels * channels)? {
            return Err(PictureError::Short {
                path: path.into(),
                width,
                height,
                file_bytes,
            });
        }
        let samples = samples(path, format, decoder.color_type())?;
        Ok(Examined {
            decoder,
            width,
            height,
            samples,
            orientation,
            needed_bytes,
        })
    }

    /// Follows a JPEG file's data. Gives the bytes that decoding takes besides its pixels, and its
    /// orientation.
    fn examine_jpeg(&mut self) -> Result<(u64, Orientation), PictureError> {
        let (path, file_bytes) = (self.place.path, self.place.file_bytes);
        // Not even the file would fit.
        if file_bytes > self.budget_bytes {
            let budget_bytes = self.budget_bytes;
            return Err(PictureError::File {
                path: path.into(),
                file_bytes,
                budget_bytes,
            });
        }
        self.rewind()?;
        let mut data = Vec::new();
        let read = self
            .place
            .file
            .by_ref()
            .take(file_bytes)
            .read_to_end(&mut data);
        read.map_err(io(path))?;
        let damaged = |cause| PictureError::Damaged {
            path: path.into(),
            cause,
        };
        let jpeg = Jpeg::parse(&data).map_err(damaged)?;
        let extra_bytes = file_bytes.saturating_add(jpeg.coefficient_bytes());
        if let Some((size, channels)) = jpeg.size() {
            let pixels = u64::from(size.0) * u64::from(size.1);
            fits(
                path,
                size,
                extra_bytes + pixels * channels,
                self.budget_bytes,
            )?;
        }
        let orientation = jpeg.exif().map(|e| orientation::of_exif(e.to_vec()));
        jpeg.check().map_err(damaged)?;
        Ok((
            extra_bytes,
            orientation.unwrap_or(Orientation::NoTransforms),
        ))
    }

    fn rewind(&mut self) -> Result<(), PictureError> {
        self.place.file.rewind().map_err(io(self.place.path))
    }

    fn decode(self) -> Result<Picture, PictureError> {
        let path = self.place.path;
        let examined = self.examine()?;
        let (width, height) = (examined.width, examined.height);
        let refused = |_| PictureError::Refused {
            path: path.into(),
            width,
            height,
            needed_bytes: examined.needed_bytes,
        };
        // Asked for as a whole and given back: decoders end the process where they get nothing.
        let needed = usize::try_from(examined.needed_bytes).unwrap_or(usize::MAX);
        Vec::<u8>::new()
            .try_reserve_exact(needed)
            .map_err(refused)?;
        let total = usize::try_from(examined.decoder.total_bytes()).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(total).map_err(refused)?;
        bytes.resize(total, 0);
        examined
            .decoder
            .read_image(&mut bytes)
            .map_err(decode(path))?;
        Ok(Picture::new(
            bytes,
            examined.samples,
            (width, height),
            examined.orientation,
        ))
    }
}

fn decode(path: &Path) -> impl Fn(ImageError) -> PictureError + '_ {
    |cause| match cause {
        ImageError::IoError(cause) if cause.raw_os_error().is_some() => io(path)(cause),
        cause => PictureError::Decode {
            path: path.into(),
            cause,
        },
    }
}

/// Most pixels that a byte of a file can hold: a picture that claims more is cut off, whatever its
/// decoder would make of it.
const fn pixels_per_byte_max(format: ImageFormat) -> u64 {
    match format {
        // Eight to a byte, which deflate makes 1032 times shorter at most.
        ImageFormat::Png => 8 * 1032,
        ImageFormat::Pnm => 8,
        // The others say themselves what is missing, or may leave it out.
        _ => u64::MAX,
    }
}

fn fits(
    path: &Path,
    (width, height): (u32, u32),
    needed_bytes: u64,
    budget_bytes: u64,
) -> Result<(), PictureError> {
    let path = || path.to_path_buf();
    if width == 0 || height == 0 {
        return Err(PictureError::NoPixels {
            path: path(),
            width,
            height,
        });
    }
    if width.max(height) > SIDE_MAX {
        return Err(PictureError::TooLarge {
            path: path(),
            width,
            height,
        });
    }
    if needed_bytes > budget_bytes {
        return Err(PictureError::Memory {
            path: path(),
            width,
            height,
            needed_bytes,
            budget_bytes,
        });
    }
    Ok(())
}

/// Whether a plain PNM file has so many samples.
fn has_samples(path: &Path, file: impl BufRead, samples: u64) -> Result<bool, PictureError> {
    pnm::is_whole(file, samples).map_err(io(path))
}

fn samples(path: &Path, format: ImageFormat, color: ColorType) -> Result<Samples, PictureError> {
    Samples::of(color).ok_or_else(|| {
        let kind = UnsupportedErrorKind::Color(color.into());
        decode(path)(ImageError::Unsupported(
            UnsupportedError::from_format_and_kind(format.into(), kind),
        ))
    })
}

#[cfg(test)]
mod tests;
