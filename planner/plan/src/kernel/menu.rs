//! Which block sizes the generators print, per instruction set.

use crate::plan::{ConvKernel, Isa};

/// A width of packed weight blocks, and how many pixels a kernel of that width computes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Output channels per packed block.
    pub nr: usize,
    /// Most pixels per microkernel block; every smaller number from 1 on is possible too.
    pub mr_max: usize,
}

const fn block(nr: usize, mr_max: usize) -> BlockSize {
    BlockSize { nr, mr_max }
}

/// The block sizes of `isa`, widest first.
///
/// The sums of a block, a step's weights and a pixel must fit the registers:
///
/// - `x86-64-v3` has 16 registers of 8 values, and sums, weights and pixel fill them.
/// - `x86-64-v4` has 32 of 16 values, but kernels are quicker with fewer sums. Shares of the peak in 3x3
///   layers of YOLOv2 by blocks of 4, 6, 8, 10, 12 and 14 pixels x 32 channels: first layer 76, 86, 79, 73, 50,
///   42 %; 64 -> 128 channels 83, 96, 99, 88, 92, 92 %; x 64 channels, 3, 4, 6 pixels: 65, 75, 80 % and 92, 94, 90 %
///   (EPYC, Zen 5, 289 GFLOP/s at best, rustc 1.95, 2026-11, spread 5 %).
/// - `aarch64` has 32 of 4 values.
/// - `armv7` has 16 of 4 values; two steps of weights take four of them.
/// - `portable` keeps sums in an array; its sizes are those of `x86-64-v3`.
pub const fn menu(isa: Isa) -> &'static [BlockSize] {
    const AVX2: &[BlockSize] = &[block(16, 6), block(8, 12)];
    const AVX512: &[BlockSize] = &[block(32, 8), block(16, 12), block(8, 12)];
    const AARCH64: &[BlockSize] = &[block(16, 5), block(12, 7), block(8, 8)];
    const ARMV7: &[BlockSize] = &[block(8, 4)];
    match isa {
        Isa::Portable | Isa::X86_64V3 => AVX2,
        Isa::X86_64V4 => AVX512,
        Isa::Aarch64 => AARCH64,
        Isa::Armv7 => ARMV7,
    }
}

/// Most pixels per block of a kernel with packed blocks of `nr` output channels; 0 where `isa` has no kernel
/// of that width.
pub fn mr_max(isa: Isa, nr: usize) -> usize {
    let found = menu(isa).iter().find(|b| b.nr == nr);
    found.map_or(0, |b| b.mr_max)
}

/// True if the menu of `isa` has the kernel's block size.
pub fn is_on_menu(k: &ConvKernel, isa: Isa) -> bool {
    (1..=mr_max(isa, k.nr)).contains(&k.mr)
}
