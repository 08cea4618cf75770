//! Block sizes of NEON kernels.
//!
//! Costs are estimates, not measurements: quarters of a cycle of a core that begins one multiply-add
//! of four lanes a cycle, with loads beside it at the price of a quarter each (cortex-a53 and
//! cortex-a7 issue them together when they do not wait).

use tessera_plan::{
    kernel::{half_block, menu, mr_max},
    plan::Isa,
};

use super::work::Work;

/// Lanes of a vector.
const LANES: usize = 4;
/// Begin and end of a call.
const CALL: usize = 240;
/// Begin and end of a block.
const BLOCK: usize = 60;
/// Running sums below which multiply-adds wait for each other.
const SUMS: usize = 8;

/// The kernels of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernels {
    pub work: Work,
    pub isa: Isa,
}

impl Kernels {
    /// A block of `m` pixels and `v` vectors of channels.
    const fn block(self, m: usize, v: usize) -> usize {
        let sums = if m * v < SUMS { SUMS } else { m * v };
        // Four steps of the depth come with one load per pixel; weights come two vectors at a time.
        let loads = if self.work.depthwise { 4 * m * v } else { m } + 2 * v;
        self.work.depth * (4 * sums + loads + 1) + 12 * m * v + BLOCK
    }

    /// A row of `w` pixels, all channels.
    pub fn row(self, nr: usize, m: usize, w: usize, pool: bool) -> usize {
        let of = |lanes: usize| {
            let v = lanes.div_ceil(LANES);
            let last = match w % m {
                0 => 0,
                n if n <= half_block(m, pool) => self.block(half_block(m, pool), v),
                _ => self.block(m, v),
            };
            CALL + w / m * self.block(m, v) + last
        };
        let (full, rest) = (self.work.filters / nr, self.work.filters % nr);
        full * of(nr) + if rest > 0 { of(rest) } else { 0 }
    }

    /// Pixels of a block, at most `most_of_row`, for rows of `w` pixels; pairs of them where kernels `pool`.
    fn best_mr(self, nr: usize, [w, most_of_row]: [usize; 2], pool: bool) -> usize {
        (1..=mr_max(self.isa, nr).min(most_of_row))
            .filter(|m| !pool || m.is_multiple_of(2))
            .min_by_key(|m| (self.row(nr, *m, w, pool), std::cmp::Reverse(*m)))
            .unwrap_or(1)
    }

    /// Output channels per block, for rows of `whole` pixels, and pixels per block for rows of so many
    /// pixels and at least so few: tiles of every width share the packed weights.
    pub fn best(self, whole: usize, row: [usize; 2], pool: bool) -> [usize; 2] {
        let nr = menu(self.isa)
            .iter()
            .map(|b| b.nr)
            .min_by_key(|nr| {
                let mr = self.best_mr(*nr, [whole; 2], false);
                self.row(*nr, mr, whole, false)
            })
            .unwrap_or(8);
        [nr, self.best_mr(nr, row, pool)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_divide_rows_and_channels_with_little_waste() {
        let check = |isa, filters, w, want| {
            let work = Work {
                filters,
                depth: 9 * 64,
                depthwise: false,
            };
            assert_eq!(
                Kernels { work, isa }.best(w, [w; 2], false),
                want,
                "{filters} channels, {w} wide"
            );
        };
        check(Isa::Armv7, 64, 38, [8, 4]);
        check(Isa::Armv7, 24, 3, [8, 3]);
        check(Isa::Aarch64, 64, 38, [16, 5]);
        check(Isa::Aarch64, 64, 40, [16, 5]);
        check(Isa::Aarch64, 24, 48, [12, 6]);
        check(Isa::Aarch64, 8, 16, [8, 8]);
        check(Isa::Aarch64, 64, 1, [16, 1]);
    }
}
