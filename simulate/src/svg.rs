//! Drawings as SVG that are legible on light and on dark paper.
//!
//! Shapes have classes, never colours of their own: the drawing's style sheet has both themes and follows the reader's
//! (`prefers-color-scheme`).

use std::fmt::{self, Write as _};

/// Colours of categories, told apart by readers who confuse colours too (Okabe and Ito 2008).
const COLOURS: [&str; 7] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7f2c",
];

/// Ink, faint ink, paper, and lines of a theme.
struct Theme {
    ink: &'static str,
    faint: &'static str,
    paper: &'static str,
    grid: &'static str,
}

const LIGHT: Theme = Theme {
    ink: "#1f2328",
    faint: "#59636e",
    paper: "#ffffff",
    grid: "#d1d9e0",
};

const DARK: Theme = Theme {
    ink: "#e6edf3",
    faint: "#9198a1",
    paper: "#0d1117",
    grid: "#3d444d",
};

/// A drawing under way. Lengths are user units: pixels at full size.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    colours: usize,
    body: String,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A length with at most two digits behind the point.
#[derive(Clone, Copy, Debug)]
pub struct Length(pub f64);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.write_str(if text == "-0" { "0" } else { text })
    }
}

impl Svg {
    /// An empty drawing with classes `c0`, `c1`, ... for `colours` categories.
    pub const fn new(width: f64, height: f64, colours: usize) -> Self {
        Self {
            width,
            height,
            colours,
            body: String::new(),
        }
    }

    /// A rectangle; `title` is shown by browsers when it is pointed at.
    pub fn rect(&mut self, class: &str, [x, y]: [f64; 2], [w, h]: [f64; 2], title: &str) {
        let [x, y, w, h] = [x, y, w, h].map(Length);
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\""
        );
        self.end("rect", title);
    }

    /// A path; `data` as SVG has it.
    pub fn path(&mut self, class: &str, data: &str) {
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(Length);
        self.path(class, &format!("M{x1} {y1}L{x2} {y2}"));
    }

    /// A text.
    pub fn text(&mut self, class: &str, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let [x, y] = [x, y].map(Length);
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>"
        );
    }

    fn end(&mut self, element: &str, title: &str) {
        if title.is_empty() {
            self.body += "/>\n";
        } else {
            let title = escaped(title);
            let _ = writeln!(self.body, "><title>{title}</title></{element}>");
        }
    }

    /// The whole drawing; `title` says what it shows to readers who cannot see it.
    pub fn finish(self, title: &str) -> String {
        let [w, h] = [self.width, self.height].map(Length);
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">\n\
             <title>{title}</title>\n<style>\n{}</style>\n<rect class=\"paper\" width=\"{w}\" height=\"{h}\"/>\n{}</svg>\n",
            style(self.colours),
            self.body
        )
    }
}

/// Text with the signs that XML reserves written as entities.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn style(colours: usize) -> String {
    let mut css = String::from(
        "text{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\n\
         .small{font-size:10px}.head{font-weight:600;font-size:13px}\n\
         .grid,.axis,.arrow,.fault,.outline{fill:none;stroke-width:1}\n\
         .fault{stroke-dasharray:4 3;stroke:#cf222e}.pale{fill-opacity:.45}\n.arrow{stroke-opacity:.45}\n",
    );
    for k in 0..colours {
        let colour = colour(k, colours);
        let _ = writeln!(
            css,
            ".c{k}{{fill:{colour}}}.l{k}{{stroke:{colour};fill:none;stroke-width:2}}"
        );
    }
    css += &theme(&LIGHT);
    let _ = writeln!(
        css,
        "@media (prefers-color-scheme:dark){{\n{}}}",
        theme(&DARK)
    );
    css
}

fn theme(t: &Theme) -> String {
    let Theme {
        ink,
        faint,
        paper,
        grid,
    } = t;
    format!(
        "text{{fill:{ink}}}text.faint{{fill:{faint}}}.paper{{fill:{paper}}}.grid{{stroke:{grid}}}\
         .axis,.outline{{stroke:{ink}}}.arrow{{stroke:{ink}}}.band{{fill:{grid};fill-opacity:.35}}.grey{{fill:{faint}}}\n"
    )
}

/// The colour of category `k` of `count`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "few categories; parts of 255"
)]
pub fn colour(k: usize, count: usize) -> String {
    if let Some(colour) = COLOURS.get(k).filter(|_| count <= COLOURS.len()) {
        return (*colour).to_owned();
    }
    // Around the circle of hues, at middle lightness.
    let hue = 6.0 * k as f64 / count as f64;
    let part = |shift: f64| {
        let at = (hue + shift) % 6.0;
        let level = (2.0 - (at - 3.0).abs()).clamp(0.0, 1.0);
        (255.0 * (0.2 + 0.6 * level)) as u8
    };
    format!("#{:02x}{:02x}{:02x}", part(3.0), part(1.0), part(5.0))
}

/// The step of an axis that is `span` long, so that it has at most `most` of them: 1, 2 or 5 times a power of ten.
pub fn step(span: f64, most: f64) -> f64 {
    let least = (span / most).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(least.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0];
    let enough = times.iter().find(|t| **t * power >= least * 0.999_999);
    enough.unwrap_or(&10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (span, most, expected) in [(10.0, 10.0, 1.0), (0.7, 8.0, 0.1), (90.0, 8.0, 20.0)] {
            assert!((step(span, most) / expected - 1.0).abs() < 1e-9, "{span}");
        }
    }

    #[test]
    fn lengths_are_short_and_texts_escaped() {
        let all: Vec<String> = [1.0, 0.5, -0.001, 12.345]
            .map(|x| Length(x).to_string())
            .into();
        assert_eq!(
            all,
            ["1", "0.5", "0", "12.35"]
                .map(str::to_owned)
                .to_vec()
                .as_slice()
        );
        let mut svg = Svg::new(10.0, 10.0, 1);
        svg.text("x", [0.0; 2], Anchor::Start, "a<b & \"c\"");
        assert!(svg.finish("t").contains("a&lt;b &amp; &quot;c&quot;"));
    }

    #[test]
    fn many_categories_have_colours_of_their_own() {
        let all: std::collections::BTreeSet<String> = (0..16).map(|k| colour(k, 16)).collect();
        assert_eq!(all.len(), 16);
    }
}
