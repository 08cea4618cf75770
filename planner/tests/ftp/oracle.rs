//! What a tile needs, found the slow way: pixel by pixel, from the definition of every operation
//! (`docs/darknet.md#layers`). Shares no geometry with the planner.

use std::collections::{BTreeMap, BTreeSet};

use tessera_plan::{
    graph::{Graph, Node, NodeIx, Op, ShortcutKind, TensorIx},
    region::{Region, Span},
};

/// A pixel's row and column; outside of the map where an operation reads padding.
pub type Pixel = (i64, i64);

/// A box of pixels, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Box2 {
    pub y: (i64, i64),
    pub x: (i64, i64),
}

impl Box2 {
    /// The smallest box around pixels; `None` around none.
    pub fn around(pixels: impl IntoIterator<Item = Pixel>) -> Option<Self> {
        pixels.into_iter().fold(None, |b: Option<Self>, (y, x)| {
            Some(b.map_or(
                Self {
                    y: (y, y + 1),
                    x: (x, x + 1),
                },
                |b| Self {
                    y: (b.y.0.min(y), b.y.1.max(y + 1)),
                    x: (b.x.0.min(x), b.x.1.max(x + 1)),
                },
            ))
        })
    }

    pub fn pixels(self) -> impl Iterator<Item = Pixel> {
        (self.y.0..self.y.1).flat_map(move |y| (self.x.0..self.x.1).map(move |x| (y, x)))
    }

    pub fn of(r: &Region) -> Option<Self> {
        let pair = |s: Span| (s.lo as i64, s.hi as i64);
        (!r.is_empty()).then(|| Self {
            y: pair(r.y),
            x: pair(r.x),
        })
    }

    pub fn size(self) -> (usize, usize) {
        (
            (self.y.1 - self.y.0) as usize,
            (self.x.1 - self.x.0) as usize,
        )
    }

    pub fn contains(self, (y, x): Pixel) -> bool {
        (self.y.0..self.y.1).contains(&y) && (self.x.0..self.x.1).contains(&x)
    }
}

/// Pixels of input `k` that output pixel `(y, x)` of `node` is computed from.
pub fn reads(graph: &Graph, node: &Node, k: usize, (y, x): Pixel) -> Vec<Pixel> {
    let window = |size: usize, stride: (usize, usize), pad: usize, dilation: usize| {
        let mut list = Vec::new();
        for ky in 0..size {
            for kx in 0..size {
                list.push((
                    y * stride.0 as i64 - pad as i64 + (ky * dilation) as i64,
                    x * stride.1 as i64 - pad as i64 + (kx * dilation) as i64,
                ));
            }
        }
        list
    };
    match &node.op {
        Op::Conv(c) => window(c.size, (c.stride_y, c.stride_x), c.pad, c.dilation),
        Op::MaxPool(p) | Op::LocalAvgPool(p) => {
            window(p.size, (p.stride_y, p.stride_x), p.pad_before, 1)
        }
        Op::Upsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: true,
        } => vec![(y / *stride as i64, x / *stride as i64)],
        Op::Downsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: false,
        } => window(*stride, (*stride, *stride), 0, 1),
        Op::Shortcut {
            kind: ShortcutKind::Resized { down, up, .. },
            ..
        } if k == 1 => {
            let (down, up) = (*down as i64, *up as i64);
            if y % up == 0 && x % up == 0 {
                vec![(y / up * down, x / up * down)]
            } else {
                Vec::new()
            }
        }
        Op::ScaleChannels {
            per_pixel: false, ..
        } if k == 0 => vec![(0, 0)],
        Op::Concat(_)
        | Op::MaxPoolDepth { .. }
        | Op::Shortcut { .. }
        | Op::BatchNorm
        | Op::Activate(_)
        | Op::Sam { .. }
        | Op::ScaleChannels { .. }
        | Op::Lrn { .. }
        | Op::Yolo { .. }
        | Op::GaussianYolo { .. }
        | Op::Region { .. } => vec![(y, x)],
        other => panic!("{other:?} in a tiled stage of {}", graph.name),
    }
}

/// What one node needs of its input `k` for the output box `out`: the box of the pixels inside
/// the map, and how far reads go beyond it above, below, left and right.
pub fn need(graph: &Graph, node: &Node, k: usize, out: Box2) -> (Option<Box2>, [i64; 4]) {
    let shape = graph.shape(node.inputs[k]);
    let map = Box2 {
        y: (0, shape.h as i64),
        x: (0, shape.w as i64),
    };
    let all: BTreeSet<Pixel> = out
        .pixels()
        .flat_map(|p| reads(graph, node, k, p))
        .collect();
    let inside = Box2::around(all.iter().copied().filter(|p| map.contains(*p)));
    let (Some(inside), Some(reach)) = (inside, Box2::around(all)) else {
        return (one_sample(node, out, map), [0; 4]);
    };
    let pad = [
        inside.y.0 - reach.y.0,
        reach.y.1 - inside.y.1,
        inside.x.0 - reach.x.0,
        reach.x.1 - inside.x.1,
    ];
    (Some(inside), pad)
}

/// A resized shortcut that adds nothing inside `out` still holds one sample per axis.
fn one_sample(node: &Node, out: Box2, map: Box2) -> Option<Box2> {
    let Op::Shortcut {
        kind: ShortcutKind::Resized { down, up, .. },
        ..
    } = &node.op
    else {
        return None;
    };
    let (down, up) = (*down as i64, *up as i64);
    let axis = |out: (i64, i64), extent: i64| {
        let mut samples: Vec<i64> = (out.0..out.1)
            .filter(|v| v % up == 0)
            .map(|v| v / up * down)
            .collect();
        if samples.is_empty() {
            // The next one, or the map's last.
            let next = (out.0..).find(|v| v % up == 0).expect("one in every `up`") / up;
            samples.push(next.min((extent - 1) / down) * down);
        }
        (samples[0], samples[samples.len() - 1] + 1)
    };
    Some(Box2 {
        y: axis(out.y, map.y.1),
        x: axis(out.x, map.x.1),
    })
}

/// Boxes of every tensor that a tile computes or loads, from the boxes of its outputs: a tile
/// computes whole boxes, so a tensor's box is the bounding box of what all its readers need.
pub fn boxes(
    graph: &Graph,
    nodes: &[NodeIx],
    outputs: &[(TensorIx, Region)],
) -> BTreeMap<TensorIx, Box2> {
    let mut found: BTreeMap<TensorIx, Box2> = BTreeMap::new();
    let join = |found: &mut BTreeMap<TensorIx, Box2>, t: TensorIx, b: Box2| {
        let joined = match found.get(&t) {
            Some(o) => Box2 {
                y: (o.y.0.min(b.y.0), o.y.1.max(b.y.1)),
                x: (o.x.0.min(b.x.0), o.x.1.max(b.x.1)),
            },
            None => b,
        };
        found.insert(t, joined);
    };
    for (t, r) in outputs {
        if let Some(b) = Box2::of(r) {
            join(&mut found, *t, b);
        }
    }
    for &n in nodes.iter().rev() {
        let Some(out) = found.get(&TensorIx::node(n)).copied() else {
            continue;
        };
        let node = &graph.nodes[n];
        for (k, t) in node.inputs.iter().enumerate() {
            if let (Some(b), _) = need(graph, node, k, out) {
                join(&mut found, *t, b);
            }
        }
    }
    found
}

/// Multiply-adds of the box `out` of a node, counted filter by filter.
pub fn macs(graph: &Graph, node: &Node, out: Box2) -> u64 {
    let Op::Conv(c) = &node.op else { return 0 };
    let cin = graph.shape(node.inputs[0]).c / c.groups;
    let mut per_pixel = 0;
    for _filter in 0..node.shape.c {
        for _tap in 0..c.size * c.size {
            per_pixel += cin as u64;
        }
    }
    out.pixels().map(|_| per_pixel).sum()
}

/// Where the channels of `t` begin among those that a concatenation puts side by side, all of them
/// at once; for every time it does.
pub fn parts(node: &Node, t: TensorIx) -> Vec<usize> {
    let Op::Concat(list) = &node.op else {
        return Vec::new();
    };
    let mut begins = Vec::new();
    let mut at = 0;
    for part in list {
        if node.inputs[part.input] == t && part.c.lo == 0 {
            begins.push(at);
        }
        at += part.c.len();
    }
    begins
}
