//! A posted picture with the boxes of its record.

use std::io::Cursor;

use bytes::Bytes;
use image::{Rgb, RgbImage, codecs::jpeg::JpegEncoder};
use tessera_annotate::{LabelledBox, annotate};
use tessera_picture::Options;
use tessera_plan::files::records::{Ending, Record};

/// Quality of drawn pictures, of 100: letters stay clear.
const QUALITY: u8 = 85;

/// How posted pictures are read: as they are stored, since clients expect boxes in the pixels that they sent.
pub const READING: Options = Options {
    upright: false,
    budget_bytes: None,
};

/// The picture with its boxes, as a JPEG file.
///
/// # Errors
/// When the picture cannot be decoded, in words.
#[expect(clippy::cast_precision_loss, reason = "pixels fit float32")]
pub fn annotated(picture: &[u8], record: &Record) -> Result<Bytes, String> {
    let seen =
        tessera_picture::load_bytes("the picture", picture, READING).map_err(|e| e.to_string())?;
    let rgb = RgbImage::from_fn(seen.width(), seen.height(), |x, y| {
        Rgb(seen.pixel(x as usize, y as usize))
    });
    let found = match &record.ending {
        Ending::Computed(found) => &found.detections[..],
        Ending::Dropped { .. } => &[],
    };
    let boxes = found.iter().map(|d| {
        let [left, top, width, height] = d.box_px.map(|v| v as f32);
        LabelledBox {
            class: d.class as usize,
            label: d
                .label
                .clone()
                .unwrap_or_else(|| format!("class {}", d.class)),
            score: d.score,
            left,
            top,
            width,
            height,
        }
    });
    let drawn = annotate(&rgb, &boxes.collect::<Vec<_>>());
    let mut jpeg = Cursor::new(Vec::new());
    drawn
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))
        .map_err(|e| e.to_string())?;
    Ok(jpeg.into_inner().into())
}
