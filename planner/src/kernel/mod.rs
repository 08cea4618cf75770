//! Which generated kernel computes a convolution, and what it is called.

use tessera_plan::{
    graph::{Activation, Conv, Graph, Node, Op},
    kernel::winograd::Sizes,
    plan::{Algorithm, Buffer, ConvKernel},
};

mod blocks;
mod core;
pub mod costs;
mod layer;
mod neon;
mod portable;
mod seconds;
mod stored;
mod wanted;
pub mod winograd;
mod work;
mod x86;

pub use self::core::{Core, core};
use layer::Layer;
pub use layer::Made;
pub use seconds::conv_s;
pub use stored::{Storage, weights};
pub use wanted::{Family, Wanted};

/// Bytes of input rows that a row block may take: half of a 512 KiB second-level cache.
const BLOCK_BYTES: usize = 256 << 10;

/// True if the rows of a convolution from `x` to `out` are one long row: its windows have one pixel, and
/// nothing lies between the end of a row and the beginning of the next.
pub fn is_joined(c: &Conv, x: &Buffer, out: &Buffer) -> bool {
    let pads = x.pad_left + x.pad_right + out.pad_left + out.pad_right;
    (c.size, c.stride_x, c.stride_y, c.pad) == (1, 1, 1, 0) && x.w == out.w && pads == 0
}

/// True if an operation is a convolution with windows of one pixel, whose rows may be one long row.
pub const fn is_pointwise(op: &Op) -> bool {
    match op {
        Op::Conv(c) => matches!((c.size, c.stride_x, c.stride_y, c.pad), (1, 1, 1, 0)),
        _ => false,
    }
}

/// Chooses the kernel of a convolution from `x` to `out`. With `pool`, `out` holds maxima of 2x2 sums. `None`
/// for other operations.
pub fn choose(
    graph: &Graph,
    node: &Node,
    x: &Buffer,
    out: &Buffer,
    pool: bool,
    wanted: Wanted<'_>,
) -> Option<ConvKernel> {
    let Op::Conv(c) = &node.op else { return None };
    let made = Made {
        size: [out.h, out.w],
        pool,
        joined: !pool && is_joined(c, x, out),
    };
    let layer = Layer::new(graph, node, made, wanted.isa)?;
    let choice = layer.choose(wanted);
    let activation = if c.activation.is_pointwise() {
        c.activation
    } else {
        Activation::Linear
    };
    Some(ConvKernel {
        size: c.size,
        stride_x: c.stride_x,
        dilation: c.dilation,
        cin: if layer.work.depthwise {
            1
        } else {
            layer.cin / c.groups
        },
        x_stride: x.c,
        y_stride: out.c,
        mr: choice.mr,
        nr: choice.nr,
        activation,
        depthwise: layer.work.depthwise,
        pool,
        algorithm: choice.algorithm,
    })
}

/// A kernel of a convolution, for `cin` of its input channels.
pub fn of_depth(mut k: ConvKernel, cin: usize) -> ConvKernel {
    k.cin = cin;
    if let Algorithm::Winograd { depth, .. } = &mut k.algorithm {
        *depth = cin.min(*depth);
    }
    k
}

/// Output rows per block of a convolution.
///
/// All output channels pass over a row block before the next begins. If its input rows fit the
/// second-level cache, they are fetched once and the weights once per block; a single block of all
/// rows fetches the weights once and the input rows once per pass. What fetches less is taken.
///
/// A Winograd kernel's has about `tiles` tiles.
pub fn row_block(node: &Node, k: &ConvKernel, x: &Buffer, out: &Buffer, tiles: usize) -> usize {
    let Op::Conv(c) = &node.op else { return out.h };
    let side = k.side();
    if let Some(sizes) = Sizes::new(k) {
        return winograd::row_block(&sizes, [side * out.h, side * out.w], tiles) / side;
    }
    let row_bytes = 4 * (x.pad_left + x.w + x.pad_right) * x.c;
    let extra = k.size.saturating_sub(1) * k.dilation;
    let fitting =
        (BLOCK_BYTES / row_bytes.max(1)).saturating_sub(extra) / (side * c.stride_y.max(1));
    if fitting == 0 || fitting >= out.h {
        return out.h;
    }
    let filters = if k.depthwise {
        node.shape.c
    } else {
        node.shape.c / c.groups.max(1)
    };
    let passes = filters.div_ceil(k.nr);
    let weights = 4 * node.shape.c * (1 + k.size * k.size * k.cin);
    let map = row_bytes * (x.h + extra);
    let in_blocks = weights * out.h.div_ceil(fitting) + map;
    let at_once = weights + map * if k.depthwise { 1 } else { passes };
    if weights > BLOCK_BYTES && at_once < in_blocks {
        out.h
    } else {
        fitting
    }
}
