//! Drawings of the figures, as SVG for light and dark pages.

mod bars;
mod lines;

pub use bars::{Bars, Series, bars};
pub use lines::{Axis, Line, Lines, Mark, lines};

use tessera_simulate::svg::{Anchor, Svg};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 392.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 48.0;

/// The title, the names of series behind squares of their colours, and what both axes show.
fn frame(title: &str, names: &[&str], values: &str, across: &str) -> Svg {
    let mut svg = Svg::new(WIDTH, HEIGHT, names.len());
    svg.text("head", [12.0, 20.0], Anchor::Start, title);
    let mut x = 12.0;
    for (k, name) in names.iter().enumerate() {
        svg.rect(&format!("c{k}"), [x, 32.0], [12.0, 9.0], "");
        svg.text("", [x + 17.0, 41.0], Anchor::Start, name);
        x += 36.0 + 6.8 * f64::from(u32::try_from(name.chars().count()).unwrap_or(0));
    }
    svg.text("faint", [12.0, TOP - 16.0], Anchor::Start, values);
    let at = [LEFT + 0.5 * (WIDTH - LEFT - RIGHT), HEIGHT - 10.0];
    svg.text("faint", at, Anchor::Middle, across);
    svg
}

/// A horizontal line with a number at its left end.
fn tick(svg: &mut Svg, y: f64, value: f64) {
    svg.line("grid", [LEFT, y], [WIDTH - RIGHT, y]);
    let label = format!("{}", (value * 1e6).round() / 1e6);
    svg.text("faint", [LEFT - 6.0, y + 4.0], Anchor::End, &label);
}
