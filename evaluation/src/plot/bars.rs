//! Bars side by side.

use tessera_simulate::svg::{Anchor, step};

use super::{Frame, LEFT, RIGHT, WIDTH, frame, tick};

/// A row of bars of one kind: a name, and a value per group; `None` for no bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Values, one per group.
    pub values: Vec<Option<f64>>,
    /// Whether the bars are to be compared with those of the next series: they have its colour, and are pale.
    pub pale: bool,
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

/// Draws bars.
#[expect(clippy::cast_precision_loss, reason = "few bars")]
pub fn bars(b: &Bars<'_>) -> String {
    let (mut classes, mut colours) = (Vec::new(), 0);
    for s in &b.series {
        classes.push(match s.pale {
            true => format!("c{colours} pale"),
            false => format!("c{colours}"),
        });
        colours += usize::from(!s.pale);
    }
    let names = b.series.iter().map(|s| s.name.as_str());
    let names: Vec<(String, &str)> = classes.iter().cloned().zip(names).collect();
    // A pale series that nothing follows has a colour too.
    let colours = colours + usize::from(b.series.last().is_some_and(|s| s.pale));
    let Frame {
        mut svg,
        top: ceiling,
        foot,
    } = frame(b.title, &names, colours, b.values, b.groups);
    let all = b.series.iter().flat_map(|s| s.values.iter().flatten());
    let most = all.fold(0.0_f64, |a, v| a.max(*v)).max(1e-9);
    let step = step(most, 6.0);
    let top = (most / step).ceil() * step;
    let y = |v: f64| foot - (foot - ceiling) * v / top;
    let mut at = 0.0;
    while at <= top * 1.000_001 {
        tick(&mut svg, y(at), at);
        at += step;
    }
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
            svg.rect(&classes[k], at, [(w - 1.0).max(1.0), y(0.0) - y(v)], &title);
            if w > 26.0 {
                let at = [at[0] + 0.5 * w, y(v) - 4.0];
                svg.text("small", at, Anchor::Middle, &format!("{v:.1}"));
            }
        }
        let at = [from + 0.4 * group, foot + 16.0];
        svg.text("", at, Anchor::Middle, name);
    }
    svg.line("axis", [LEFT, y(0.0)], [WIDTH - RIGHT, y(0.0)]);
    svg.finish(b.title)
}
