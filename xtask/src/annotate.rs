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

/// Half-open columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rect {
    x0: i64,
    y0: i64,
    x1: i64,
    y1: i64,
}

impl Rect {
    fn meets(&self, o: &Self) -> bool {
        self.x0 < o.x1 && o.x0 < self.x1 && self.y0 < o.y1 && o.y0 < self.y1
    }

    fn grown(&self, by: i64) -> Self {
        Self {
            x0: self.x0 - by,
            y0: self.y0 - by,
            x1: self.x1 + by,
            y1: self.y1 + by,
        }
    }
}

/// The picture with its boxes.
pub fn annotate(picture: &RgbImage, boxes: &[LabelledBox]) -> RgbImage {
    let mut out = picture.clone();
    let size = (i64::from(out.width()), i64::from(out.height()));
    // Side of a font pixel: text takes about 3 % of the picture's shorter side.
    let unit = ((size.0.min(size.1) + 120) / 240).clamp(1, 12);
    let mut order: Vec<&LabelledBox> = boxes.iter().collect();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    // Weak boxes first, so that strong ones stay on top.
    for b in order.iter().rev() {
        frame(&mut out, edges(b, size), unit + 1, colour(b));
    }
    // The best box's label has the first choice.
    let mut chips: Vec<Rect> = Vec::new();
    for b in &order {
        let text = format!("{} {:.0}%", b.label, b.score * 100.0);
        let (chip, unit) = place(&text, edges(b, size), unit, size, &chips);
        fill(&mut out, chip, colour(b));
        font::draw(&text, |px, py| {
            let (x0, y0) = (chip.x0 + (2 + px) * unit, chip.y0 + (2 + py) * unit);
            let dot = Rect {
                x0,
                y0,
                x1: x0 + unit,
                y1: y0 + unit,
            };
            fill(&mut out, dot, Rgb([255, 255, 255]));
        });
        chips.push(chip);
    }
    out
}

fn colour(b: &LabelledBox) -> Rgb<u8> {
    Rgb(COLOURS[b.class % COLOURS.len()])
}

/// Where a label goes, and the side of its font's pixels: above the box, else inside its upper
/// edge, else below it, else inside its lower edge; wherever it covers no other label.
fn place(text: &str, b: Rect, unit: i64, (w, h): (i64, i64), taken: &[Rect]) -> (Rect, i64) {
    let wide = |unit: i64| (font::width(text) + 4) * unit;
    let unit = (1..=unit).rev().find(|u| wide(*u) <= w).unwrap_or(1);
    let (cw, ch) = (wide(unit), (font::HEIGHT + 4) * unit);
    let x0 = b.x0.min(w - cw).max(0);
    let at = |y: i64| {
        let y0 = y.min(h - ch).max(0);
        Rect {
            x0,
            y0,
            x1: (x0 + cw).min(w),
            y1: (y0 + ch).min(h),
        }
    };
    let above = if b.y0 >= ch { b.y0 - ch } else { b.y0 };
    let places = [above, b.y0, b.y1, b.y1 - ch].map(at);
    let free = |r: &Rect| !taken.iter().any(|t| t.meets(r));
    (places.into_iter().find(free).unwrap_or(places[0]), unit)
}

/// A frame of `thick` pixels inside `r`, with a dark hairline on both sides: it shows on any ground.
fn frame(out: &mut RgbImage, r: Rect, thick: i64, colour: Rgb<u8>) {
    ring(out, r.grown(1), 1, Rgb([20, 20, 20]));
    ring(out, r, thick, colour);
    ring(out, r.grown(-thick), 1, Rgb([20, 20, 20]));
}

fn ring(out: &mut RgbImage, r: Rect, thick: i64, colour: Rgb<u8>) {
    for side in [
        Rect {
            y1: r.y1.min(r.y0 + thick),
            ..r
        },
        Rect {
            y0: r.y0.max(r.y1 - thick),
            ..r
        },
        Rect {
            x1: r.x1.min(r.x0 + thick),
            ..r
        },
        Rect {
            x0: r.x0.max(r.x1 - thick),
            ..r
        },
    ] {
        fill(out, side, colour);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the picture")]
fn edges(b: &LabelledBox, (w, h): (i64, i64)) -> Rect {
    let clamp = |v: f32, max: i64| (v.round() as i64).clamp(0, max);
    let (x0, y0) = (clamp(b.left, w - 1), clamp(b.top, h - 1));
    Rect {
        x0,
        y0,
        x1: clamp(b.left + b.width, w).max(x0 + 1),
        y1: clamp(b.top + b.height, h).max(y0 + 1),
    }
}

/// Fills what lies inside the picture.
fn fill(out: &mut RgbImage, r: Rect, colour: Rgb<u8>) {
    let (w, h) = (i64::from(out.width()), i64::from(out.height()));
    for y in r.y0.max(0)..r.y1.min(h) {
        for x in r.x0.max(0)..r.x1.min(w) {
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
        assert_eq!(*drawn.get_pixel(10, 35), Rgb(COLOURS[3]));
        assert!(drawn.pixels().any(|p| *p == Rgb([255, 255, 255])));
    }

    #[test]
    fn labels_of_close_boxes_do_not_cover_each_other() {
        let size = (640, 480);
        let b = Rect {
            x0: 300,
            y0: 200,
            x1: 400,
            y1: 300,
        };
        let mut taken = Vec::new();
        for _ in 0..4 {
            let (chip, unit) = place("dog 65%", b, 2, size, &taken);
            assert_eq!(unit, 2);
            assert!(!taken.iter().any(|t: &Rect| t.meets(&chip)), "{taken:?}");
            taken.push(chip);
        }
        let top = Rect { y0: 3, ..b };
        let (chip, _) = place("dog 65%", top, 2, size, &[]);
        assert_eq!(chip.y0, 3);
    }

    #[test]
    fn text_too_wide_for_the_picture_shrinks() {
        let b = Rect {
            x0: 90,
            y0: 0,
            x1: 95,
            y1: 9,
        };
        let (chip, unit) = place("traffic light 99%", b, 4, (130, 480), &[]);
        assert_eq!(unit, 1);
        assert!(chip.x0 >= 0 && chip.x1 <= 130, "{chip:?}");
    }

    #[test]
    fn odd_boxes_and_pictures_are_survived() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -3.0, 0.0, 1e30];
        for (w, h) in [(1, 1), (2, 300), (40, 7)] {
            let picture = RgbImage::new(w, h);
            for v in odd {
                let b = LabelledBox {
                    class: usize::MAX,
                    label: "\u{e9}".into(),
                    score: v,
                    left: v,
                    top: 1.0,
                    width: v,
                    height: v,
                };
                assert_eq!(annotate(&picture, &[b]).dimensions(), (w, h));
            }
        }
    }
}
