//! The size of a letterboxed picture (Darknet `image.c`, `letterbox_image`).

/// Width and height of a picture of `iw x ih` pixels that was scaled into `w x h` with its aspect ratio kept.
pub fn letterbox_size(iw: u32, ih: u32, w: u32, h: u32) -> (u32, u32) {
    let (iw, ih) = (iw.max(1), ih.max(1));
    let part = |a: u32, b: u32, c: u32| {
        u32::try_from(u64::from(a) * u64::from(b) / u64::from(c)).unwrap_or(u32::MAX)
    };
    if (w as f32 / iw as f32) < (h as f32 / ih as f32) {
        (w, part(ih, w, iw))
    } else {
        (part(iw, h, ih), h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_fills_the_network_and_the_shorter_one_is_rounded_down() {
        for ((iw, ih), (w, h), fitted) in [
            ((200, 100), (100, 100), (100, 50)),
            ((100, 200), (100, 100), (50, 100)),
            ((100, 100), (64, 32), (32, 32)),
            ((3, 2), (100, 100), (100, 66)),
            // So wide that no row is left; so small that it is enlarged.
            ((4000, 1), (32, 32), (32, 0)),
            ((1, 1), (416, 416), (416, 416)),
        ] {
            assert_eq!(letterbox_size(iw, ih, w, h), fitted, "{iw} x {ih}");
        }
    }
}
