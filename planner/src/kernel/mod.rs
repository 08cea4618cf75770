//! Which generated kernel computes a convolution, and what it is called.

use crate::{
    graph::{Activation, Conv, Graph, Node, Op},
    plan::{Algorithm, Buffer, ConvKernel, Isa, WeightFormat},
};

pub mod costs;
pub mod neon;
mod weights;
pub mod winograd;

use costs::{CostTable, Kernel};
pub use weights::{Storage, block_floats, reads, weights, wide_floats};

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

/// The kernel of a convolution from `x` to `out`; `None` for other operations.
pub fn choose(
    graph: &Graph,
    node: &Node,
    x: &Buffer,
    out: &Buffer,
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
    // A row of pixels, and the most that a block may have: rows may come one by one.
    let row = if is_joined(c, x, out) {
        [out.w * out.h, out.w]
    } else {
        [out.w; 2]
    };
    // Tiles of every width share the packed weights, so `nr` must not depend on the tile.
    let (nr, mr) = match isa {
        Isa::Portable => (8, best_mr(row)),
        Isa::X86_64V3 | Isa::X86_64V4 => {
            let nr = work.best_nr(node.shape.w);
            (nr, work.best_mr(nr, row))
        }
        Isa::Aarch64 | Isa::Armv7 => neon::Row {
            filters: work.filters,
            depth: work.depth,
            depthwise,
        }
        .best(isa, node.shape.w, row),
    };
    let activation = if c.activation.is_inline() {
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
        algorithm: Algorithm::Direct,
    };
    let by_winograd = |m: usize| {
        let lanes = vector(isa);
        let possible = winograd::is_possible(c, node, [cin, out.w], m, lanes);
        (possible && takes_winograd(isa, nr)).then(|| ConvKernel {
            mr: match isa {
                Isa::Aarch64 | Isa::Armv7 => neon::most(isa, nr),
                Isa::Portable => 12.min(96 / nr),
                Isa::X86_64V3 | Isa::X86_64V4 => work.most(nr),
            },
            algorithm: {
                let depth = winograd::depth(m, cin, nr, lanes);
                let floats =
                    filters.div_ceil(nr) * winograd::transformed_floats(m, [cin, depth], nr);
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
                costs.seconds(kernel, cin, node.shape.c, [out.h, out.w])
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
            let size = [out.h, out.w];
            let mut best = (None, work.row(nr, direct.mr, out.w) * out.h);
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
/// covered with the least work.
fn best_mr([w, most]: [usize; 2]) -> usize {
    let cost = |m: usize| w.div_ceil(m) * (2 * m).max(9);
    (1..=4.min(most))
        .min_by_key(|m| (cost(*m), std::cmp::Reverse(*m)))
        .unwrap_or(1)
}

/// What one row of an AVX2 kernel has to do, to weigh block sizes.
///
/// Costs are half cycles of a core that begins two fused multiply-adds and two loads a cycle and
/// finishes a multiply-add after four (Haswell and later, Zen 2 and later). Measured shares of the
/// peak on long rows that blocks divide: 6x16 92 %, 5x16 87 %, 4x16 78 %, 12x8 93 %, 10x8 85 %,
/// 8x8 76 %; 4x24 and 3x32 need all 16 registers, spill, and reach 57 and 49 % (Xeon, Sapphire
/// Rapids family, 110.8 GFLOP/s at best, rustc 1.95, 2025-11, spread 3 %).
#[derive(Clone, Copy, Debug)]
struct Work {
    /// Output channels of a group; all of them if depthwise.
    filters: usize,
    /// Multiply-adds per output value.
    depth: usize,
    depthwise: bool,
    isa: Isa,
}

/// Input channels that Winograd kernels transform at a time, and a multiple of which they need.
pub const fn vector(isa: Isa) -> usize {
    match isa {
        Isa::X86_64V4 => 16,
        Isa::Portable | Isa::X86_64V3 | Isa::Aarch64 | Isa::Armv7 => 8,
    }
}

/// Whether Winograd kernels take packed blocks of `nr` channels: they use whole vectors of them.
pub const fn takes_winograd(isa: Isa, nr: usize) -> bool {
    match isa {
        Isa::X86_64V4 => nr.is_multiple_of(16),
        Isa::X86_64V3 => nr.is_multiple_of(8),
        Isa::Portable | Isa::Aarch64 | Isa::Armv7 => nr.is_multiple_of(4),
    }
}

impl Work {
    /// Begin and end of a call.
    const CALL: usize = 60;
    /// Begin and end of a block.
    const BLOCK: usize = 10;

    /// A block of `m` pixels and `v` vectors of channels.
    fn block(self, m: usize, v: usize) -> usize {
        let loads = if self.depthwise { m * v + v } else { m + v };
        // Sums that are too few wait for each other; eight do not quite fill four cycles of latency.
        let step = (m * v).max(loads).max(9) + 1;
        // Beside the steps: activation and store of every sum.
        self.depth * step + 3 * m * v + Self::BLOCK
    }

    /// A row of `w` pixels, all channels.
    fn row(self, nr: usize, m: usize, w: usize) -> usize {
        let (full, rest) = (self.filters / nr, self.filters % nr);
        let blocks = w.div_ceil(m);
        let of = |lanes: usize| Self::CALL + blocks * self.block(m, self.vectors(lanes));
        full * of(nr) + if rest > 0 { of(rest) } else { 0 }
    }

    /// Vectors of a block of `lanes` channels: AVX-512 kernels of eight or fewer use half vectors.
    const fn vectors(self, lanes: usize) -> usize {
        match self.isa {
            Isa::X86_64V4 => lanes.div_ceil(16),
            _ => lanes.div_ceil(8),
        }
    }

    /// Most pixels of a block. With AVX2 the sums, the weights and a pixel fill the 16 registers. AVX-512
    /// has 32, but kernels are quicker with fewer sums: shares of the peak in 3x3 layers of YOLOv2 by
    /// blocks of 4, 6, 8, 10, 12 and 14 pixels x 32 channels, first layer 76, 86, 79, 73, 50, 42 %;
    /// 64 -> 128 channels 83, 96, 99, 88, 92, 92 %; x 64 channels, 3, 4, 6 pixels: 65, 75, 80 % and 92, 94, 90 %
    /// (EPYC, Zen 5, 289 GFLOP/s at best, rustc 1.95, 2026-11, spread 5 %).
    const fn most(self, nr: usize) -> usize {
        match (self.isa, nr) {
            (Isa::X86_64V4, 32) => 8,
            (Isa::X86_64V4, _) | (_, 8) => 12,
            (..) => 6,
        }
    }

    /// Channels of a block to choose from.
    const fn widths(self) -> &'static [usize] {
        match self.isa {
            Isa::X86_64V4 => &[32, 16, 8],
            _ => &[16, 8],
        }
    }

    /// A map of `size` (rows, columns) by a Winograd kernel.
    fn winograd(self, k: &ConvKernel, size: [usize; 2], tiles: usize) -> usize {
        let v = self.vectors(k.nr);
        let step = (k.mr * v).max(k.mr + v) + 1;
        let lanes = vector(self.isa);
        winograd::Sizes::new(k).map_or(usize::MAX, |s| {
            s.cost(self.filters, size, tiles, [k.mr, step, lanes])
        })
    }

    /// Pixels of a block, at most `most`, for rows of `w` pixels.
    fn best_mr(self, nr: usize, [w, most]: [usize; 2]) -> usize {
        (1..=self.most(nr).min(most))
            .min_by_key(|m| (self.row(nr, *m, w), std::cmp::Reverse(*m)))
            .unwrap_or(1)
    }

    fn best_nr(self, w: usize) -> usize {
        let widths = self.widths().iter().copied();
        widths
            .min_by_key(|nr| self.row(*nr, self.best_mr(*nr, [w; 2]), w))
            .unwrap_or(16)
    }
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
    if let Some(sizes) = winograd::Sizes::new(k) {
        return sizes.row_block([out.h, out.w], tiles);
    }
    let row_bytes = 4 * (x.pad_left + x.w + x.pad_right) * x.c;
    let extra = k.size.saturating_sub(1) * k.dilation;
    let fitting = (BLOCK_BYTES / row_bytes.max(1)).saturating_sub(extra) / c.stride_y.max(1);
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

/// Values of working memory of a call that computes row blocks of `[rows, columns]`, for `threads`
/// threads: what all of them share, then a wide block and what Winograd needs of every thread.
pub fn scratch(k: &ConvKernel, w: WeightFormat, [h, cols]: [usize; 2], threads: usize) -> usize {
    let wide = threads * wide_floats(k, w);
    wide + winograd::Sizes::new(k).map_or(0, |s| s.scratch(s.tiles(h, cols), threads))
}

/// Output channels of the last block of `filters` channels.
pub const fn last_lanes(filters: usize, nr: usize) -> usize {
    match filters % nr {
        0 => nr,
        n => n,
    }
}

/// The kernel's name, unique per parameter set: `f32_conv3x3s1_leaky_6x16_avx2_k32`, with `d2`
/// for dilation and `x..`, `y..` where the pixel strides differ from what the name implies.
pub fn kernel_name(k: &ConvKernel, isa: Isa) -> String {
    let op = if k.depthwise { "dwconv" } else { "conv" };
    let dilation = if k.dilation > 1 {
        format!("d{}", k.dilation)
    } else {
        String::new()
    };
    let isa = match isa {
        Isa::Portable => "scalar",
        Isa::X86_64V3 => "avx2",
        Isa::X86_64V4 => "avx512",
        Isa::Aarch64 => "neon",
        Isa::Armv7 => "armv7",
    };
    let s = k.size;
    if let Algorithm::Winograd { m, depth, stored } = k.algorithm {
        let stored = if stored { "u" } else { "" };
        return format!(
            "f32_winograd{m}{stored}_{}_{}x{}_{isa}_k{}d{depth}_y{}",
            k.activation.name(),
            k.mr,
            k.nr,
            k.cin,
            k.y_stride
        );
    }
    format!(
        "f32_{op}{s}x{s}s{}{dilation}_{}_{}x{}_{isa}_k{}_x{}_y{}",
        k.stride_x,
        k.activation.name(),
        k.mr,
        k.nr,
        k.cin,
        k.x_stride,
        k.y_stride
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn winograd_pays_where_channels_are_many() {
        let check = |cin, filters, w: usize, want: &[usize]| {
            let work = Work {
                filters,
                depth: 9 * cin,
                depthwise: false,
                isa: Isa::X86_64V3,
            };
            let direct = work.row(16, work.best_mr(16, [w; 2]), w) * w;
            let faster: Vec<usize> = [2, 4, 6]
                .into_iter()
                .filter(|m| {
                    let s = winograd::Sizes {
                        m: *m,
                        cin,
                        depth: winograd::depth(*m, cin, 16, 8),
                        nr: 16,
                        stored: false,
                    };
                    11 * s.cost(filters, [w, w], winograd::TILES, [6, 13, 8]) < 10 * direct
                })
                .collect();
            assert_eq!(faster, want, "{cin} -> {filters}, {w} wide");
        };
        check(32, 64, 304, &[2, 4, 6]);
        check(256, 512, 38, &[2, 4, 6]);
        check(1024, 1024, 19, &[2, 4, 6]);
    }

    #[test]
    fn blocks_divide_rows_and_channels_with_little_waste() {
        let check = |filters, w, want| {
            let work = Work {
                filters,
                depth: 9 * 256,
                depthwise: false,
                isa: Isa::X86_64V3,
            };
            let nr = work.best_nr(w);
            assert_eq!(
                (work.best_mr(nr, [w; 2]), nr),
                want,
                "{filters} channels, {w} wide"
            );
        };
        check(64, 304, (6, 16));
        check(128, 152, (6, 16));
        check(256, 76, (6, 16));
        check(512, 38, (5, 16));
        check(1024, 19, (5, 16));
        check(24, 48, (12, 8));
        check(8, 7, (7, 8));
        check(16, 1, (1, 16));
    }
}
