//! The picture of an alert: the network's view of the frame in the shape of the picture that was taken, with the object's box.

use std::io::Cursor;

use image::{
    Rgb, RgbImage,
    codecs::jpeg::JpegEncoder,
    imageops::{FilterType, crop_imm, resize},
};
use tessera_alerts::Alert;
use tessera_annotate::{LabelledBox, annotate};
use tessera_picture::letterbox_size;
use tessera_plan::element::ElementType;
use tessera_runtime::{element, program::Program};

use crate::detect::ImageFrame;

/// Quality of pictures, of 100: letters stay clear.
const QUALITY: u8 = 85;
/// Longest side that a picture gets by its shape.
const SIDE_MAX: u32 = 4096;

/// The network's input: rows, columns and channels of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    h: usize,
    w: usize,
    c: usize,
    element: ElementType,
}

impl Input {
    /// The input of a network that looks at pictures; `None` for others.
    pub fn of(program: &Program) -> Option<Self> {
        let tensor = program.tensors.first()?;
        matches!(tensor.c, 1 | 3).then_some(Self {
            h: tensor.h,
            w: tensor.w,
            c: tensor.c,
            element: tensor.element,
        })
    }

    /// The frame of these bytes in the shape of the picture that it was made of; `None` when they are no whole frame.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped, and sides are small"
    )]
    fn picture(&self, bytes: &[u8], taken: ImageFrame) -> Option<RgbImage> {
        let count = self.h * self.w * self.c;
        if bytes.len() != count * self.element.bytes() {
            return None;
        }
        let mut values = vec![0.0; count];
        element::load(self.element, bytes, &mut values);
        let (w, h) = (self.w as u32, self.h as u32);
        let seen = RgbImage::from_fn(w, h, |x, y| {
            let at = (y as usize * self.w + x as usize) * self.c;
            Rgb([0, self.c / 2, self.c - 1]
                .map(|k| (values[at + k] * 255.0).round().clamp(0.0, 255.0) as u8))
        });
        let (iw, ih) = (taken.width, taken.height);
        if iw == 0 || ih == 0 {
            return Some(seen);
        }
        if taken.letterbox {
            let (nw, nh) = letterbox_size(iw, ih, w, h);
            let (nw, nh) = (nw.clamp(1, w), nh.clamp(1, h));
            return Some(crop_imm(&seen, (w - nw) / 2, (h - nh) / 2, nw, nh).to_image());
        }
        Some(match shape([w, h], [iw, ih]) {
            [nw, nh] if [nw, nh] == [w, h] => seen,
            [nw, nh] => resize(&seen, nw, nh, FilterType::Triangle),
        })
    }

    /// The picture of an alert as a JPEG file, with the object's box and label.
    ///
    /// # Errors
    /// When the bytes are no whole frame, or no picture can be made of it.
    #[expect(clippy::cast_precision_loss, reason = "pixels fit float32")]
    pub fn draw(&self, bytes: &[u8], taken: ImageFrame, alert: &Alert) -> Result<Vec<u8>, String> {
        let picture = self.picture(bytes, taken).ok_or("no whole frame came")?;
        let [x, y, w, h] = alert.bbox;
        let (pw, ph) = (picture.width() as f32, picture.height() as f32);
        let named = || format!("class {}", alert.class);
        let object = LabelledBox {
            class: alert.class as usize,
            label: alert.label.clone().unwrap_or_else(named),
            score: alert.score,
            left: (x - w / 2.0) * pw,
            top: (y - h / 2.0) * ph,
            width: w * pw,
            height: h * ph,
        };
        let mut jpeg = Cursor::new(Vec::new());
        annotate(&picture, &[object])
            .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))
            .map_err(|e| e.to_string())?;
        Ok(jpeg.into_inner())
    }
}

/// The least size of the shape `taken` that has all pixels of `seen`, and no more than were taken.
fn shape(seen: [u32; 2], taken: [u32; 2]) -> [u32; 2] {
    let [w, h] = seen.map(u64::from);
    let [iw, ih] = taken.map(u64::from);
    let fits = if iw * h >= ih * w {
        [(h * iw / ih).max(1), h]
    } else {
        [w, (w * ih / iw).max(1)]
    };
    if fits[0] > iw {
        return taken.map(|n| n.min(SIDE_MAX));
    }
    fits.map(|n| u32::try_from(n).unwrap_or(SIDE_MAX).min(SIDE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_the_shape_that_was_taken() {
        for (seen, taken, found) in [
            ([416, 416], [1280, 720], [739, 416]),
            ([416, 416], [720, 1280], [416, 739]),
            ([416, 416], [416, 416], [416, 416]),
            ([416, 416], [320, 240], [320, 240]),
            ([416, 416], [100_000, 2], [4096, 2]),
        ] {
            assert_eq!(shape(seen, taken), found, "{taken:?}");
        }
    }

    #[test]
    fn stretched_and_letterboxed_frames_come_out_alike() {
        // A picture of 40 x 20, the left half of which is red: stretched to 20 x 20, and with bars above and below.
        let red = |x: usize| {
            if x < 10 {
                [1.0, 0.0, 0.0]
            } else {
                [0.0, 0.0, 1.0]
            }
        };
        let frame = |letterbox: bool| -> Vec<u8> {
            let at = |i: usize| match (letterbox, i / 20) {
                (true, 0..5 | 15..20) => [0.5; 3],
                _ => red(i % 20),
            };
            (0..400).flat_map(at).flat_map(f32::to_le_bytes).collect()
        };
        let input = Input {
            h: 20,
            w: 20,
            c: 3,
            element: ElementType::F32,
        };
        for (letterbox, size) in [(false, (40, 20)), (true, (20, 10))] {
            let taken = ImageFrame {
                width: 40,
                height: 20,
                letterbox,
            };
            let picture = input.picture(&frame(letterbox), taken).unwrap();
            assert_eq!(picture.dimensions(), size);
            let (w, h) = size;
            for (x, y) in [(0, 0), (w / 4, h - 1)] {
                assert_eq!(*picture.get_pixel(x, y), Rgb([255, 0, 0]), "{letterbox}");
            }
            assert_eq!(*picture.get_pixel(w - 1, 0), Rgb([0, 0, 255]));
        }
        assert!(input.picture(&[0; 5], ImageFrame::default()).is_none());
    }
}
