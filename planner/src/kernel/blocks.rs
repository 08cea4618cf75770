//! Blocks of direct kernels and what rows cost in them, for every instruction set.

use tessera_plan::plan::Isa;

use super::{neon, portable, work::Work, x86};

/// The kernels of x86-64.
pub(super) const fn x86(work: Work, isa: Isa) -> x86::Kernels {
    x86::Kernels { work, isa }
}

/// Channels and pixels of the direct kernel's blocks, for maps `whole` pixels wide. Tiles of every
/// width share the packed weights, so channels do not depend on `row`: the pixels of a row, and the
/// most that a block may have.
pub(super) fn direct(
    work: Work,
    isa: Isa,
    whole: usize,
    row: [usize; 2],
    pool: bool,
) -> [usize; 2] {
    match isa {
        Isa::Portable => portable::Kernels::best(row, pool),
        Isa::X86_64V3 | Isa::X86_64V4 => {
            let nr = x86(work, isa).best_nr(whole);
            [nr, x86(work, isa).best_mr(nr, row, pool)]
        }
        Isa::Aarch64 | Isa::Armv7 => neon::Kernels { work, isa }.best(whole, row, pool),
    }
}

/// Units of a row of `w` pixels by a direct kernel of blocks of `nr` channels and `mr` pixels: half
/// cycles on x86-64, quarters of a cycle on ARM, steps of portable kernels.
pub(super) fn row_units(work: Work, isa: Isa, [nr, mr]: [usize; 2], w: usize, pool: bool) -> usize {
    match isa {
        Isa::Portable => portable::Kernels { work }.row(mr, w),
        Isa::X86_64V3 | Isa::X86_64V4 => x86(work, isa).row(nr, mr, w),
        Isa::Aarch64 | Isa::Armv7 => neon::Kernels { work, isa }.row(nr, mr, w, pool),
    }
}
