//! When a convolution is computed by Winograd's F(m x m, 3 x 3), in which blocks, and in how much
//! working memory.
//!
//! A call computes a block of output rows as tiles of `m x m` pixels. It transforms their inputs,
//! and then, for every packed block of `nr` output channels, the weights, which are stored as for
//! direct kernels: nothing grows in `weights.bin`. What this costs is shared by all tiles of the
//! call, so calls take many of them. Or weights are stored transformed ([`super::Storage`]): then
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

use crate::{
    buffers::ALIGN,
    graph::{Conv, Node},
    plan::{Algorithm, ConvKernel},
};

/// Values between the matrices of neighbouring points in `U` and `V`, beyond their own: a cache line,
/// so that a transform's stores do not fall into one set of the cache.
pub const GAP: usize = 16;

/// Values of `U` that a part's input channels may take: 295 KB (m = 4) or less.
const fn depth_most(m: usize, nr: usize) -> usize {
    let values = match m {
        2 => 4096,
        4 => 2048,
        _ => 1024,
    };
    values / nr
}

/// Tiles per call worth waiting for: transforming weights then costs about 5 % (per tile and pair
/// of channels a multiply-add per point; per pair of channels about two and a half operations). With
/// fewer it costs more of the time, and working memory becomes smaller nearly in proportion.
pub const TILES: usize = 64;

/// Values of `V` that a call may take: 6 MB.
const V_MOST: usize = 3 << 19;

/// Whether F(m x m, 3 x 3) can compute a convolution of `cin` channels to `w` columns, with vectors of
/// `lanes` values.
pub fn is_possible(c: &Conv, node: &Node, [cin, w]: [usize; 2], m: usize, lanes: usize) -> bool {
    let plain = c.size == 3 && c.stride_x == 1 && c.stride_y == 1 && c.dilation == 1;
    plain
        && c.groups == 1
        && w >= m
        && cin >= lanes
        && cin.is_multiple_of(lanes)
        && node.shape.c > 0
}

/// Depth of the parts of `cin` input channels for blocks of `nr` output channels: equal ones, all multiples
/// of `lanes`, as few as possible.
pub const fn depth(m: usize, cin: usize, nr: usize, lanes: usize) -> usize {
    let parts = cin.div_ceil(depth_most(m, nr));
    cin.div_ceil(lanes * parts) * lanes
}

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
    /// Whether weights are stored transformed.
    pub stored: bool,
}

impl Sizes {
    /// Of `k`; `None` if it is a direct kernel.
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

    /// Products per tile and pair of channels.
    pub const fn points(&self) -> usize {
        (self.m + 2) * (self.m + 2)
    }

    /// Parts of the input channels.
    pub const fn parts(&self) -> usize {
        self.cin.div_ceil(self.depth)
    }

    /// From a point of `V` of `tiles` tiles to the next.
    pub const fn plane(&self, tiles: usize) -> usize {
        tiles * self.depth + GAP
    }

    /// `V` of `tiles` tiles.
    pub const fn v(&self, tiles: usize) -> usize {
        self.parts() * self.points() * self.plane(tiles)
    }

    /// `U` in working memory: nothing where it is stored.
    pub const fn u(&self) -> usize {
        if self.stored {
            0
        } else {
            self.points() * (self.depth * self.nr + GAP)
        }
    }

    /// `M` of `tiles` tiles.
    pub const fn products(&self, tiles: usize) -> usize {
        self.points() * self.nr * tiles
    }

    /// Tiles of `rows` rows of `cols` pixels.
    pub const fn tiles(&self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(self.m) * cols.div_ceil(self.m)
    }

    /// What every thread needs beside `V` in a call with `tiles` tiles: `U` and `M`.
    pub const fn work(&self, tiles: usize) -> usize {
        self.u() + self.products(tiles)
    }

    /// All working memory of a call with `tiles` tiles; whole cache lines.
    pub const fn scratch(&self, tiles: usize, threads: usize) -> usize {
        (self.v(tiles) + threads * self.work(tiles)).next_multiple_of(ALIGN)
    }

    /// Output rows per call of about `wanted` tiles, of `h` rows of `w` pixels.
    pub fn row_block(&self, [h, w]: [usize; 2], wanted: usize) -> usize {
        let across = w.div_ceil(self.m);
        let down = h.div_ceil(self.m);
        let most = (V_MOST / (self.points() * across * self.cin)).max(1);
        // Powers of two, so that layers fall into step soon, three quarters of the tiles will do; or everything.
        let above = wanted.div_ceil(across).next_power_of_two();
        let enough = 4 * (above / 2) * across >= 3 * wanted;
        let wanted = if enough { above / 2 } else { above };
        let rows = if 3 * down <= 4 * wanted && down <= most {
            down
        } else {
            wanted.min(1 << most.ilog2())
        };
        (rows * self.m).clamp(1, h.max(1))
    }
}

/// Operations of the one-dimensional transforms of inputs, weights and outputs, as codegen's
/// `kernel::winograd::transform` makes them.
const fn operations(m: usize) -> [usize; 3] {
    match m {
        2 => [4, 5, 4],
        4 => [12, 8, 12],
        _ => [24, 13, 24],
    }
}

impl Sizes {
    /// What `filters` output channels of `h` rows of `w` pixels cost, in the half cycles of
    /// the costs of direct kernels; `block` is what a step of `mr` tiles and all of `nr` costs, `lanes`
    /// a vector's values. Instructions beside multiply-adds count as one each: they wait for loads and
    /// stores; as two where vectors are cache lines, which come and go one at a time.
    pub(super) fn cost(
        &self,
        filters: usize,
        [h, w]: [usize; 2],
        tiles: usize,
        [mr, block, lanes]: [usize; 3],
    ) -> usize {
        let (m, n) = (self.m, self.m + 2);
        let [of_input, of_weights, of_output] = operations(m);
        let rows = self.row_block([h, w], tiles).max(1);
        let call = |rows: usize| {
            let tiles = self.tiles(rows, w);
            let (passes, vectors) = (filters.div_ceil(self.nr), filters.div_ceil(lanes));
            let blocks = self.points() * tiles.div_ceil(mr);
            let multiply =
                passes * blocks * (self.cin * block + self.parts() * 4 * mr * self.nr / lanes);
            let input = tiles * self.cin / lanes * (2 * n * of_input + 4 * n * n);
            let output = tiles * vectors * ((n + m) * of_output + n * n + 2 * n * m + 5 * m * m);
            let weights = if self.stored {
                0
            } else {
                self.cin * vectors * ((3 + n) * of_weights + 6 * n + n * n)
            };
            multiply + lanes.div_ceil(8) * (input + output + weights)
        };
        h / rows * call(rows) + if h % rows > 0 { call(h % rows) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_take_many_tiles_and_little_memory() {
        let check = |cin, h, w, want| {
            let s = Sizes {
                m: 4,
                cin,
                depth: depth(4, cin, 16, 8),
                nr: 16,
                stored: false,
            };
            assert_eq!(
                (s.depth, s.row_block([h, w], TILES)),
                want,
                "{cin} channels, {h} x {w}"
            );
        };
        check(32, 304, 304, (32, 4));
        check(64, 152, 152, (64, 8));
        check(128, 76, 76, (128, 16));
        check(256, 38, 38, (128, 38));
        check(1024, 19, 19, (128, 19));
        check(1280, 19, 19, (128, 19));
        check(24, 3, 5, (24, 3));
        // Four rows of 14 tiles are enough of 64.
        check(64, 45, 54, (64, 16));
    }
}
