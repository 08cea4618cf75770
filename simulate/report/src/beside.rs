//! What other commands made of the plan, for the same page: drawings of `simulate` and `paper`, measurements of `bench`.

use maud::{Markup, html};
use serde::Deserialize;
use tessera_planner::text::plural;

/// See the module. Nothing of it need be there.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Runs in virtual time: `simulate --svg`.
    pub runs: Vec<Drawing>,
    /// Measurements on a machine: `bench --json`.
    pub benches: Vec<Bench>,
    /// Figures of the evaluation: `paper`.
    pub figures: Vec<Drawing>,
}

/// A drawing.
#[derive(Clone, Debug)]
pub struct Drawing {
    name: String,
    svg: String,
}

/// A measurement, as `bench --json` writes it. What else it says is left out.
#[derive(Clone, Debug, Deserialize)]
pub struct Bench {
    /// Name of the plan that was measured.
    plan: String,
    threads: usize,
    frames: usize,
    parts: Vec<Measured>,
    layers: Vec<Measured>,
}

/// A line of a measurement: seconds, and billions of operations per second at best.
#[derive(Clone, Debug, Deserialize)]
struct Measured {
    #[serde(alias = "part", alias = "layer")]
    name: String,
    #[serde(default)]
    kernel: String,
    min_s: f64,
    median_s: f64,
    gflops: f64,
}

impl Drawing {
    /// An SVG file that is called `name` unless it has a title; `None` if it is none.
    pub fn new(name: &str, svg: &str) -> Option<Self> {
        let begin = svg.trim_start();
        let is_svg = begin.starts_with("<svg") || begin.starts_with("<?xml");
        if !is_svg || !svg.contains("<svg") {
            return None;
        }
        let title = || {
            let (_, rest) = svg.split_once("<title>")?;
            let (title, _) = rest.split_once("</title>")?;
            // The page writes `&` and `<` as it has to.
            let plain = title.replace("&lt;", "<").replace("&gt;", ">");
            Some(plain.replace("&amp;", "&"))
        };
        Some(Self {
            name: title().unwrap_or_else(|| name.to_owned()),
            svg: svg.to_owned(),
        })
    }

    /// As a picture: what is in it runs nothing and loads nothing, wherever it is from.
    fn show(&self) -> Markup {
        let data = format!("data:image/svg+xml,{}", encoded(&self.svg));
        html! {
            figure.drawing {
                figcaption { (self.name) }
                div.wide { img alt=(self.name) src=(data); }
            }
        }
    }
}

/// Bytes as a URL has them (RFC 3986, section 2.3): letters, digits and few signs are themselves.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(2 * text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

impl Beside {
    /// The page's sections; `plan`: name of the page's plan.
    pub(crate) fn sections(&self, plan: &str) -> Markup {
        html! {
            @if !self.runs.is_empty() {
                h2 { "Runs in virtual time" }
                @for run in &self.runs { (run.show()) }
            }
            @if !self.benches.is_empty() {
                h2 { "Measured on a machine" }
                @for bench in &self.benches { (bench.show(plan)) }
            }
            @if !self.figures.is_empty() {
                h2 { "Figures of the evaluation" }
                div.figures { @for figure in &self.figures { (figure.show()) } }
            }
        }
    }
}

impl Bench {
    fn show(&self, plan: &str) -> Markup {
        let most = self.layers.iter().map(|l| l.median_s).fold(0.0, f64::max);
        let head = |first: &str| {
            html! { thead { tr { th { (first) } th { } th.n { "median" } th.n { "best" } th.n { "GFLOP/s" } th { } } } }
        };
        let row = |m: &Measured, bar: bool| {
            html! { tr {
                td { (m.name) } td { code { (m.kernel) } }
                td.n { (milliseconds(m.median_s)) } td.n { (milliseconds(m.min_s)) } td.n { (format!("{:.1}", m.gflops)) }
                td { @if bar { meter min="0" max=(most) value=(m.median_s) { } } }
            } }
        };
        html! {
            p {
                (plural(self.frames, "frame")) " on " (plural(self.threads, "thread"))
                @if self.plan != plan { ", of another plan, " code { (self.plan) } }
            }
            div.wide { table {
                (head("part"))
                tbody { @for part in &self.parts { (row(part, false)) } }
                (head("layer"))
                tbody { @for layer in &self.layers { (row(layer, true)) } }
            } }
        }
    }
}

fn milliseconds(s: f64) -> String {
    format!("{:.2} ms", s * 1e3)
}
