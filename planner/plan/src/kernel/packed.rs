//! How the weights of convolutions lie in `weights.bin`, and what kernels make of them.

use super::winograd;
use crate::{
    graph::{Graph, Node, Op, ShortcutKind},
    plan::{ALIGN_FLOATS, Algorithm, ConvKernel, WeightFormat},
    region::Span,
};

/// Number of float32 values of a packed block: biases, then weights.
pub const fn block_floats(nr: usize, depth: usize, weights: WeightFormat) -> usize {
    match weights {
        WeightFormat::F32 => nr * (1 + depth),
        WeightFormat::F16 => nr + (nr * depth).div_ceil(2),
        WeightFormat::Transformed { m, depth: part } => {
            nr + winograd::transformed_floats(m, [depth / 9, part], nr)
        }
    }
}

/// Values (float32) that the packed weights of `node` take, in blocks of `nr` output channels where it is a
/// convolution; 0 for nodes without weights. The layouts are those of [`crate::plan::Packing`].
pub fn packed_floats(graph: &Graph, node: &Node, nr: usize, weights: WeightFormat) -> usize {
    let cout = node.shape.c;
    let Some(x) = node.inputs.first().map(|t| graph.shape(*t)) else {
        return 0;
    };
    match &node.op {
        Op::Conv(c) => {
            let taps = c.size * c.size;
            if c.is_depthwise(x.c, cout) {
                return cout.div_ceil(nr) * nr * (1 + taps);
            }
            let (filters, depth) = (cout / c.groups, taps * (x.c / c.groups));
            c.groups * filters.div_ceil(nr) * block_floats(nr, depth, weights)
        }
        Op::Connected { .. } => cout * (1 + x.len()),
        Op::Local { size, .. } => node.shape.len() * (1 + size * size * x.c),
        Op::BatchNorm => 2 * cout,
        Op::Shortcut {
            kind: ShortcutKind::Weighted,
            ..
        } => node.inputs.len() * cout,
        _ => 0,
    }
}

/// Values of a page.
pub const PAGE_FLOATS: usize = 1024;

/// Values that the packed weights of `node` take as `parts`, each from a page on; as [`packed_floats`] without parts.
pub fn packing_floats(
    graph: &Graph,
    node: &Node,
    nr: usize,
    weights: WeightFormat,
    parts: &[Span],
) -> usize {
    if parts.is_empty() {
        return packed_floats(graph, node, nr, weights);
    }
    parts
        .iter()
        .map(|p| part_floats(node, nr, weights, *p))
        .sum()
}

/// Values of the part of a convolution's weights that reads input channels `part`: whole pages.
pub fn part_floats(node: &Node, nr: usize, weights: WeightFormat, part: Span) -> usize {
    let Op::Conv(c) = &node.op else { return 0 };
    let floats = block_floats(nr, c.size * c.size * part.len(), weights);
    (node.shape.c.div_ceil(nr) * floats).next_multiple_of(PAGE_FLOATS)
}

/// True if kernel `k` reads weights that are stored in the format `stored`.
pub fn reads(k: &ConvKernel, stored: WeightFormat) -> bool {
    match transformed(k.algorithm) {
        Some(own) => own == stored,
        None => !matches!(stored, WeightFormat::Transformed { .. }),
    }
}

/// The transformed weights that an algorithm reads; `None` for weights as trained.
pub const fn transformed(algorithm: Algorithm) -> Option<WeightFormat> {
    match algorithm {
        Algorithm::Winograd { m, depth, stored } if stored => {
            Some(WeightFormat::Transformed { m, depth })
        }
        _ => None,
    }
}

/// Values of a thread's working memory for a block that is made float32 before kernels read it: whole
/// cache lines, none if it is stored so.
pub const fn wide_floats(k: &ConvKernel, weights: WeightFormat) -> usize {
    match weights {
        WeightFormat::F32 | WeightFormat::Transformed { .. } => 0,
        WeightFormat::F16 => block_floats(k.nr, k.size * k.size * k.cin, WeightFormat::F32)
            .next_multiple_of(ALIGN_FLOATS),
    }
}
