//! A decoded picture, as its decoder left it: turning it upright is a matter of which pixel is
//! read, not of a second copy.

use image::{ColorType, metadata::Orientation};

/// How the samples of a pixel lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Samples {
    /// Bytes from one pixel to the next.
    stride: usize,
    /// Bytes from one of R, G, B to the next; 0 for grey.
    step: usize,
    /// Where a sample's 8 bits lie in it: of 16, the high byte counts.
    high: usize,
}

impl Samples {
    /// The layout that decoders give for `color`; none for floats.
    pub(super) fn of(color: ColorType) -> Option<Self> {
        let (channels, bytes) = match color {
            ColorType::L8 => (1, 1),
            ColorType::La8 => (2, 1),
            ColorType::Rgb8 => (3, 1),
            ColorType::Rgba8 => (4, 1),
            ColorType::L16 => (1, 2),
            ColorType::La16 => (2, 2),
            ColorType::Rgb16 => (3, 2),
            ColorType::Rgba16 => (4, 2),
            _ => return None,
        };
        Some(Self {
            stride: channels * bytes,
            step: if channels < 3 { 0 } else { bytes },
            high: if bytes == 2 && cfg!(target_endian = "little") {
                1
            } else {
                0
            },
        })
    }
}

/// A picture: rows of R, G, B with 8 bits each, or of what becomes that when it is read.
#[derive(Clone, Debug)]
pub struct Picture {
    bytes: Vec<u8>,
    samples: Samples,
    width: u32,
    height: u32,
    /// Pixels from the upper left one to the first of `bytes`, and to the right and lower neighbour.
    first: isize,
    right: isize,
    down: isize,
}

impl Picture {
    /// A picture from rows of R, G, B with 8 bits each.
    ///
    /// # Panics
    /// If there are not `3 * width * height` bytes.
    pub fn from_rgb(rgb: Vec<u8>, width: u32, height: u32) -> Self {
        let samples = Samples {
            stride: 3,
            step: 1,
            high: 0,
        };
        Self::new(rgb, samples, (width, height), Orientation::NoTransforms)
    }

    /// A picture that was stored as `width x height` pixels and is seen as `orientation` says.
    pub(super) fn new(
        bytes: Vec<u8>,
        samples: Samples,
        (width, height): (u32, u32),
        orientation: Orientation,
    ) -> Self {
        let (w, h) = (width as usize, height as usize);
        assert_eq!(bytes.len(), samples.stride * w * h, "all pixels are there");
        // No allocation has more than isize::MAX bytes, nor more pixels.
        let (w, h) = (w.cast_signed(), h.cast_signed());
        let last = w * h - 1;
        let (first, right, down) = match orientation {
            Orientation::NoTransforms => (0, 1, w),
            Orientation::FlipHorizontal => (w - 1, -1, w),
            Orientation::Rotate180 => (last, -1, -w),
            Orientation::FlipVertical => (last - (w - 1), 1, -w),
            Orientation::Rotate90FlipH => (0, w, 1),
            Orientation::Rotate90 => (last - (w - 1), -w, 1),
            Orientation::Rotate270FlipH => (last, -w, -1),
            Orientation::Rotate270 => (w - 1, w, -1),
        };
        let turned = matches!(
            orientation,
            Orientation::Rotate90FlipH
                | Orientation::Rotate90
                | Orientation::Rotate270FlipH
                | Orientation::Rotate270
        );
        let (width, height) = if turned {
            (height, width)
        } else {
            (width, height)
        };
        Self {
            bytes,
            samples,
            width,
            height,
            first,
            right,
            down,
        }
    }

    /// Width in pixels.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The R, G, B values of the pixel in column `x` and row `y`.
    ///
    /// # Panics
    /// If the pixel lies outside the picture.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        assert!(
            x < self.width as usize && y < self.height as usize,
            "the pixel lies inside"
        );
        let (x, y) = (x.cast_signed(), y.cast_signed());
        let at = (self.first + x * self.right + y * self.down).cast_unsigned();
        let Samples { stride, step, high } = self.samples;
        let at = at * stride + high;
        [
            self.bytes[at],
            self.bytes[at + step],
            self.bytes[at + 2 * step],
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, RgbImage};

    #[test]
    fn every_orientation_is_as_if_the_pixels_were_moved() {
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            for (w, h) in [(1, 1), (3, 2), (2, 5), (1, 4), (4, 1)] {
                let rgb: Vec<u8> = (0..3 * w * h).map(|i| i as u8).collect();
                let samples = Samples::of(ColorType::Rgb8).unwrap();
                let p = Picture::new(rgb.clone(), samples, (w, h), orientation);
                let mut moved = DynamicImage::from(RgbImage::from_raw(w, h, rgb).unwrap());
                moved.apply_orientation(orientation);
                let moved = moved.into_rgb8();
                assert_eq!((p.width(), p.height()), moved.dimensions(), "{exif}");
                for (x, y, want) in moved.enumerate_pixels() {
                    assert_eq!(p.pixel(x as usize, y as usize), want.0, "{exif}: {x}, {y}");
                }
            }
        }
    }
}
