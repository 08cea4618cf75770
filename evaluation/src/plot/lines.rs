//! Lines through points.

use std::fmt::Write as _;

use tessera_simulate::svg::{Anchor, Length, step};

use super::{Frame, LEFT, RIGHT, WIDTH, frame, tick};

/// Points of one kind, from left to right; `None` breaks the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Where the points are, and how high.
    pub points: Vec<(f64, Option<f64>)>,
}

/// How an axis spreads its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// From 0 on, by differences.
    Linear,
    /// By quotients: twice as much is as far everywhere.
    Doubling,
}

/// Something that happens at a place of the horizontal axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The place.
    pub at: f64,
    /// What happens.
    pub text: String,
}

/// Lines in one drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines<'a> {
    /// What the drawing shows.
    pub title: &'a str,
    /// The vertical axis, with its unit.
    pub values: &'a str,
    /// The horizontal axis, with its unit.
    pub across: &'a str,
    /// How both axes are spread: horizontal, vertical.
    pub axes: [Axis; 2],
    /// Numbers of the horizontal axis; empty to choose round ones.
    pub ticks: Vec<f64>,
    /// Dashed vertical lines.
    pub marks: Vec<Mark>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// An axis between two ends of the drawing.
struct Scale {
    axis: Axis,
    values: [f64; 2],
    ends: [f64; 2],
}

impl Scale {
    fn at(&self, v: f64) -> f64 {
        let [lo, hi] = self.values;
        let share = match self.axis {
            Axis::Linear => (v - lo) / (hi - lo),
            Axis::Doubling => (v / lo).ln() / (hi / lo).ln(),
        };
        self.ends[0] + (self.ends[1] - self.ends[0]) * share
    }

    /// Numbers to be written on the axis.
    fn ticks(&self) -> Vec<f64> {
        let [lo, hi] = self.values;
        let mut list = Vec::new();
        match self.axis {
            Axis::Linear => {
                let step = step(hi - lo, 8.0);
                let mut at = lo;
                while at <= hi * 1.000_001 {
                    list.push(at);
                    at += step;
                }
            }
            Axis::Doubling => {
                let mut power = 10_f64.powf(lo.log10().floor());
                while power <= hi {
                    let of_ten = [1.0, 2.0, 5.0].map(|t| t * power);
                    let inside = |v: &f64| *v >= lo * 0.999_999 && *v <= hi * 1.000_001;
                    list.extend(of_ten.into_iter().filter(inside));
                    power *= 10.0;
                }
            }
        }
        list
    }
}

/// The range of an axis that shows all of `values`: from 0, or between numbers that are written on it.
fn range(axis: Axis, values: impl Iterator<Item = f64> + Clone, exact: bool) -> [f64; 2] {
    let most = values.clone().fold(1e-9_f64, f64::max);
    let least = values.fold(most, f64::min).max(1e-9);
    match axis {
        Axis::Linear if exact => [0.0, most],
        Axis::Linear => {
            let step = step(most, 8.0);
            [0.0, (most / step).ceil() * step]
        }
        Axis::Doubling if exact => [least, most],
        Axis::Doubling => {
            let round = |v: f64, up: bool| {
                let power = 10_f64.powf(v.log10().floor());
                let steps = [1.0, 2.0, 5.0, 10.0].map(|t| t * power);
                let above = steps.iter().find(|s| **s >= v * 0.999_999);
                let below = steps.iter().rev().find(|s| **s <= v * 1.000_001);
                *if up { above } else { below }.unwrap_or(&v)
            };
            [round(least, false), round(most, true)]
        }
    }
}

/// Draws lines.
pub fn lines(l: &Lines<'_>) -> String {
    let names = l.lines.iter().enumerate();
    let names: Vec<(String, &str)> = names
        .map(|(k, s)| (format!("c{k}"), s.name.as_str()))
        .collect();
    let Frame { mut svg, top, foot } = frame(l.title, &names, names.len(), l.values, l.across);
    let points = || l.lines.iter().flat_map(|s| s.points.iter());
    let heights = points().filter_map(|(_, v)| *v);
    let x = Scale {
        axis: l.axes[0],
        values: range(l.axes[0], points().map(|(x, _)| *x), true),
        ends: [LEFT + 24.0, WIDTH - RIGHT - 24.0],
    };
    let y = Scale {
        axis: l.axes[1],
        values: range(l.axes[1], heights, false),
        ends: [foot, top],
    };
    for v in y.ticks() {
        tick(&mut svg, y.at(v), v);
    }
    let across = match l.ticks.is_empty() {
        true => x.ticks(),
        false => l.ticks.clone(),
    };
    for v in across {
        let at = [x.at(v), foot + 16.0];
        svg.text("", at, Anchor::Middle, &format!("{v}"));
    }
    for mark in &l.marks {
        let at = x.at(mark.at);
        svg.line("fault", [at, top], [at, foot]);
        svg.text("small", [at + 4.0, top + 8.0], Anchor::Start, &mark.text);
    }
    for (k, line) in l.lines.iter().enumerate() {
        let (mut path, mut begun) = (String::new(), false);
        for (at, v) in &line.points {
            let Some(v) = v else {
                begun = false;
                continue;
            };
            let letter = if begun { 'L' } else { 'M' };
            let _ = write!(path, "{letter}{} {}", Length(x.at(*at)), Length(y.at(*v)));
            begun = true;
        }
        svg.path(&format!("l{k}"), &path);
        for (at, v) in &line.points {
            if let Some(v) = v {
                let corner = [x.at(*at) - 3.0, y.at(*v) - 3.0];
                let title = format!("{}, {at}: {v:.3}", line.name);
                svg.rect(&format!("c{k}"), corner, [6.0; 2], &title);
            }
        }
    }
    svg.line("axis", [LEFT, foot], [WIDTH - RIGHT, foot]);
    svg.finish(l.title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_round_numbers() {
        let of = |axis, values: &[f64]| range(axis, values.iter().copied(), false);
        assert_eq!(of(Axis::Linear, &[0.3, 7.2]), [0.0, 8.0]);
        let [lo, hi] = of(Axis::Doubling, &[0.31, 7.2]);
        assert!((lo - 0.2).abs() < 1e-9 && (hi - 10.0).abs() < 1e-9);
        let scale = Scale {
            axis: Axis::Doubling,
            values: [1.0, 64.0],
            ends: [0.0, 6.0],
        };
        assert!((scale.at(8.0) - 3.0).abs() < 1e-9);
        assert_eq!(scale.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
    }
}
