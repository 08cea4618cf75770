//! The letters of labels: Hack, a scalable font that a dependency carries. It has Latin, Greek and Cyrillic.

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _, point};

/// The parsed font of labels.
pub struct Font(FontRef<'static>);

impl Font {
    /// Parses the font that the dependency carries.
    pub fn new() -> Self {
        let font = FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR);
        Self(font.expect("the dependency's font is one"))
    }

    /// True if the font has a glyph for every character of `text`.
    pub fn has(&self, text: &str) -> bool {
        text.chars().all(|c| self.0.glyph_id(c).0 != 0)
    }

    /// Width of `text` in pixels, in lines of `line_px` pixels.
    #[expect(clippy::cast_possible_truncation, reason = "labels are short")]
    pub fn width_px(&self, text: &str, line_px: u16) -> i64 {
        let font = self.0.as_scaled(f32::from(line_px));
        let width: f32 = text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum();
        width.ceil() as i64
    }

    /// Calls `dot` for every pixel of `text` with the column, the row and the covered share of the pixel, 0 to 1.
    /// The upper left corner of the line is (0, 0).
    pub fn draw(&self, text: &str, line_px: u16, mut dot: impl FnMut(i64, i64, f32)) {
        let scale = PxScale::from(f32::from(line_px));
        let font = self.0.as_scaled(scale);
        let mut x = 0.0;
        for c in text.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(scale, point(x, font.ascent()));
            x += font.h_advance(id);
            let Some(outline) = font.outline_glyph(glyph) else {
                continue; // a space
            };
            let corner = outline.px_bounds().min;
            #[expect(clippy::cast_possible_truncation, reason = "whole numbers of pixels")]
            let (left, top) = (corner.x as i64, corner.y as i64);
            outline.draw(|x, y, covered| dot(left + i64::from(x), top + i64::from(y), covered));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Font;

    #[test]
    fn letters_of_europe_are_there() {
        let font = Font::new();
        for text in ["dog 65%", "Zażółć gęślą", "Αλεπού", "Собака", "…"] {
            assert!(font.has(text), "{text}");
        }
        for text in ["犬", "a\tb", "\u{200b}"] {
            assert!(!font.has(text), "{text}");
        }
    }

    #[test]
    fn text_stays_in_its_line() {
        let font = Font::new();
        for line_px in [8, 17, 76] {
            let (width, mut inked) = (font.width_px("Ågj 100%", line_px), 0.0);
            font.draw("Ågj 100%", line_px, |x, y, covered| {
                assert!((-1..=width).contains(&x), "{x}");
                assert!((-1..=i64::from(line_px)).contains(&y), "{y}");
                inked += covered;
            });
            assert!(inked > f32::from(line_px), "{inked}");
        }
    }
}
