//! The menu of generated convolution kernels: which exist, what they read, what they are called.
//!
//! Which of them computes a layer is the planner's choice; how they are printed is codegen's. What both
//! must agree on stands here: vector widths, packed blocks, working memory, names.

mod menu;
mod packed;
pub mod winograd;

pub use menu::{BlockSize, is_on_menu, menu, mr_max};
pub use packed::{
    PAGE_FLOATS, block_floats, packed_floats, packing_floats, part_floats, reads, transformed,
    wide_floats,
};

use crate::plan::{Algorithm, ConvKernel, Isa, WeightFormat};

/// Most columns of sums of a row: keeps every index that a kernel computes far from overflow.
pub const COLS_MAX: usize = 1 << 16;

/// Number of input channels that Winograd kernels transform at a time. Their input channels are a multiple of it.
pub const fn vector(isa: Isa) -> usize {
    match isa {
        Isa::X86_64V4 => 16,
        Isa::Portable | Isa::X86_64V3 | Isa::Aarch64 | Isa::Armv7 => 8,
    }
}

/// True if Winograd kernels take packed blocks of `nr` output channels: they compute whole vectors only.
pub const fn takes_winograd(isa: Isa, nr: usize) -> bool {
    match isa {
        Isa::X86_64V4 => nr.is_multiple_of(16),
        Isa::X86_64V3 => nr.is_multiple_of(8),
        Isa::Portable | Isa::Aarch64 | Isa::Armv7 => nr.is_multiple_of(4),
    }
}

/// Pixels of the smaller block that ends a row when no more are left: `mr / 2`, rounded up; as many as of
/// any block where kernels pool and that is odd.
pub const fn half_block(mr: usize, pool: bool) -> usize {
    let half = mr.div_ceil(2);
    if pool && half % 2 == 1 { mr } else { half }
}

/// Values of working memory of a call that computes row blocks of `[rows, columns]`, for `threads`
/// threads: what all of them share, then a wide block and what Winograd needs of every thread.
pub fn scratch(k: &ConvKernel, w: WeightFormat, [h, cols]: [usize; 2], threads: usize) -> usize {
    let (wide, side) = (threads * wide_floats(k, w), k.side());
    let tiles = |s: &winograd::Sizes| s.tiles(side * h, side * cols);
    wide + winograd::Sizes::new(k).map_or(0, |s| s.scratch(tiles(&s), threads))
}

/// The kernel's name, unique per parameter set: `f32_conv3x3s1_leaky_6x16_avx2_k32`, with `d2`
/// for dilation, `_pool2` behind the activation where squares are stored as their maxima, and `x..`, `y..` where the pixel strides differ from what the name implies.
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
    let pool = if k.pool { "_pool2" } else { "" };
    if let Algorithm::Winograd { m, depth, stored } = k.algorithm {
        let stored = if stored { "u" } else { "" };
        let beside = if k.x_stride == k.cin {
            String::new()
        } else {
            format!("_x{}", k.x_stride)
        };
        return format!(
            "f32_winograd{m}{stored}_{}{pool}_{}x{}_{isa}_k{}d{depth}{beside}_y{}",
            k.activation.name(),
            k.mr,
            k.nr,
            k.cin,
            k.y_stride
        );
    }
    format!(
        "f32_{op}{s}x{s}s{}{dilation}_{}{pool}_{}x{}_{isa}_k{}_x{}_y{}",
        k.stride_x,
        k.activation.name(),
        k.mr,
        k.nr,
        k.cin,
        k.x_stride,
        k.y_stride
    )
}
