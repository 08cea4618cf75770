//! Costs of x86-64 kernels by formulas, to choose among block sizes and algorithms.

use tessera_plan::kernel::{menu, mr_max, vector, winograd::Sizes};

use super::{winograd, work::Work};
use tessera_plan::plan::Isa;

/// The kernels of a convolution.
///
/// Costs are half cycles of a core that begins two fused multiply-adds and two loads a cycle and
/// finishes a multiply-add after four (Haswell and later, Zen 2 and later). Measured shares of the
/// peak on long rows that blocks divide: 6x16 92 %, 5x16 87 %, 4x16 78 %, 12x8 93 %, 10x8 85 %,
/// 8x8 76 %; 4x24 and 3x32 need all 16 registers, spill, and reach 57 and 49 % (Xeon, Sapphire
/// Rapids family, 110.8 GFLOP/s at best, rustc 1.95, 2025-11, spread 3 %).
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernels {
    pub work: Work,
    pub isa: Isa,
}

impl Kernels {
    /// Begin and end of a call.
    const CALL: usize = 60;
    /// Begin and end of a block.
    const BLOCK: usize = 10;

    /// A block of `m` pixels and `v` vectors of channels.
    fn block(self, m: usize, v: usize) -> usize {
        let loads = if self.work.depthwise {
            m * v + v
        } else {
            m + v
        };
        // Sums that are too few wait for each other; eight do not quite fill four cycles of latency.
        let step = (m * v).max(loads).max(9) + 1;
        // Beside the steps: activation and store of every sum.
        self.work.depth * step + 3 * m * v + Self::BLOCK
    }

    /// A row of `w` pixels, all channels.
    pub fn row(self, nr: usize, m: usize, w: usize) -> usize {
        let (full, rest) = (self.work.filters / nr, self.work.filters % nr);
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

    /// A map of `size` (rows, columns) by a Winograd kernel with blocks of `mr` tiles.
    pub fn winograd(self, s: &Sizes, mr: usize, size: [usize; 2], tiles: usize) -> usize {
        let v = self.vectors(s.nr);
        let step = (mr * v).max(mr + v) + 1;
        let lanes = vector(self.isa);
        winograd::cost(s, self.work.filters, size, tiles, [mr, step, lanes])
    }

    /// Pixels of a block, at most `most`, for rows of `w` pixels; pairs of them where kernels `pool`.
    pub fn best_mr(self, nr: usize, [w, most]: [usize; 2], pool: bool) -> usize {
        (1..=mr_max(self.isa, nr).min(most))
            .filter(|m| !pool || m.is_multiple_of(2))
            .min_by_key(|m| (self.row(nr, *m, w), std::cmp::Reverse(*m)))
            .unwrap_or(1)
    }

    /// Channels of a block for maps `w` pixels wide.
    pub fn best_nr(self, w: usize) -> usize {
        let widths = menu(self.isa).iter().map(|b| b.nr);
        widths
            .min_by_key(|nr| self.row(*nr, self.best_mr(*nr, [w; 2], false), w))
            .unwrap_or(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernels(filters: usize, depth: usize) -> Kernels {
        let work = Work {
            filters,
            depth,
            depthwise: false,
        };
        let isa = Isa::X86_64V3;
        Kernels { work, isa }
    }

    #[test]
    fn winograd_pays_where_channels_are_many() {
        let check = |cin, filters, w: usize, want: &[usize]| {
            let work = kernels(filters, 9 * cin);
            let direct = work.row(16, work.best_mr(16, [w; 2], false), w) * w;
            let faster: Vec<usize> = [2, 4, 6]
                .into_iter()
                .filter(|m| {
                    let s = Sizes {
                        m: *m,
                        cin,
                        depth: winograd::depth(*m, cin, 16, 8),
                        nr: 16,
                        stored: false,
                    };
                    11 * winograd::cost(&s, filters, [w, w], winograd::TILES, [6, 13, 8])
                        < 10 * direct
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
            let work = kernels(filters, 9 * 256);
            let nr = work.best_nr(w);
            assert_eq!(
                (work.best_mr(nr, [w; 2], false), nr),
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
