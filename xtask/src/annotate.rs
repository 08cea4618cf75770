//! Draws detections onto a picture: boxes in a colour per class, labels on chips.

mod font;

use image::{Rgb, RgbImage};

/// A box with its label, in pixels.
#[derive(Clone, Debug)]
pub struct LabelledBox {
    /// Class number; picks the colour.
    pub class: usize,
    /// Class name.
    pub label: String,
    /// Score, 0 to 1.
    pub score: f32,
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// Colours that stay apart on dark and light ground.
const COLOURS: [[u8; 3]; 10] = [
    [230, 57, 70],
    [29, 120, 200],
    [42, 157, 80],
    [244, 140, 6],
    [131, 56, 190],
    [0, 150, 160],
    [214, 51, 132],
    [120, 94, 40],
    [86, 110, 20],
    [70, 80, 110],
];

/// The picture with its boxes.
pub fn annotate(picture: &RgbImage, boxes: &[LabelledBox]) -> RgbImage {
    let mut out = picture.clone();
    let (w, h) = (i64::from(out.width()), i64::from(out.height()));
    let unit = (w.min(h) / 320).clamp(1, 8);
    let thick = unit + 1;
    // Weak boxes first, so that strong ones and their labels stay on top.
    let mut order: Vec<&LabelledBox> = boxes.iter().collect();
    order.sort_by(|a, b| a.score.total_cmp(&b.score));
    for b in &order {
        let (x0, y0, x1, y1) = edges(b, w, h);
        let colour = Rgb(COLOURS[b.class % COLOURS.len()]);
        fill(&mut out, x0, y0, x1, y0 + thick, colour);
        fill(&mut out, x0, y1 - thick, x1, y1, colour);
        fill(&mut out, x0, y0, x0 + thick, y1, colour);
        fill(&mut out, x1 - thick, y0, x1, y1, colour);
    }
    for b in &order {
        let (x0, y0, _, _) = edges(b, w, h);
        let text = format!("{} {:.0}%", b.label, b.score * 100.0);
        let (tw, th) = (font::width(&text) * unit, font::HEIGHT * unit);
        let (cw, ch) = (tw + 4 * unit, th + 4 * unit);
        let x = x0.min(w - cw).max(0);
        let y = if y0 >= ch { y0 - ch } else { y0 };
        fill(
            &mut out,
            x,
            y,
            x + cw,
            y + ch,
            Rgb(COLOURS[b.class % COLOURS.len()]),
        );
        font::draw(&text, |px, py| {
            let (px, py) = (x + (2 + px) * unit, y + (2 + py) * unit);
            fill(&mut out, px, py, px + unit, py + unit, Rgb([255, 255, 255]));
        });
    }
    out
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the picture")]
fn edges(b: &LabelledBox, w: i64, h: i64) -> (i64, i64, i64, i64) {
    let clamp = |v: f32, max: i64| (v.round() as i64).clamp(0, max);
    let (x0, y0) = (clamp(b.left, w - 1), clamp(b.top, h - 1));
    (
        x0,
        y0,
        clamp(b.left + b.width, w).max(x0 + 1),
        clamp(b.top + b.height, h).max(y0 + 1),
    )
}

fn fill(out: &mut RgbImage, x0: i64, y0: i64, x1: i64, y1: i64, colour: Rgb<u8>) {
    let (w, h) = (i64::from(out.width()), i64::from(out.height()));
    for y in y0.max(0)..y1.min(h) {
        for x in x0.max(0)..x1.min(w) {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) {
                out.put_pixel(x, y, colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_and_labels_stay_inside() {
        let picture = RgbImage::from_pixel(64, 48, Rgb([9, 9, 9]));
        let b = |left, top, width, height| LabelledBox {
            class: 3,
            label: "a very long label".into(),
            score: 0.5,
            left,
            top,
            width,
            height,
        };
        let drawn = annotate(
            &picture,
            &[
                b(10.0, 20.0, 30.0, 20.0),
                b(-50.0, -9.0, 500.0, 900.0),
                b(60.0, 44.0, 0.0, 0.0),
            ],
        );
        assert_eq!(drawn.dimensions(), picture.dimensions());
        assert_eq!(*drawn.get_pixel(10, 30), Rgb(COLOURS[3]));
        assert!(drawn.pixels().any(|p| *p == Rgb([255, 255, 255])));
    }
}
