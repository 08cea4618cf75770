//! Drawings of the figures, as SVG for light and dark pages.

mod bars;
mod lines;

pub use bars::{Bars, Series, bars};
pub use lines::{Axis, Line, Lines, Mark, lines};

use tessera_simulate::svg::{Anchor, Svg};

const WIDTH: f64 = 1000.0;
/// Height of a drawing whose legend has one line.
const HEIGHT: f64 = 392.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 48.0;
/// Height of a further line of the legend.
const LINE: f64 = 16.0;

/// A drawing under way, and where its axes are.
struct Frame {
    svg: Svg,
    /// Where the axis of values ends.
    top: f64,
    /// Where it begins.
    foot: f64,
}

/// The title, the names of series behind squares of their classes (`colours` colours in all), and what both axes show.
fn frame(
    title: &str,
    names: &[(String, &str)],
    colours: usize,
    values: &str,
    across: &str,
) -> Frame {
    let length =
        |name: &str| 36.0 + 6.8 * f64::from(u32::try_from(name.chars().count()).unwrap_or(0));
    let (mut places, mut x, mut y) = (Vec::new(), 12.0, 32.0);
    for (_, name) in names {
        if x > 12.0 && x + length(name) > WIDTH {
            (x, y) = (12.0, y + LINE);
        }
        places.push([x, y]);
        x += length(name);
    }
    let more = y - 32.0;
    let mut svg = Svg::new(WIDTH, HEIGHT + more, colours);
    svg.text("head", [12.0, 20.0], Anchor::Start, title);
    for ((class, name), [x, y]) in names.iter().zip(places) {
        svg.rect(class, [x, y], [12.0, 9.0], "");
        svg.text("", [x + 17.0, y + 9.0], Anchor::Start, name);
    }
    let (top, foot) = (TOP + more, HEIGHT + more - BOTTOM);
    svg.text("faint", [12.0, top - 16.0], Anchor::Start, values);
    let at = [LEFT + 0.5 * (WIDTH - LEFT - RIGHT), foot + BOTTOM - 10.0];
    svg.text("faint", at, Anchor::Middle, across);
    Frame { svg, top, foot }
}

/// A horizontal line with a number at its left end.
fn tick(svg: &mut Svg, y: f64, value: f64) {
    svg.line("grid", [LEFT, y], [WIDTH - RIGHT, y]);
    let label = format!("{}", (value * 1e6).round() / 1e6);
    svg.text("faint", [LEFT - 6.0, y + 4.0], Anchor::End, &label);
}
