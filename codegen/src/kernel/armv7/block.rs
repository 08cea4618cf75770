//! A block of pixels and channels: which registers hold what.

use tessera_plan::plan::ConvKernel;

use super::asm::{Asm, doubles};

/// Lanes of a vector.
pub(super) const LANES: usize = 4;

/// First register of the sums.
pub(super) const SUMS: usize = 8;

/// Registers that say where the pixels' input continues: as many as a block has pixels at most.
pub(super) const PIXELS: [&str; 4] = ["r4", "r5", "r6", "r7"];

/// One block of pixels and channels.
pub(super) struct Block<'a> {
    /// The kernel.
    pub k: &'a ConvKernel,
    /// Output channels that exist; the others are padding of the packed weights.
    pub channels: usize,
    /// Pixels, at most four.
    pub pixels: usize,
}

impl Block<'_> {
    /// Vectors that hold an existing channel: one or two.
    pub const fn vectors(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Number of the `q` register with the sum of pixel `i`, vector `v`.
    pub const fn sum(&self, i: usize, v: usize) -> usize {
        SUMS + i * self.vectors() + v
    }

    /// Register that says where the input of pixel `i` continues.
    pub const fn pixel(i: usize) -> &'static str {
        PIXELS[i]
    }

    /// Loads the next weights to `q` register `to` and, if there is a second vector, the next one.
    /// Blocks are eight channels wide whatever exists of them.
    pub fn weights(&self, a: &mut Asm, to: usize) {
        if self.vectors() == 2 {
            a.ins(format!("vld1.32 {}, [r8]!", doubles(2 * to, 4)));
        } else {
            a.ins(format!("vld1.32 {}, [r8]", doubles(2 * to, 2)));
            a.ins("add r8, r8, #32");
        }
    }

    /// Bytes between the windows of neighbouring output pixels.
    pub const fn step_bytes(&self) -> usize {
        4 * self.k.stride_x * self.k.x_stride
    }
}
