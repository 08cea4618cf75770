//! Block sizes of portable kernels.

use super::work::Work;

/// Output channels of a block.
const NR: usize = 8;
/// Pixels of a block. Of three, five or six pixels the compiler makes no vectors: a pixel takes five times as long (rustc 1.95,
/// x86-64 and 8 channels).
const MR: [usize; 3] = [1, 2, 4];

/// The kernels of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernels {
    pub work: Work,
}

impl Kernels {
    /// A row of `w` pixels in blocks of `m` pixels, all channels: steps that wait for each other where
    /// sums are few.
    pub fn row(self, m: usize, w: usize) -> usize {
        self.work.filters.div_ceil(NR) * self.work.depth * steps(m, w)
    }

    /// Channels of a block, and its pixels for rows of so many pixels and at least so few; pairs of them
    /// where kernels `pool`.
    pub fn best([w, most]: [usize; 2], pool: bool) -> [usize; 2] {
        let mr = (MR.into_iter())
            .filter(|m| *m <= most.max(1) && (!pool || m.is_multiple_of(2)))
            .min_by_key(|m| (steps(*m, w), std::cmp::Reverse(*m)))
            .unwrap_or(1);
        [NR, mr]
    }
}

/// What a row of `w` pixels in blocks of `m` costs, per multiply-add.
fn steps(m: usize, w: usize) -> usize {
    w.div_ceil(m) * (2 * m).max(9)
}
