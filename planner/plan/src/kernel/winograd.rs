//! Layout of Winograd's F(m x m, 3 x 3): what a call works in, and how much of it.
//!
//! A call computes a block of output rows as tiles of `m x m` pixels. It transforms their inputs,
//! and then, for every packed block of `nr` output channels, the weights, which are stored as for
//! direct kernels: nothing grows in `weights.bin`. What this costs is shared by all tiles of the
//! call, so calls take many of them. Or weights are stored transformed ([`crate::plan::WeightFormat`]): then
//! `U` is read where it lies, and takes `(m + 2)^2 / 9` times as much of the file. Threads share
//! first the rows of tiles, then the blocks of channels: `V` is common to them, `U` and `M` are a
//! thread's own.
//!
//! ```text
//! V[part of cin][(m + 2)^2][tile][depth]   transformed inputs of all tiles of the call
//! U[(m + 2)^2][depth][nr]                  transformed weights: one block, one part of cin
//! M[tile][(m + 2)^2][nr]                   their products, summed over all of cin
//! ```
//!
//! `depth` divides the input channels into parts such that `U` stays in the second-level cache; the
//! last part may be less deep.

use crate::plan::{ALIGN_FLOATS, Algorithm, ConvKernel};

/// Values between the matrices of neighbouring points in `U` and `V`, beyond their own: a cache line,
/// so that a transform's stores do not fall into one set of the cache.
pub const GAP: usize = 16;

/// Values of `U` of all of `cin` input channels, in parts of `depth`, for `nr` output channels.
pub const fn transformed_floats(m: usize, [cin, depth]: [usize; 2], nr: usize) -> usize {
    (m + 2) * (m + 2) * (cin * nr + cin.div_ceil(depth) * GAP)
}

/// Sizes of a Winograd kernel's working memory, in float32 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Output pixels of a tile's side.
    pub m: usize,
    /// Input channels.
    pub cin: usize,
    /// Input channels of a part; the last one may have fewer.
    pub depth: usize,
    /// Output channels of a packed block.
    pub nr: usize,
    /// True if weights are stored transformed.
    pub stored: bool,
}

impl Sizes {
    /// The sizes of kernel `k`; `None` for a direct kernel.
    pub const fn new(k: &ConvKernel) -> Option<Self> {
        match k.algorithm {
            Algorithm::Direct => None,
            Algorithm::Winograd { m, depth, stored } => Some(Self {
                m,
                cin: k.cin,
                depth,
                nr: k.nr,
                stored,
            }),
        }
    }

    /// Number of points: products per tile and pair of channels.
    pub const fn points(&self) -> usize {
        (self.m + 2) * (self.m + 2)
    }

    /// Number of parts of the input channels.
    pub const fn parts(&self) -> usize {
        self.cin.div_ceil(self.depth)
    }

    /// Values from one point of `V` to the next, for `tiles` tiles.
    pub const fn plane(&self, tiles: usize) -> usize {
        tiles * self.depth + GAP
    }

    /// Values of `V`, for `tiles` tiles.
    pub const fn v(&self, tiles: usize) -> usize {
        self.parts() * self.points() * self.plane(tiles)
    }

    /// Values of `U` in working memory: none if weights are stored transformed.
    pub const fn u(&self) -> usize {
        if self.stored {
            0
        } else {
            self.points() * (self.depth * self.nr + GAP)
        }
    }

    /// Values of `M`, for `tiles` tiles.
    pub const fn products(&self, tiles: usize) -> usize {
        self.points() * self.nr * tiles
    }

    /// Number of tiles of `rows` rows of `cols` pixels.
    pub const fn tiles(&self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(self.m) * cols.div_ceil(self.m)
    }

    /// Values that every thread needs beside `V` in a call with `tiles` tiles: `U` and `M`.
    pub const fn work(&self, tiles: usize) -> usize {
        self.u() + self.products(tiles)
    }

    /// Values of all working memory of a call with `tiles` tiles, in whole cache lines.
    pub const fn scratch(&self, tiles: usize, threads: usize) -> usize {
        (self.v(tiles) + threads * self.work(tiles)).next_multiple_of(ALIGN_FLOATS)
    }
}
