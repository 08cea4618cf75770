//! Bars side by side, as SVG for light and dark pages.

use tessera_simulate::svg::{Anchor, Svg, step};

/// A row of bars of one kind: a name, and a value per group; `None` for no bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Values, one per group.
    pub values: Vec<Option<f64>>,
}

/// Groups of bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars<'a> {
    /// What the drawing shows.
    pub title: &'a str,
    /// The axis of values, with its unit.
    pub values: &'a str,
    /// The axis of groups.
    pub groups: &'a str,
    /// Names of the groups.
    pub names: Vec<String>,
    /// The bars.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 392.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 48.0;

/// Draws bars.
#[expect(clippy::cast_precision_loss, reason = "few bars")]
pub fn bars(b: &Bars<'_>) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT, b.series.len());
    svg.text("head", [12.0, 20.0], Anchor::Start, b.title);
    let mut x = 12.0;
    for (k, s) in b.series.iter().enumerate() {
        svg.rect(&format!("c{k}"), [x, 32.0], [12.0, 9.0], "");
        svg.text("", [x + 17.0, 41.0], Anchor::Start, &s.name);
        x += 36.0 + 6.8 * s.name.chars().count() as f64;
    }
    let all = b.series.iter().flat_map(|s| s.values.iter().flatten());
    let most = all.fold(0.0_f64, |a, v| a.max(*v)).max(1e-9);
    let step = step(most, 6.0);
    let top = (most / step).ceil() * step;
    let y = |v: f64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * v / top;
    let mut tick = 0.0;
    while tick <= top * 1.000_001 {
        svg.line("grid", [LEFT, y(tick)], [WIDTH - RIGHT, y(tick)]);
        let label = format!("{}", (tick * 1e6).round() / 1e6);
        svg.text("faint", [LEFT - 6.0, y(tick) + 4.0], Anchor::End, &label);
        tick += step;
    }
    svg.text("faint", [12.0, TOP - 16.0], Anchor::Start, b.values);
    let group = (WIDTH - LEFT - RIGHT) / b.names.len().max(1) as f64;
    let w = 0.8 * group / b.series.len().max(1) as f64;
    for (g, name) in b.names.iter().enumerate() {
        let from = LEFT + group * g as f64 + 0.1 * group;
        for (k, s) in b.series.iter().enumerate() {
            let Some(v) = s.values.get(g).copied().flatten() else {
                continue;
            };
            let at = [from + w * k as f64, y(v)];
            let title = format!("{}, {name}: {v:.2}", s.name);
            svg.rect(
                &format!("c{k}"),
                at,
                [(w - 1.0).max(1.0), y(0.0) - y(v)],
                &title,
            );
            if w > 26.0 {
                let at = [at[0] + 0.5 * w, y(v) - 4.0];
                svg.text("small", at, Anchor::Middle, &format!("{v:.1}"));
            }
        }
        let at = [from + 0.4 * group, HEIGHT - BOTTOM + 16.0];
        svg.text("", at, Anchor::Middle, name);
    }
    svg.line("axis", [LEFT, y(0.0)], [WIDTH - RIGHT, y(0.0)]);
    let at = [LEFT + 0.5 * (WIDTH - LEFT - RIGHT), HEIGHT - 10.0];
    svg.text("faint", at, Anchor::Middle, b.groups);
    svg.finish(b.title)
}
