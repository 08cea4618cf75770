//! How the weights of convolutions lie in `weights.bin`, and what kernels make of them.

use super::winograd;
use crate::plan::{ALIGN_FLOATS, Algorithm, ConvKernel, WeightFormat};

/// Values (float32) that a packed block takes: biases, then weights.
pub const fn block_floats(nr: usize, depth: usize, weights: WeightFormat) -> usize {
    match weights {
        WeightFormat::F32 => nr * (1 + depth),
        WeightFormat::F16 => nr + (nr * depth).div_ceil(2),
        WeightFormat::Transformed { m, depth: part } => {
            nr + winograd::transformed_floats(m, [depth / 9, part], nr)
        }
    }
}

/// Whether a kernel reads weights that are stored so.
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
