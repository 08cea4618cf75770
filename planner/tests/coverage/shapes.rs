//! Shapes by the formulas of `docs/darknet.md#layers`, worked out apart from the front end.

use tessera_plan::{graph::Darknet, region::Shape};
use tessera_planner::cfg;

use crate::{cfgs, sections};

struct Keys<'a>(&'a [(String, String)]);

impl Keys<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    fn int(&self, key: &str, default: i64) -> i64 {
        let number = |v: &str| v.split('#').next().unwrap().parse().unwrap();
        self.text(key).map_or(default, number)
    }

    fn list(&self, key: &str, here: usize) -> Vec<usize> {
        self.text(key)
            .unwrap()
            .split(',')
            .map(|v| match v.parse::<i64>().unwrap() {
                i if i < 0 => (here as i64 + i) as usize,
                i => i as usize,
            })
            .collect()
    }
}

/// `(C, H, W)` of a layer. `None`: it has no shape of its own.
fn shape(name: &str, k: &Keys<'_>, before: &[[i64; 3]], input: [i64; 3]) -> [i64; 3] {
    let here = before.len();
    let [c, h, w] = before.last().copied().unwrap_or(input);
    let stride = k.int("stride", 1);
    let either = |key| match k.int(key, -1) {
        s if s < 1 => stride,
        s => s,
    };
    let (sx, sy) = (either("stride_x"), either("stride_y"));
    // Antialiasing: the layer runs at stride 1, then a blur of 3 (padding 1) or 2 (none) strides.
    let blurred = |h: i64, w: i64| match k.int("antialiasing", 0) {
        0 => (h, w),
        1 => ((h + 2 - 3) / sy + 1, (w + 2 - 3) / sx + 1),
        _ => ((h - 2) / sy + 1, (w - 2) / sx + 1),
    };
    let once = k.int("antialiasing", 0) != 0;
    let (ty, tx) = if once { (1, 1) } else { (sy, sx) };
    match name {
        "convolutional" | "conv" => {
            let size = k.int("size", 1);
            let p = if k.int("pad", 0) != 0 {
                size / 2
            } else {
                k.int("padding", 0)
            };
            let (oh, ow) = ((h + 2 * p - size) / ty + 1, (w + 2 * p - size) / tx + 1);
            let (oh, ow) = blurred(oh, ow);
            [k.int("filters", 1), oh, ow]
        }
        "maxpool" | "max" if k.int("maxpool_depth", 0) != 0 => [k.int("out_channels", 1), h, w],
        "maxpool" | "max" | "local_avgpool" => {
            let size = k.int("size", stride);
            let padding = k.int("padding", size - 1);
            let (oh, ow) = ((h + padding - size) / ty + 1, (w + padding - size) / tx + 1);
            let (oh, ow) = blurred(oh, ow);
            [c, oh, ow]
        }
        "avgpool" | "avg" => [c, 1, 1],
        "route" => {
            let groups = k.int("groups", 1);
            let parts = k.list("layers", here);
            let [_, h, w] = before[parts[0]];
            [parts.iter().map(|p| before[*p][0] / groups).sum(), h, w]
        }
        "upsample" => match k.int("stride", 2) {
            s if s > 0 => [c, h * s, w * s],
            s => [c, h / -s, w / -s],
        },
        "reorg" | "reorg3d" => {
            let s = stride;
            if k.int("reverse", 0) != 0 {
                [c / (s * s), h * s, w * s]
            } else {
                [c * s * s, h / s, w / s]
            }
        }
        "scale_channels" => before[k.list("from", here)[0]],
        "connected" | "conn" => [k.int("output", 1), 1, 1],
        "local" => {
            let reach = if k.int("pad", 0) != 0 {
                1
            } else {
                k.int("size", 1)
            };
            [
                k.int("filters", 1),
                (h - reach) / stride + 1,
                (w - reach) / stride + 1,
            ]
        }
        "crop" => [c, k.int("crop_height", 1), k.int("crop_width", 1)],
        "softmax" | "soft" | "detection" => [c * h * w, 1, 1],
        _ => [c, h, w],
    }
}

/// Compares all layers; gives their number.
fn compare(name: &str, text: &str, darknet: Darknet) -> usize {
    let (graph, said) = cfg::read(text.as_bytes(), name, darknet);
    let graph = graph.unwrap_or_else(|| panic!("{name}: {said:?}"));
    let all = sections(text);
    let net = Keys(&all[0].1);
    let input = ["channels", "height", "width"].map(|key| net.int(key, 0));
    let mut before = Vec::new();
    for (i, (kind, entries)) in all[1..].iter().enumerate() {
        let want = shape(kind, &Keys(entries), &before, input);
        let [c, h, w] = want.map(|v| v as usize);
        assert_eq!(
            graph.layers[i].shape,
            Shape::new(h, w, c),
            "{name}: layer {i} [{kind}]"
        );
        before.push(want);
    }
    assert_eq!(graph.layers.len(), before.len());
    before.len()
}

#[test]
fn all_layers_have_the_shapes_of_the_formulas() {
    let mut layers = 0;
    for (name, text) in cfgs("tests/nets").into_iter().chain(cfgs("models")) {
        let fork = if name.contains("resized") {
            Darknet::Pjreddie
        } else {
            Darknet::Alexey
        };
        layers += compare(&name, &text, fork);
    }
    assert!(layers > 500, "{layers}");
}

#[test]
fn every_small_window() {
    // Even sizes with pad, strides per axis, paddings, floor and ceil pools.
    for size in 1..=5 {
        for stride in 1..=3 {
            for pad in 0..=1 {
                for (w, h) in [(5, 7), (8, 6), (11, 9)] {
                    let net = format!("[net]\nwidth={w}\nheight={h}\nchannels=2\n");
                    let keys = format!("size={size}\nstride={stride}\n");
                    let text = format!("{net}[convolutional]\n{keys}pad={pad}\n");
                    compare("conv", &text, Darknet::Alexey);
                    compare("conv", &format!("{text}stride_x={pad}\n"), Darknet::Alexey);
                    compare("pool", &format!("{net}[maxpool]\n{keys}"), Darknet::Alexey);
                    let floor = format!("{net}[local_avgpool]\n{keys}padding=0\n");
                    compare("pool", &floor, Darknet::Alexey);
                }
            }
        }
    }
}
