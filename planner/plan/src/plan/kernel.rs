//! Which generated kernel computes a convolution.

use serde::{Deserialize, Serialize};

use super::defaults::is_false;
use crate::graph::Activation;

/// A family of generated kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Isa {
    /// Scalar Rust: the oracle of the others.
    #[serde(rename = "portable")]
    Portable,
    /// AVX2 and FMA.
    #[serde(rename = "x86-64-v3")]
    X86_64V3,
    /// AVX-512 (F, BW, DQ, VL), AVX2 and FMA.
    #[serde(rename = "x86-64-v4")]
    X86_64V4,
    /// NEON of 64-bit ARM.
    #[serde(rename = "aarch64")]
    Aarch64,
    /// NEON of 32-bit ARM.
    #[serde(rename = "armv7")]
    Armv7,
}

/// Parameters of a generated convolution kernel: the kernel exists once per distinct value.
///
/// A call computes one row of `cols >= mr` output pixels for one block of at most `nr` output channels: bias,
/// then taps in the order (ky, kx, cin), then the activation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConvKernel {
    /// Side of the kernel's window, in taps.
    pub size: usize,
    /// Columns from one window to the next.
    pub stride_x: usize,
    /// Columns (and rows) from one tap to the next.
    pub dilation: usize,
    /// Input channels per group: values per tap. 1 with `depthwise`.
    pub cin: usize,
    /// Values from one input pixel to the next: all channels of the input buffer.
    pub x_stride: usize,
    /// Values from one output pixel to the next: all channels of the output buffer.
    pub y_stride: usize,
    /// Pixels that the microkernel computes at once.
    pub mr: usize,
    /// Output channels per packed weight block; a multiple of the vector width.
    pub nr: usize,
    /// The activation that the kernel fuses. Only functions that are [`Activation::is_pointwise`] can be fused;
    /// for others this is `Linear`, and a pass over the finished rows applies them.
    pub activation: Activation,
    /// True if output channel `c` reads input channel `c` alone (`groups == cin == cout`). A block is `nr`
    /// channels.
    pub depthwise: bool,
    /// True if the kernel fuses a following 2x2 max pool. A row of its output is then made of two rows of sums,
    /// of an even number of columns each.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pool: bool,
    /// How the kernel forms its sums. All algorithms read the same packed weights, unless weights are stored
    /// transformed.
    #[serde(default, skip_serializing_if = "Algorithm::is_direct")]
    pub algorithm: Algorithm,
}

impl ConvKernel {
    /// Rows of sums per output row, and columns of sums per output column: 2 with a fused pool, else 1.
    pub const fn side(&self) -> usize {
        if self.pool { 2 } else { 1 }
    }
}

/// How a convolution kernel forms its sums.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Tap by tap, in the order (ky, kx, cin).
    #[default]
    Direct,
    /// F(m x m, 3 x 3): see [`crate::kernel::winograd`]. A call computes all rows of a row block; `mr`
    /// counts tiles of `m x m` pixels. Tiles begin at the first row of a block and at every
    /// `m`-th column, the last ones of a row at `w - m`.
    Winograd {
        /// Side of a tile: 2, 4 or 6.
        m: usize,
        /// Input channels that are summed at once; a multiple of 8.
        depth: usize,
        /// True if weights are stored as [`super::WeightFormat::Transformed`].
        #[serde(default, skip_serializing_if = "is_false")]
        stored: bool,
    },
}

impl Algorithm {
    /// True for [`Self::Direct`].
    pub const fn is_direct(&self) -> bool {
        matches!(self, Self::Direct)
    }

    /// Side of a tile in pixels; `None` for direct kernels.
    pub const fn tile(&self) -> Option<usize> {
        match self {
            Self::Direct => None,
            Self::Winograd { m, .. } => Some(*m),
        }
    }
}
