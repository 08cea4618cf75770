//! Draws detections onto a picture: boxes in a colour per class, labels on chips.

#![forbid(unsafe_code)]

mod font;

use font::Font;
use image::{Rgb, RgbImage};

/// A box with its label, in pixels.
#[derive(Clone, Debug)]
pub struct LabelledBox {
    /// Class number; picks the colour.
    pub class: usize,
    /// Class name.
    pub label: String,
    /// Detection score, between 0 and 1.
    pub score: f32,
    /// Left edge, in pixels from the picture's left edge.
    pub left: f32,
    /// Top edge, in pixels from the picture's top edge.
    pub top: f32,
    /// Width in pixels.
    pub width: f32,
    /// Height in pixels.
    pub height: f32,
}

/// Colours of classes; people can tell them apart on dark and light ground.
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

/// Most characters of a name in a label.
const CHARS_MAX: usize = 200;
/// Smallest and largest height of a label's line, in pixels.
const TEXT_PX: (u16, u16) = (8, 160);

/// A rectangle of pixels: half-open ranges of columns and rows.
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

/// Returns a copy of the picture with the boxes and their labels drawn on top.
pub fn annotate(picture: &RgbImage, boxes: &[LabelledBox]) -> RgbImage {
    let mut out = picture.clone();
    let size = (i64::from(out.width()), i64::from(out.height()));
    let side = size.0.min(size.1);
    let thick = ((side + 120) / 240).clamp(1, 12) + 1;
    // Letters as high as people read them when the whole picture fills a screen, and not below 12 pixels.
    let line_px = u16::try_from(side * 7 / 200).unwrap_or(u16::MAX);
    let line_px = line_px.clamp(12, TEXT_PX.1);
    let font = Font::new();
    let mut order: Vec<&LabelledBox> = boxes.iter().collect();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    // Weak boxes first, so that strong ones stay on top.
    for b in order.iter().rev() {
        frame(&mut out, edges(b, size), thick, colour(b));
    }
    // The best box's label has the first choice.
    let mut chips: Vec<Rect> = Vec::new();
    for b in &order {
        let text = Text::fitted(&font, b, line_px, size.0);
        let chip = place(&text, edges(b, size), size, &chips);
        fill(&mut out, chip, colour(b));
        let pad = text.pad();
        font.draw(&text.shown, text.line_px, |x, y, covered| {
            whiten(&mut out, chip.x0 + pad + x, chip.y0 + pad + y, covered);
        });
        chips.push(chip);
    }
    out
}

/// A label that fits a picture.
#[derive(Debug)]
struct Text {
    shown: String,
    line_px: u16,
    width_px: i64,
}

impl Text {
    /// A box's label and score in lines of `line_px`, or in lower lines if the picture is too narrow. A label that
    /// is too wide even then loses its end, but keeps its score. The class's number replaces a name that the font
    /// cannot write.
    fn fitted(font: &Font, b: &LabelledBox, line_px: u16, picture_px: i64) -> Self {
        let mut name = if font.has(&b.label) {
            b.label.clone()
        } else {
            format!("class {}", b.class)
        };
        let mut cut = "";
        if let Some((end, _)) = name.char_indices().nth(CHARS_MAX) {
            name.truncate(end);
            cut = "\u{2026}";
        }
        let score = format!("{:.0}%", b.score * 100.0);
        let mut text = Self::new(font, format!("{name}{cut} {score}"), line_px);
        while text.chip_px().0 > picture_px && text.line_px > TEXT_PX.0 {
            text = Self::new(font, text.shown, text.line_px - 1);
        }
        while text.chip_px().0 > picture_px && name.pop().is_some() {
            text = Self::new(font, format!("{name}\u{2026} {score}"), text.line_px);
        }
        text
    }

    fn new(font: &Font, shown: String, line_px: u16) -> Self {
        Self {
            width_px: font.width_px(&shown, line_px),
            shown,
            line_px,
        }
    }

    /// Number of free pixels on each side of the text.
    fn pad(&self) -> i64 {
        i64::from(self.line_px / 8).max(1)
    }

    /// Width and height in pixels, with the free pixels around the text.
    fn chip_px(&self) -> (i64, i64) {
        let pad = 2 * self.pad();
        (self.width_px + pad, i64::from(self.line_px) + pad)
    }
}

fn colour(b: &LabelledBox) -> Rgb<u8> {
    Rgb(COLOURS[b.class % COLOURS.len()])
}

/// Chooses a label's place: the first place that covers no other label, of above the box, inside the box's
/// upper edge, below the box, and inside the box's lower edge.
fn place(text: &Text, b: Rect, (w, h): (i64, i64), taken: &[Rect]) -> Rect {
    let (cw, ch) = text.chip_px();
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
    places.into_iter().find(free).unwrap_or(places[0])
}

/// Draws a frame of `thick` pixels inside `r`. A dark hairline on both sides makes the frame visible on any
/// ground.
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

/// Fills the part of a rectangle that lies inside the picture.
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

/// Blends a pixel with white, by the share of the pixel that a letter covers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two colours"
)]
fn whiten(out: &mut RgbImage, x: i64, y: i64, covered: f32) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
        return;
    };
    if let Some(Rgb(colour)) = out.get_pixel_mut_checked(x, y) {
        for c in colour {
            *c += (f32::from(255 - *c) * covered.clamp(0.0, 1.0)) as u8;
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
        // Letters of 8 pixels cover no pixel wholly.
        assert!(drawn.pixels().any(|p| p.0.iter().all(|c| *c > 150)));
    }

    fn dog(label: &str) -> LabelledBox {
        LabelledBox {
            class: 16,
            label: label.into(),
            score: 0.65,
            left: 300.0,
            top: 200.0,
            width: 100.0,
            height: 100.0,
        }
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
        let text = Text::fitted(&Font::new(), &dog("dog"), 16, size.0);
        let mut taken = Vec::new();
        for _ in 0..4 {
            let chip = place(&text, b, size, &taken);
            assert!(!taken.iter().any(|t: &Rect| t.meets(&chip)), "{taken:?}");
            taken.push(chip);
        }
        let top = Rect { y0: 3, ..b };
        assert_eq!(place(&text, top, size, &[]).y0, 3);
    }

    #[test]
    fn text_too_wide_for_the_picture_shrinks_and_then_loses_its_end() {
        let font = Font::new();
        for (label, picture_px, line_px, shown) in [
            ("traffic light", 640, 16, "traffic light 65%"),
            ("traffic light", 130, 14, "traffic light 65%"),
            ("traffic light", 60, 8, "traffic l\u{2026} 65%"),
            ("traffic light", 1, 8, "\u{2026} 65%"),
        ] {
            let text = Text::fitted(&font, &dog(label), 16, picture_px);
            assert_eq!((text.line_px, text.shown.as_str()), (line_px, shown));
            assert!(text.chip_px().0 <= picture_px.max(30), "{text:?}");
            let b = edges(&dog(label), (picture_px, 480));
            let chip = place(&text, b, (picture_px, 480), &[]);
            assert!(chip.x0 >= 0 && chip.x1 <= picture_px, "{chip:?}");
        }
        let endless = Text::fitted(&font, &dog(&"m".repeat(1 << 20)), 16, 640);
        assert!(endless.shown.len() < 600, "{}", endless.shown.len());
    }

    #[test]
    fn names_that_the_font_cannot_write_are_numbers() {
        let shown = |label: &str| Text::fitted(&Font::new(), &dog(label), 16, 640).shown;
        assert_eq!(
            shown("\u{441}\u{43e}\u{431}\u{430}\u{43a}\u{430}"),
            "\u{441}\u{43e}\u{431}\u{430}\u{43a}\u{430} 65%"
        );
        assert_eq!(shown("\u{72ac}"), "class 16 65%");
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
