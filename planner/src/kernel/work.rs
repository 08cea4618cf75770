//! What a convolution has to do, whatever computes it, and the blocks of its direct kernel.

use tessera_plan::plan::Isa;

use super::{neon, portable, x86};

/// What one row of a convolution's output has to do, to weigh block sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Output channels of a group; all of them if depthwise.
    pub filters: usize,
    /// Multiply-adds per output value.
    pub depth: usize,
    /// Every output channel reads one input channel.
    pub depthwise: bool,
}

impl Work {
    /// The kernels of x86-64.
    pub const fn x86(self, isa: Isa) -> x86::Kernels {
        x86::Kernels { work: self, isa }
    }

    /// The kernels of ARM.
    pub const fn neon(self, isa: Isa) -> neon::Kernels {
        neon::Kernels { work: self, isa }
    }

    /// Channels and pixels of the direct kernel's blocks, for maps `whole` pixels wide. Tiles of every
    /// width share the packed weights, so channels do not depend on `row`: the pixels of a row, and the
    /// most that a block may have.
    pub fn direct(self, isa: Isa, whole: usize, row: [usize; 2], pool: bool) -> [usize; 2] {
        match isa {
            Isa::Portable => portable::Kernels::best(row, pool),
            Isa::X86_64V3 | Isa::X86_64V4 => {
                let nr = self.x86(isa).best_nr(whole);
                [nr, self.x86(isa).best_mr(nr, row, pool)]
            }
            Isa::Aarch64 | Isa::Armv7 => self.neon(isa).best(whole, row, pool),
        }
    }

    /// Units of a row of `w` pixels by a direct kernel of blocks of `nr` channels and `mr` pixels: half
    /// cycles on x86-64, quarters of a cycle on ARM, steps of portable kernels.
    pub fn row(self, isa: Isa, [nr, mr]: [usize; 2], w: usize, pool: bool) -> usize {
        match isa {
            Isa::Portable => portable::Kernels { work: self }.row(mr, w),
            Isa::X86_64V3 | Isa::X86_64V4 => self.x86(isa).row(nr, mr, w),
            Isa::Aarch64 | Isa::Armv7 => self.neon(isa).row(nr, mr, w, pool),
        }
    }
}
