//! Darknet's bilinear resize and letterbox, to the last bit in float32 (Darknet `image.c`,
//! `resize_image`, `letterbox_image`): corners are aligned, columns come before rows.
//!
//! Works row by row: besides the target only two resized rows are held.

use super::Picture;
use crate::detect::letterbox_size;

/// Row `y` of the picture, its columns resized to `w`, as `[w][3]` values 0..1.
fn columns(p: &Picture, y: usize, w: usize, out: &mut [f32]) {
    let iw = p.width as usize;
    let row = &p.rgb[3 * iw * y..3 * iw * (y + 1)];
    let value = |x: usize, ch: usize| f32::from(row[3 * x + ch]) / 255.0;
    if w == iw {
        for (i, v) in out.iter_mut().enumerate() {
            *v = f32::from(row[i]) / 255.0;
        }
        return;
    }
    let scale = (iw as f32 - 1.0) / (w as f32 - 1.0);
    for x in 0..w {
        for ch in 0..3 {
            out[3 * x + ch] = if x == w - 1 || iw == 1 {
                value(iw - 1, ch)
            } else {
                let sx = x as f32 * scale;
                let ix = sx as usize;
                let dx = sx - ix as f32;
                (1.0 - dx) * value(ix, ch) + dx * value(ix + 1, ch)
            };
        }
    }
}

/// Makes sure that source row `want`, its columns resized, is held; says in which of the two rows.
fn fetch(
    p: &Picture,
    want: usize,
    w: usize,
    rows: &mut [Vec<f32>; 2],
    held: &mut [usize; 2],
) -> usize {
    let k = want % 2;
    if held[k] != want {
        columns(p, want, w, &mut rows[k]);
        held[k] = want;
    }
    k
}

/// Resizes to `w x h` and hands over every row as `[w][3]` values.
pub fn resize_into(p: &Picture, w: usize, h: usize, mut put: impl FnMut(usize, &[f32])) {
    let ih = p.height as usize;
    let mut rows = [vec![0.0f32; 3 * w], vec![0.0f32; 3 * w]];
    if ih == h {
        for y in 0..h {
            columns(p, y, w, &mut rows[0]);
            put(y, &rows[0]);
        }
        return;
    }
    let scale = (ih as f32 - 1.0) / (h as f32 - 1.0);
    let mut held = [usize::MAX; 2];
    let mut out = vec![0.0f32; 3 * w];
    for y in 0..h {
        let sy = y as f32 * scale;
        let iy = if h == 1 { 0 } else { sy as usize };
        let dy = if h == 1 { 0.0 } else { sy - iy as f32 };
        let first = fetch(p, iy, w, &mut rows, &mut held);
        for (o, v) in out.iter_mut().zip(&rows[first]) {
            *o = (1.0 - dy) * v;
        }
        if y != h - 1 && ih != 1 {
            let second = fetch(p, iy + 1, w, &mut rows, &mut held);
            for (o, v) in out.iter_mut().zip(&rows[second]) {
                *o += dy * v;
            }
        }
        put(y, &out);
    }
}

/// Writes the picture as a network input: `[h, w, c]` values 0..1, `c` being 3 or 1 (grey).
///
/// # Panics
/// If `out` is no `[h, w, c]` slice.
pub fn to_tensor(p: &Picture, h: usize, w: usize, c: usize, letterbox: bool, out: &mut [f32]) {
    assert_eq!(out.len(), h * w * c, "the slot holds the whole input");
    let (nw, nh) = if letterbox {
        let (nw, nh) = letterbox_size(p.width, p.height, w as u32, h as u32);
        ((nw as usize).clamp(1, w), (nh as usize).clamp(1, h))
    } else {
        (w, h)
    };
    if letterbox {
        out.fill(0.5);
    }
    let (x0, y0) = ((w - nw) / 2, (h - nh) / 2);
    resize_into(p, nw, nh, |y, row| {
        let at = ((y0 + y) * w + x0) * c;
        let dst = &mut out[at..at + nw * c];
        if c == 3 {
            dst.copy_from_slice(row);
        } else {
            for (px, d) in row.chunks_exact(3).zip(dst.chunks_exact_mut(c)) {
                // ITU-R BT.601 luma, as picture decoders convert to grey.
                d.fill(0.299 * px[0] + 0.587 * px[1] + 0.114 * px[2]);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_size_copies_and_corners_are_aligned() {
        let p = Picture {
            rgb: (0u8..27).map(|v| v * 9).collect(),
            width: 3,
            height: 3,
        };
        let mut same = vec![0.0; 27];
        to_tensor(&p, 3, 3, 3, false, &mut same);
        assert!(
            same.iter()
                .zip(&p.rgb)
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

    #[test]
    fn golden_resizes_are_equal_to_the_last_bit() {
        let dir =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden/resize");
        let Ok(text) = std::fs::read_to_string(dir.join("expected.json")) else {
            println!("note: no golden resizes here, nothing compared");
            return;
        };
        let p = crate::picture::load(&dir.join("image.ppm")).unwrap();
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
            assert_eq!(
                crate::picture::chw_from_tensor(&out, h, w, 3),
                want,
                "{}",
                o["file"]
            );
        }
    }
}
