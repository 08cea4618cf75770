//! The network as a picture: a box for every layer, as high as its map and as wide as its channels, over bars of work and memory.

use tessera_plan::{graph::Layer, plan::Plan};
use tessera_planner::text::{bytes, count};
use tessera_simulate::svg::{Anchor, Svg};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 20.0;
/// Where the boxes' middle lies, and half of the highest box.
const MIDDLE: f64 = 120.0;
const HALF: f64 = 80.0;
/// Where bars stand, and how high the highest is.
const WORK: f64 = 320.0;
const MAPS: f64 = 420.0;
const BAR: f64 = 70.0;
const HEIGHT: f64 = 450.0;

/// What a drawing of layers is scaled by.
struct Scale {
    column: f64,
    map: f64,
    channels: f64,
    macs: f64,
    bytes: f64,
}

/// Draws the layers of a plan's network, in the colours of their stages.
#[expect(clippy::cast_precision_loss, reason = "a drawing")]
pub fn draw(plan: &Plan) -> String {
    let graph = &plan.network;
    let stages = &plan.dataflow.stages;
    let most = |of: &dyn Fn(&Layer) -> f64| graph.layers.iter().map(of).fold(1.0, f64::max);
    let scale = Scale {
        column: (WIDTH - LEFT - RIGHT) / graph.layers.len().max(1) as f64,
        map: most(&|l| l.shape.h.max(l.shape.w) as f64),
        channels: most(&|l| l.shape.c as f64),
        macs: most(&|l| l.macs as f64),
        bytes: most(&|l| map_bytes(l) as f64),
    };
    let mut svg = Svg::new(WIDTH, HEIGHT, stages.len() + 1);
    for (y, name) in [
        (MIDDLE, "map"),
        (WORK, "multiply-adds"),
        (MAPS, "float32 map"),
    ] {
        svg.text("faint", [12.0, y], Anchor::Start, name);
    }
    svg.line("axis", [LEFT, WORK], [WIDTH - RIGHT, WORK]);
    svg.line("axis", [LEFT, MAPS], [WIDTH - RIGHT, MAPS]);
    let ends = stages.iter().map(|s| s.end_layer);
    for end in ends.filter(|end| *end < graph.layers.len()) {
        let x = LEFT + scale.column * end as f64;
        svg.line("grid", [x, 20.0], [x, MAPS]);
    }
    for (k, layer) in graph.layers.iter().enumerate() {
        let stage = stages
            .iter()
            .position(|s| (s.first_layer..s.end_layer).contains(&k));
        draw_layer(&mut svg, &scale, k, layer, stage.unwrap_or(stages.len()));
    }
    svg.finish(&format!(
        "The layers of {}: boxes as high as their maps and as wide as their channels, and their work",
        graph.name
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a drawing")]
fn draw_layer(svg: &mut Svg, scale: &Scale, k: usize, layer: &Layer, stage: usize) {
    let s = layer.shape;
    let left = LEFT + scale.column * k as f64;
    let middle = left + scale.column / 2.0;
    // Roots, since maps and channels differ by factors of hundreds.
    let half = (HALF * (s.h.max(s.w) as f64 / scale.map).sqrt()).max(2.0);
    let wide = (scale.column * 0.85 * (s.c as f64 / scale.channels).sqrt()).max(2.0);
    let class = format!("c{stage}");
    let title = format!(
        "layer {k}: {}, {} x {} x {}, {} multiply-adds, {}",
        layer.kind,
        s.w,
        s.h,
        s.c,
        count(layer.macs),
        bytes(map_bytes(layer)),
    );
    svg.rect(
        &class,
        [middle - wide / 2.0, MIDDLE - half],
        [wide, 2.0 * half],
        &title,
    );
    for (base, part) in [
        (WORK, layer.macs as f64 / scale.macs),
        (MAPS, map_bytes(layer) as f64 / scale.bytes),
    ] {
        let high = BAR * part;
        let bar = scale.column * 0.7;
        svg.rect(
            &class,
            [middle - bar / 2.0, base - high],
            [bar, high],
            &title,
        );
    }
    // Every number where they have room, else some of them.
    let every = (16.0 / scale.column).ceil().max(1.0) as usize;
    if k.is_multiple_of(every) {
        svg.text(
            "small faint",
            [middle, MIDDLE + HALF + 18.0],
            Anchor::Middle,
            &k.to_string(),
        );
    }
}

/// Bytes of a layer's output in float32.
fn map_bytes(layer: &Layer) -> u64 {
    4 * layer.shape.len() as u64
}
