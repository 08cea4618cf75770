//! The geometry of DeepThings' reuse-aware schedule, for comparison with plans, those whose borders are reused among them
//! (`stages/reuse.rs`).
//!
//! Tiles are coloured like a checkerboard. Tiles of the first colour run as usual and keep the
//! borders that neighbours want of every layer; tiles of the second colour compute only what
//! their side neighbours have not (DeepThings 2018, section 3.3). Neighbours at corners need not
//! be asked: a side neighbour's own halo reaches at least as far.
//!
//! ```text
//!   first │second│ first        layer l-1, second colour:   ┌──┬──────┬──┐
//!  ───────┼──────┼───────        wanted = strip + own + strip  │s │ own  │ s│
//!  second │ first│second                                     └──┴──────┴──┘
//! ```
//!
//! Numbers are those that the original arrives at. In particular it traces on through a layer of
//! which nothing is left to compute, so a small tile may be handed a strip that nobody reads:
//! areas here keep their (empty or inverted) ends for that reason.

use super::{StageGraph, work::per_pixel};
use tessera_plan::{
    graph::{Graph, NodeIx, Op, TensorIx},
    plan::{Stage, Tile},
    region::{Region, Span},
};

const F32: u64 = 4;

/// Rows and columns of a map, half-open; empty when an end does not lie behind its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Rows.
    pub y: [i64; 2],
    /// Columns.
    pub x: [i64; 2],
}

impl Area {
    fn of(r: &Region) -> Self {
        let pair = |s: Span| [s.lo, s.hi].map(|v| i64::try_from(v).unwrap_or(i64::MAX));
        Self {
            y: pair(r.y),
            x: pair(r.x),
        }
    }

    /// Number of pixels; 0 if the area is empty.
    pub fn pixels(self) -> u64 {
        let len = |[lo, hi]: [i64; 2]| (hi - lo).max(0).unsigned_abs();
        len(self.y) * len(self.x)
    }

    /// The intersection of both areas.
    #[must_use]
    pub fn meet(self, o: Self) -> Self {
        let axis = |a: [i64; 2], b: [i64; 2]| [a[0].max(b[0]), a[1].min(b[1])];
        Self {
            y: axis(self.y, o.y),
            x: axis(self.x, o.x),
        }
    }
}

/// A tile under the schedule. Index `l` of its lists is the chain's operation `l`.
#[derive(Clone, Debug)]
pub struct ReuseTile {
    /// Row in the grid.
    pub row: usize,
    /// Column in the grid.
    pub col: usize,
    /// True if the tile has the second colour and waits for its neighbours: `row + col` is odd.
    pub second: bool,
    /// The area that each operation reads, strips included.
    pub inputs: Vec<Area>,
    /// The area that each operation computes.
    pub outputs: Vec<Area>,
}

/// A border that a tile of the first colour hands to one of the second.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// Index of the tile that computed it.
    pub donor: usize,
    /// Index of the tile that reads it.
    pub taker: usize,
    /// The operation whose output the strip is part of.
    pub operation: usize,
    /// The strip's area of that output.
    pub area: Area,
}

/// The schedule of a stage that is a chain.
#[derive(Clone, Debug)]
pub struct Reuse {
    /// Nodes, in order.
    pub nodes: Vec<NodeIx>,
    /// Tiles without reuse, row-major.
    pub plain: Vec<ReuseTile>,
    /// Tiles with reuse, row-major.
    pub tiles: Vec<ReuseTile>,
    /// Borders handed over.
    pub strips: Vec<Strip>,
}

/// Traces the schedule through a stage; `None` unless the stage is a chain of convolutions,
/// pools and operations on single pixels with one input and one output.
pub fn reuse(graph: &Graph, stage: &Stage) -> Option<Reuse> {
    let whole = StageGraph::new(graph, stage.first_layer, stage.end_layer, &stage.outputs);
    let nodes = whole.nodes;
    let ([input], [output]) = (whole.inputs.as_slice(), whole.outputs.as_slice()) else {
        return None;
    };
    let mut before = *input;
    for &n in &nodes {
        if graph.nodes[n].inputs != [before] || !is_plain(&graph.nodes[n].op) {
            return None;
        }
        before = TensorIx::node(n);
    }
    if before != *output {
        return None;
    }
    // Of tasks that stand in for others the schedule knows nothing.
    let mut tiles: Vec<&Tile> = (stage.tiles.iter())
        .filter(|t| t.instead_of.is_none())
        .collect();
    tiles.sort_by_key(|t| (t.row, t.col));
    let plain: Vec<ReuseTile> = tiles
        .into_iter()
        .map(|t| {
            let mut tile = ReuseTile {
                row: t.row,
                col: t.col,
                second: (t.row + t.col) % 2 == 1,
                inputs: Vec::new(),
                outputs: Vec::new(),
            };
            let mut out = Area::of(&t.outputs[0]);
            for &n in nodes.iter().rev() {
                tile.outputs.push(out);
                out = back(graph, n, out);
                tile.inputs.push(out);
            }
            tile.outputs.reverse();
            tile.inputs.reverse();
            tile
        })
        .collect();
    let (tiles, strips) = shrink(graph, &nodes, &plain, stage.grid);
    Some(Reuse {
        nodes,
        plain,
        tiles,
        strips,
    })
}

/// Whether the schedule knows the operation.
const fn is_plain(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv(_)
            | Op::MaxPool(_)
            | Op::LocalAvgPool(_)
            | Op::MaxPoolDepth { .. }
            | Op::BatchNorm
            | Op::Activate(_)
            | Op::Lrn { .. }
    )
}

/// What the area `out` of a node needs of its input, whether or not `out` is empty.
fn back(graph: &Graph, n: NodeIx, out: Area) -> Area {
    let node = &graph.nodes[n];
    let from = graph.shape(node.inputs[0]);
    let (stride, pad, reach) = match &node.op {
        Op::Conv(c) => (
            [c.stride_y, c.stride_x],
            c.pad,
            (c.size - 1) * c.dilation + 1,
        ),
        Op::MaxPool(p) | Op::LocalAvgPool(p) => ([p.stride_y, p.stride_x], p.pad_before, p.size),
        _ => return out,
    };
    let signed = |v: usize| i64::try_from(v).unwrap_or(i64::MAX);
    let axis = |[lo, hi]: [i64; 2], stride: usize, extent: usize| {
        let (s, p) = (signed(stride), signed(pad));
        [
            (s * lo - p).max(0),
            (s * (hi - 1) - p + signed(reach)).min(signed(extent)),
        ]
    };
    Area {
        y: axis(out.y, stride[0], from.h),
        x: axis(out.x, stride[1], from.w),
    }
}

/// Cuts off what side neighbours have, operation by operation, last one first.
fn shrink(
    graph: &Graph,
    nodes: &[NodeIx],
    plain: &[ReuseTile],
    [rows, cols]: [usize; 2],
) -> (Vec<ReuseTile>, Vec<Strip>) {
    let mut strips = Vec::new();
    let tiles = plain
        .iter()
        .enumerate()
        .map(|(taker, tile)| {
            if !tile.second {
                return tile.clone();
            }
            let mut new = tile.clone();
            for l in (0..nodes.len()).rev() {
                new.inputs[l] = back(graph, nodes[l], new.outputs[l]);
                let Some(before) = l.checked_sub(1) else {
                    break;
                };
                let (wanted, mut keep) = (new.inputs[l], new.inputs[l]);
                let mut give = |donor: usize| {
                    let theirs = plain[donor].outputs[before];
                    let area = wanted.meet(theirs);
                    if area.pixels() > 0 {
                        strips.push(Strip {
                            donor,
                            taker,
                            operation: before,
                            area,
                        });
                    }
                    theirs
                };
                if tile.row + 1 < rows {
                    keep.y[1] = keep.y[1].min(give(taker + cols).y[0]);
                }
                if tile.col + 1 < cols {
                    keep.x[1] = keep.x[1].min(give(taker + 1).x[0]);
                }
                if tile.row > 0 {
                    keep.y[0] = keep.y[0].max(give(taker - cols).y[1]);
                }
                if tile.col > 0 {
                    keep.x[0] = keep.x[0].max(give(taker - 1).x[1]);
                }
                new.outputs[before] = keep;
            }
            new
        })
        .collect();
    (tiles, strips)
}

impl Reuse {
    /// Multiply-adds of one tile.
    pub fn macs(&self, graph: &Graph, tile: &ReuseTile) -> u64 {
        self.nodes
            .iter()
            .zip(&tile.outputs)
            .map(|(n, out)| per_pixel(graph, *n) * out.pixels())
            .sum()
    }

    /// Bytes of the stage's input that one tile reads, float32.
    pub fn input_bytes(&self, graph: &Graph, tile: &ReuseTile) -> u64 {
        let first = self.nodes.first().map(|n| graph.nodes[*n].inputs[0]);
        let channels = first.map_or(0, |t| graph.shape(t).c as u64);
        F32 * channels * tile.inputs.first().map_or(0, |a| a.pixels())
    }

    /// Bytes of one strip, float32.
    pub fn strip_bytes(&self, graph: &Graph, strip: &Strip) -> u64 {
        F32 * graph.nodes[self.nodes[strip.operation]].shape.c as u64 * strip.area.pixels()
    }

    /// For each tile, the bytes of all strips that it hands over.
    pub fn donated(&self, graph: &Graph) -> Vec<u64> {
        let mut bytes = vec![0; self.plain.len()];
        for s in &self.strips {
            bytes[s.donor] += self.strip_bytes(graph, s);
        }
        bytes
    }
}
