//! Random small networks, as cfg texts: every layer kind that can be tiled, in any order.

use std::fmt::Write as _;

use proptest::prelude::*;
use tessera_plan::{
    graph::{Darknet, Graph},
    region::Shape,
};
use tessera_planner::cfg;

/// Longest side of a generated map.
const SIDE_MAX: usize = 48;

/// Raw choices for one layer; [`Net::build`] makes sense of them.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    kind: u8,
    a: u8,
    b: u8,
    c: u8,
    d: u8,
}

/// Raw choices for a network and its plan.
#[derive(Clone, Debug)]
pub struct Net {
    pub size: [usize; 3],
    pub original: bool,
    pub layers: Vec<Choice>,
    /// Bits: which layer ends are cuts.
    pub cuts: u16,
    pub grids: [[usize; 2]; 4],
    pub equal: bool,
}

/// All choices.
pub fn any_net() -> impl Strategy<Value = Net> {
    let choice =
        any::<(u8, u8, u8, u8, u8)>().prop_map(|(kind, a, b, c, d)| Choice { kind, a, b, c, d });
    let side = 3usize..=24;
    (
        (side.clone(), side, 1usize..=4),
        any::<bool>(),
        prop::collection::vec(choice, 1..=9),
        any::<u16>(),
        prop::array::uniform4(prop::array::uniform2(1usize..=5)),
        any::<bool>(),
    )
        .prop_map(|((w, h, c), original, layers, cuts, grids, equal)| Net {
            size: [w, h, c],
            original,
            layers,
            cuts,
            grids,
            equal,
        })
}

impl Net {
    /// The cfg and what the front end makes of it. Choices that make no valid layer are left out.
    pub fn build(&self) -> (String, Graph) {
        let [w, h, c] = self.size;
        let darknet = if self.original {
            Darknet::Pjreddie
        } else {
            Darknet::Alexey
        };
        let read = |text: &str| cfg::read(text.as_bytes(), "random", darknet).0;
        let mut text = format!("[net]\nwidth={w}\nheight={h}\nchannels={c}\n");
        let mut shapes: Vec<Shape> = vec![Shape::new(h, w, c)];
        let mut graph = None;
        for choice in &self.layers {
            let more = choice.layer(&shapes);
            let longer = format!("{text}{more}");
            let Some(g) = read(&longer) else { continue };
            if g.layers.iter().any(|l| l.shape.h.max(l.shape.w) > SIDE_MAX) {
                continue;
            }
            shapes.truncate(1);
            shapes.extend(g.layers.iter().map(|l| l.shape));
            text = longer;
            graph = Some(g);
        }
        let graph = graph.unwrap_or_else(|| {
            let _ = writeln!(text, "[convolutional]\nfilters=2\nsize=3\npad=1");
            read(&text).expect("a plain convolution is valid")
        });
        (text, graph)
    }
}

impl Choice {
    /// One layer (or a small group that belongs together) after layers of `shapes`; index 0 is
    /// the network's input. May be invalid: the front end has the last word.
    fn layer(self, shapes: &[Shape]) -> String {
        let Self { kind, a, b, c, d } = self;
        let last = *shapes.last().expect("the input at least");
        let mut s = String::new();
        let section = |s: &mut String, name: &str, keys: &[(&str, i64)]| {
            let _ = writeln!(s, "[{name}]");
            for (k, v) in keys {
                let _ = writeln!(s, "{k}={v}");
            }
        };
        let pick = |v: u8, from: &[i64]| from[usize::from(v) % from.len()];
        // A reference to an earlier layer that satisfies `fits`, chosen by `v`.
        let earlier = |v: u8, fits: &dyn Fn(Shape) -> bool| -> Option<i64> {
            let list: Vec<i64> = (1..shapes.len())
                .filter(|i| fits(shapes[*i]))
                .map(|i| i as i64 - 1)
                .collect();
            (!list.is_empty()).then(|| pick(v, &list))
        };
        let same_side = |o: Shape| (o.h, o.w) == (last.h, last.w);
        match kind % 20 {
            // Convolutions: half of all layers.
            0..=7 => {
                let groups = pick(d, &[1, 1, 1, 2, last.c as i64]);
                let size = pick(a, &[1, 1, 2, 3, 3, 3, 4, 5]);
                let mut keys = vec![
                    // With 32, convolutions may write into a concatenation.
                    ("filters", groups * pick(b, &[1, 2, 3, 32])),
                    ("size", size),
                    ("groups", groups),
                    ("stride", pick(c, &[1, 1, 1, 2, 3])),
                ];
                match c / 8 % 4 {
                    0 => keys.push(("pad", 1)),
                    1 => keys.extend([("pad", 1), ("dilation", pick(b, &[2, 3, 4]))]),
                    2 => keys.push(("padding", pick(b, &[0, 1, 2]))),
                    _ => keys.extend([("pad", 1), ("stride_x", pick(b, &[1, 2]))]),
                }
                section(&mut s, "convolutional", &keys);
                if d % 4 > 0 {
                    s.push_str("activation=leaky\n");
                }
            }
            8 | 9 => {
                let mut keys = vec![
                    ("size", pick(a, &[1, 2, 2, 3, 4, 5])),
                    ("stride", pick(b, &[1, 2, 2, 3])),
                ];
                if c % 2 == 0 {
                    keys.push(("padding", pick(d, &[0, 1, 2, 3])));
                }
                if c % 8 == 1 {
                    keys.push(("antialiasing", 1 + i64::from(d % 2)));
                }
                section(
                    &mut s,
                    if a % 3 == 0 {
                        "local_avgpool"
                    } else {
                        "maxpool"
                    },
                    &keys,
                );
            }
            // Two convolutions of the same map, which write side by side.
            10 if shapes.len() > 1 && c % 2 == 0 => {
                let size = pick(a, &[1, 3]);
                let conv = |filters: i64, size: i64| {
                    format!(
                        "[convolutional]\nfilters={filters}\nsize={size}\npad=1\nactivation=leaky\n"
                    )
                };
                s.push_str(&conv(32, size));
                section(&mut s, "route", &[("layers", -2)]);
                s.push_str(&conv(33, 3));
                match earlier(b, &same_side).filter(|_| d % 2 == 0) {
                    Some(to) => s.push_str(&format!("[route]\nlayers=-1,{to},-3\n")),
                    None => s.push_str("[route]\nlayers=-3,-1\n"),
                }
            }
            10 | 11 => {
                if let Some(to) = earlier(a, &same_side) {
                    let groups = 1 + i64::from(b % 2);
                    let _ = writeln!(
                        s,
                        "[route]\nlayers=-1,{to}\ngroups={groups}\ngroup_id={}",
                        groups - 1
                    );
                }
            }
            12 if last.c.is_multiple_of(2) && b % 3 > 0 => {
                // A slice, read by a convolution or by whatever comes next.
                let _ = writeln!(s, "[route]\nlayers=-1\ngroups=2\ngroup_id={}", b % 2);
                if d % 2 == 0 {
                    s.push_str("[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n");
                }
            }
            12 => {
                if let Some(to) = earlier(a, &|_| true) {
                    section(&mut s, "route", &[("layers", to)]);
                }
            }
            13 => {
                if let Some(to) = earlier(a, &same_side) {
                    let _ = writeln!(s, "[shortcut]\nfrom={to}\nactivation=leaky");
                }
            }
            14 => {
                // Only the original fork's rule takes these.
                let ratio = |o: Shape| {
                    !same_side(o)
                        && ((o.h % last.h, o.w % last.w) == (0, 0)
                            || (last.h % o.h, last.w % o.w) == (0, 0))
                };
                if let Some(to) = earlier(a, &ratio) {
                    section(&mut s, "shortcut", &[("from", to)]);
                }
            }
            15 => section(&mut s, "upsample", &[("stride", pick(a, &[2, 2, 3, -2]))]),
            16 => section(
                &mut s,
                "reorg3d",
                &[("stride", 2), ("reverse", i64::from(a % 2))],
            ),
            17 => match a % 5 {
                0 => section(&mut s, "batchnorm", &[]),
                1 => s.push_str("[activation]\nactivation=mish\n"),
                2 => section(&mut s, "dropout", &[]),
                3 => section(&mut s, "normalization", &[("size", 3)]),
                _ => section(
                    &mut s,
                    "maxpool",
                    &[("maxpool_depth", 1), ("out_channels", pick(b, &[1, 2]))],
                ),
            },
            18 => match a % 3 {
                0 => {
                    if let Some(to) = earlier(b, &|o| o == last) {
                        section(&mut s, "sam", &[("from", to)]);
                    }
                }
                1 => {
                    section(&mut s, "convolutional", &[("filters", 1)]);
                    section(&mut s, "scale_channels", &[("from", -2), ("scale_wh", 1)]);
                }
                _ => {
                    let keys = [("size", last.h as i64), ("padding", 0)];
                    section(&mut s, "local_avgpool", &keys);
                    section(&mut s, "scale_channels", &[("from", -2)]);
                }
            },
            // A head in the middle: another output. The network goes on from before it.
            _ => {
                section(&mut s, "convolutional", &[("filters", 6)]);
                section(&mut s, "yolo", &[("classes", 1)]);
                section(&mut s, "route", &[("layers", -3)]);
            }
        }
        s
    }
}
