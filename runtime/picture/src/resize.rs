//! Darknet's bilinear resize and letterbox, to the last bit in float32 (Darknet `image.c`,
//! `resize_image`, `letterbox_image`): corners are aligned, columns come before rows.
//!
//! The resize works row by row and holds only two resized rows besides the target.

use crate::{Picture, letterbox_size};

/// Row `y` of the picture, its columns resized to `w`, as `[w][c]` values 0..1.
fn columns(p: &Picture, y: usize, (w, c): (usize, usize), out: &mut [f32]) {
    let iw = p.width() as usize;
    let value = |x: usize| {
        let pixel = p.pixel(x, y);
        let pixel = if c == 1 { [grey(pixel); 3] } else { pixel };
        pixel.map(|v| f32::from(v) / 255.0)
    };
    if w == iw {
        for (x, to) in out.chunks_exact_mut(c).enumerate() {
            to.copy_from_slice(&value(x)[..c]);
        }
        return;
    }
    let scale = (iw as f32 - 1.0) / (w as f32 - 1.0);
    for (x, to) in out.chunks_exact_mut(c).enumerate() {
        if x == w - 1 || iw == 1 {
            to.copy_from_slice(&value(iw - 1)[..c]);
            continue;
        }
        let sx = x as f32 * scale;
        let ix = sx as usize;
        let dx = sx - ix as f32;
        let (left, right) = (value(ix), value(ix + 1));
        for (ch, to) in to.iter_mut().enumerate() {
            *to = (1.0 - dx) * left[ch] + dx * right[ch];
        }
    }
}

/// Grey as Darknet's decoder makes it, before any resizing (`stb_image.h`, `stbi__compute_y`).
fn grey(rgb: [u8; 3]) -> u8 {
    let [r, g, b] = rgb.map(u32::from);
    // The factors add up to 256.
    ((77 * r + 150 * g + 29 * b) >> 8) as u8
}

/// Makes sure that source row `want`, its columns resized, is held; says in which of the two rows.
fn fetch(
    p: &Picture,
    want: usize,
    (w, c): (usize, usize),
    rows: &mut [Vec<f32>; 2],
    held: &mut [usize; 2],
) -> usize {
    let k = want % 2;
    if held[k] != want {
        columns(p, want, (w, c), &mut rows[k]);
        held[k] = want;
    }
    k
}

/// Resizes to `w x h` and hands over every row as `[w, c]` values in 0..1, `c` being 3 (R, G, B) or
/// 1 (grey).
///
/// # Panics
/// If the picture is empty or `c` is neither 3 nor 1.
fn resize_into(p: &Picture, (w, h, c): (usize, usize, usize), mut put: impl FnMut(usize, &[f32])) {
    assert!(c == 1 || c == 3, "pictures have 1 or 3 channels");
    assert!(p.width() > 0 && p.height() > 0, "there are pixels");
    let ih = p.height() as usize;
    let mut rows = [vec![0.0f32; c * w], vec![0.0f32; c * w]];
    if ih == h {
        for y in 0..h {
            columns(p, y, (w, c), &mut rows[0]);
            put(y, &rows[0]);
        }
        return;
    }
    let scale = (ih as f32 - 1.0) / (h as f32 - 1.0);
    let mut held = [usize::MAX; 2];
    let mut out = vec![0.0f32; c * w];
    for y in 0..h {
        let sy = y as f32 * scale;
        let iy = if h == 1 { 0 } else { sy as usize };
        let dy = if h == 1 { 0.0 } else { sy - iy as f32 };
        let first = fetch(p, iy, (w, c), &mut rows, &mut held);
        for (o, v) in out.iter_mut().zip(&rows[first]) {
            *o = (1.0 - dy) * v;
        }
        if y != h - 1 && ih != 1 {
            let second = fetch(p, iy + 1, (w, c), &mut rows, &mut held);
            for (o, v) in out.iter_mut().zip(&rows[second]) {
                *o += dy * v;
            }
        }
        put(y, &out);
    }
}

/// Hands over the picture as a network input of `[h, w, c]` values 0..1, `c` being 3 or 1 (grey): pieces of rows,
/// each with the index of its first value. A later piece replaces an earlier one where they overlap.
///
/// # Panics
/// If the picture is empty or `c` is neither 3 nor 1.
pub fn to_input(
    p: &Picture,
    [h, w, c]: [usize; 3],
    letterbox: bool,
    mut put: impl FnMut(usize, &[f32]),
) {
    let (nw, nh) = if letterbox {
        let (nw, nh) = letterbox_size(p.width(), p.height(), w as u32, h as u32);
        ((nw as usize).clamp(1, w), (nh as usize).clamp(1, h))
    } else {
        (w, h)
    };
    if letterbox {
        let grey = vec![0.5; w * c];
        (0..h).for_each(|y| put(y * w * c, &grey));
    }
    let (x0, y0) = ((w - nw) / 2, (h - nh) / 2);
    resize_into(p, (nw, nh, c), |y, row| put(((y0 + y) * w + x0) * c, row));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_tensor(p: &Picture, h: usize, w: usize, c: usize, letterbox: bool, out: &mut [f32]) {
        assert_eq!(out.len(), h * w * c);
        to_input(p, [h, w, c], letterbox, |at, row| {
            out[at..at + row.len()].copy_from_slice(row);
        });
    }

    #[test]
    fn equal_size_copies_and_corners_are_aligned() {
        let rgb: Vec<u8> = (0u8..27).map(|v| v * 9).collect();
        let p = Picture::from_rgb(rgb.clone(), 3, 3);
        let mut same = vec![0.0; 27];
        to_tensor(&p, 3, 3, 3, false, &mut same);
        assert!(
            same.iter()
                .zip(&rgb)
                .all(|(a, b)| *a == f32::from(*b) / 255.0)
        );
        let mut large = vec![0.0; 5 * 5 * 3];
        to_tensor(&p, 5, 5, 3, false, &mut large);
        assert_eq!(large[..3], same[..3]);
        assert_eq!(large[72..], same[24..]);
        let mut boxed = vec![0.0; 4 * 8 * 3];
        to_tensor(&p, 4, 8, 3, true, &mut boxed);
        assert_eq!(boxed[..6], [0.5; 6]);
    }

    /// The definition (`docs/darknet.md#resize`), on a whole float picture, channel by channel.
    fn by_definition(p: &Picture, w: usize, h: usize, ch: usize) -> Vec<f32> {
        let (iw, ih) = (p.width() as usize, p.height() as usize);
        let at = |x: usize, y: usize| f32::from(p.pixel(x, y)[ch]) / 255.0;
        let ws = (iw as f32 - 1.0) / (w as f32 - 1.0);
        let hs = (ih as f32 - 1.0) / (h as f32 - 1.0);
        let mut part = vec![0.0f32; w * ih];
        for y in 0..ih {
            for x in 0..w {
                part[y * w + x] = if w == iw {
                    at(x, y)
                } else if x == w - 1 || iw == 1 {
                    at(iw - 1, y)
                } else {
                    let sx = x as f32 * ws;
                    let i = sx as usize;
                    let d = sx - i as f32;
                    (1.0 - d) * at(i, y) + d * at(i + 1, y)
                };
            }
        }
        if h == ih {
            return part;
        }
        let mut out = vec![0.0f32; w * h];
        for y in 0..h {
            let sy = y as f32 * hs;
            let i = sy as usize;
            let d = sy - i as f32;
            for x in 0..w {
                out[y * w + x] = (1.0 - d) * part[i * w + x];
                if y != h - 1 && ih != 1 {
                    out[y * w + x] += d * part[(i + 1) * w + x];
                }
            }
        }
        out
    }

    #[test]
    fn rows_as_they_come_give_what_the_definition_gives() {
        for (iw, ih, w, h) in [
            (1, 1, 5, 4),
            (7, 5, 3, 11),
            (5, 7, 11, 3),
            (64, 48, 10, 9),
            (2, 9, 9, 2),
            (13, 1, 6, 6),
            (1, 13, 6, 6),
        ] {
            let rgb = (0..3 * iw * ih).map(|i| (i * 37 % 251) as u8).collect();
            let p = Picture::from_rgb(rgb, iw as u32, ih as u32);
            let mut out = vec![f32::NAN; 3 * w * h];
            to_tensor(&p, h, w, 3, false, &mut out);
            for ch in 0..3 {
                let have: Vec<f32> = out.iter().skip(ch).step_by(3).copied().collect();
                assert_eq!(have, by_definition(&p, w, h, ch), "{iw}x{ih} {w}x{h}");
            }
        }
    }

    #[test]
    fn sides_of_one_pixel_are_no_trouble() {
        let p = Picture::from_rgb(vec![255; 3 * 9 * 7], 9, 7);
        for (w, h, letterbox) in [(1, 1, false), (1, 5, false), (5, 1, false), (64, 1, true)] {
            let mut out = vec![f32::NAN; 3 * w * h];
            to_tensor(&p, h, w, 3, letterbox, &mut out);
            assert!(out.iter().all(|v| *v == 1.0 || letterbox && *v == 0.5));
        }
        // So wide that the letterboxed height rounds to no row at all.
        let strip = Picture::from_rgb(vec![255; 3 * 4000], 4000, 1);
        let mut out = vec![f32::NAN; 3 * 32 * 32];
        to_tensor(&strip, 32, 32, 3, true, &mut out);
        assert_eq!(out.iter().filter(|v| **v == 1.0).count(), 3 * 32);
    }

    #[test]
    fn one_channel_is_the_grey_of_the_decoder() {
        let p = Picture::from_rgb(vec![255, 255, 255, 200, 100, 50], 2, 1);
        let mut out = vec![0.0; 2];
        to_tensor(&p, 1, 2, 1, false, &mut out);
        assert_eq!(out, [1.0, f32::from(124u8) / 255.0]);
    }

    #[tessera_needs::needs(golden)]
    #[test]
    fn golden_resizes_are_equal_to_the_last_bit() {
        let dir =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/resize");
        let file = dir.join("expected.json");
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let p = crate::load(&dir.join("image.ppm")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        let outputs = expected["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 8);
        for o in outputs {
            let (w, h) = (
                o["width"].as_u64().unwrap() as usize,
                o["height"].as_u64().unwrap() as usize,
            );
            let mut out = vec![0.0f32; 3 * w * h];
            to_tensor(&p, h, w, 3, o["letterbox"].as_bool().unwrap(), &mut out);
            let want = std::fs::read(dir.join(o["file"].as_str().unwrap())).unwrap();
            assert_eq!(crate::chw_from_tensor(&out, h, w, 3), want, "{}", o["file"]);
        }
    }
}
