//! The app's icon: a map cut into tiles, one of which another board computes.

use std::io::Cursor;

use anyhow::Result;
use image::{ImageFormat, Rgba, RgbaImage};

/// Pixels of a side, as Home Assistant wants it.
const SIDE: u32 = 128;
/// Pixels from tile to tile, and of a tile.
const STEP: u32 = 40;
const TILE: u32 = 36;
const EDGE: u32 = (SIDE - 2 * STEP - TILE) / 2;

/// The picture as PNG.
///
/// # Errors
/// When it cannot be encoded.
pub fn png() -> Result<Vec<u8>> {
    let picture = RgbaImage::from_fn(SIDE, SIDE, |x, y| {
        let inside = |v: u32| {
            let at = v.checked_sub(EDGE)?;
            (at % STEP < TILE && at / STEP < 3).then_some(at / STEP)
        };
        match inside(x).zip(inside(y)) {
            Some((2, 1)) => Rgba([232, 119, 34, 255]),
            Some((column, row)) => {
                let shade = 90 + 18 * u8::try_from(column + row).unwrap_or(0);
                Rgba([24, shade, 140, 255])
            }
            None => Rgba([0, 0, 0, 0]),
        }
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
