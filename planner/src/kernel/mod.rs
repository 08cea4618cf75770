//! Which generated kernel computes a convolution, and what it is called.

use tessera_plan::{
    graph::{Activation, Conv, Graph, Node, Op},
    plan::{Algorithm, Buffer, ConvKernel, Isa},
};

pub mod costs;
pub mod neon;
mod stored;
pub mod winograd;
mod x86;

use costs::{CostTable, Kernel};
pub use stored::{Storage, weights};
use tessera_plan::kernel::{
    takes_winograd, vector,
    winograd::{Sizes, transformed_floats},
};
use x86::Work;

/// Which kernels may be planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Direct ones: sums in one order, the same bits wherever tiles lie.
    Direct,
    /// What costs less.
    #[default]
    Auto,
    /// Winograd's F(m x m, 3 x 3) wherever it is possible.
    Winograd(usize),
}

/// What kernels are chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Instruction set.
    pub isa: Isa,
    /// Kernels to choose from.
    pub family: Family,
    /// Tiles per call of a Winograd kernel, about: see [`winograd::TILES`].
    pub tiles: usize,
    /// How weights are stored.
    pub weights: Storage,
    /// How fast kernels are; without it formulas for x86-64 say it, and others are direct.
    pub costs: Option<&'a CostTable>,
}

/// Bytes of input rows that a row block may take: half of a 512 KiB second-level cache.
const BLOCK_BYTES: usize = 256 << 10;

/// Channels on either side from which on Winograd is planned without being asked for: costs of fewer
/// were not measured.
const CHANNELS: usize = 16;

/// Whether rows of a convolution from `x` to `out` are one long row: windows of one pixel, and nothing
/// between the end of a row and the next one's begin.
pub fn is_joined(c: &Conv, x: &Buffer, out: &Buffer) -> bool {
    let pads = x.pad_left + x.pad_right + out.pad_left + out.pad_right;
    (c.size, c.stride_x, c.stride_y, c.pad) == (1, 1, 1, 0) && x.w == out.w && pads == 0
}

/// The kernel of a convolution from `x` to `out`, which holds its maxima if `pool`; `None` for other
/// operations.
pub fn choose(
    graph: &Graph,
    node: &Node,
    x: &Buffer,
    out: &Buffer,
    pool: bool,
    wanted: Wanted<'_>,
) -> Option<ConvKernel> {
    let Wanted {
        isa, family, tiles, ..
    } = wanted;
    let Op::Conv(c) = &node.op else { return None };
    let cin = graph.shape(node.inputs[0]).c;
    let depthwise = c.groups > 1 && c.groups == cin && c.groups == node.shape.c;
    let filters = node.shape.c / c.groups;
    let work = Work {
        filters: if depthwise { node.shape.c } else { filters },
        depth: c.size * c.size * if depthwise { 1 } else { cin / c.groups },
        depthwise,
        isa,
    };
    let [h, w] = [out.h, out.w].map(|n| if pool { 2 * n } else { n });
    // A row of pixels, and the most that a block may have: rows may come one by one.
    let row = if !pool && is_joined(c, x, out) {
        [w * h, w]
    } else {
        [w; 2]
    };
    // Tiles of every width share the packed weights, so `nr` must not depend on the tile.
    let (nr, mr) = match isa {
        Isa::Portable => (8, best_mr(row, pool)),
        Isa::X86_64V3 | Isa::X86_64V4 => {
            let nr = work.best_nr(node.shape.w);
            (nr, work.best_mr(nr, row, pool))
        }
        Isa::Aarch64 | Isa::Armv7 => neon::Row {
            filters: work.filters,
            depth: work.depth,
            depthwise,
        }
        .best(isa, node.shape.w, row, pool),
    };
    let activation = if c.activation.is_pointwise() {
        c.activation
    } else {
        Activation::Linear
    };
    let direct = ConvKernel {
        size: c.size,
        stride_x: c.stride_x,
        dilation: c.dilation,
        cin: if depthwise { 1 } else { cin / c.groups },
        x_stride: x.c,
        y_stride: out.c,
        mr,
        nr,
        activation,
        depthwise,
        pool,
        algorithm: Algorithm::Direct,
    };
    let by_winograd = |m: usize| {
        let lanes = vector(isa);
        let possible = winograd::is_possible(c, node, [cin, w], m, lanes);
        (possible && takes_winograd(isa, nr)).then(|| ConvKernel {
            mr: match isa {
                Isa::Aarch64 | Isa::Armv7 => neon::most(isa, nr),
                Isa::Portable => 12.min(96 / nr),
                Isa::X86_64V3 | Isa::X86_64V4 => work.most(nr),
            },
            algorithm: {
                let depth = winograd::depth(m, cin, nr, lanes);
                let floats = filters.div_ceil(nr) * transformed_floats(m, [cin, depth], nr);
                let stored = wanted.weights.transforms(floats);
                Algorithm::Winograd { m, depth, stored }
            },
            ..direct.clone()
        })
    };
    let chosen = match family {
        Family::Winograd(m) => by_winograd(m),
        Family::Auto if wanted.costs.is_some() => {
            let seconds = |kernel| {
                let costs = wanted.costs?;
                costs.seconds(kernel, cin, node.shape.c, [h, w])
            };
            seconds(Kernel::Direct).and_then(|direct| {
                let mut best = (None, direct);
                for k in [2, 4, 6].into_iter().filter_map(by_winograd) {
                    let s = k
                        .algorithm
                        .tile()
                        .and_then(Kernel::of_tile)
                        .and_then(seconds);
                    let Some(s) = s else { continue };
                    if f64::from(margin(&k)) * s < 10.0 * best.1 {
                        best = (Some(k), s);
                    }
                }
                best.0
            })
        }
        Family::Auto
            if matches!(isa, Isa::X86_64V3 | Isa::X86_64V4) && cin.min(filters) >= CHANNELS =>
        {
            let size = [h, w];
            let mut best = (None, work.row(nr, direct.mr, w) * h);
            for k in [2, 4, 6].into_iter().filter_map(by_winograd) {
                let cost = work.winograd(&k, size, tiles);
                if margin(&k) as usize * cost < 10 * best.1 {
                    best = (Some(k), cost);
                }
            }
            best.0
        }
        _ => None,
    };
    Some(chosen.unwrap_or(direct))
}

/// Tenths by which a kernel must be faster than one of smaller tiles. Larger tiles round more, the
/// largest ones ten times as much: they are for large gains.
fn margin(k: &ConvKernel) -> u32 {
    if k.algorithm.tile() == Some(6) {
        12
    } else {
        11
    }
}

/// Pixels per block of portable kernels, at most four and `most`, such that a row of `w` pixels is
/// covered with the least work; pairs of them where kernels `pool`.
fn best_mr([w, most]: [usize; 2], pool: bool) -> usize {
    let cost = |m: usize| w.div_ceil(m) * (2 * m).max(9);
    (1..=4.min(most))
        .filter(|m| !pool || m.is_multiple_of(2))
        .min_by_key(|m| (cost(*m), std::cmp::Reverse(*m)))
        .unwrap_or(1)
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
