//! When a convolution is computed by Winograd's F(m x m, 3 x 3), and in which blocks. What a call works
//! in is [`tessera_plan::kernel::winograd`]'s.

use tessera_plan::{
    graph::{Conv, Node},
    kernel::winograd::Sizes,
};

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

/// Output rows per call of about `wanted` tiles, of `h` rows of `w` pixels.
pub fn row_block(s: &Sizes, [h, w]: [usize; 2], wanted: usize) -> usize {
    let across = w.div_ceil(s.m);
    let down = h.div_ceil(s.m);
    let most = (V_MOST / (s.points() * across * s.cin)).max(1);
    // Powers of two, so that layers fall into step soon, three quarters of the tiles will do; or everything.
    let above = wanted.div_ceil(across).next_power_of_two();
    let enough = 4 * (above / 2) * across >= 3 * wanted;
    let wanted = if enough { above / 2 } else { above };
    let rows = if 3 * down <= 4 * wanted && down <= most {
        down
    } else {
        wanted.min(1 << most.ilog2())
    };
    (rows * s.m).clamp(1, h.max(1))
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

/// What `filters` output channels of `h` rows of `w` pixels cost, in the half cycles of
/// the costs of direct kernels; `block` is what a step of `mr` tiles and all of `nr` costs, `lanes`
/// a vector's values. Instructions beside multiply-adds count as one each: they wait for loads and
/// stores; as two where vectors are cache lines, which come and go one at a time.
pub(super) fn cost(
    s: &Sizes,
    filters: usize,
    [h, w]: [usize; 2],
    tiles: usize,
    [mr, block, lanes]: [usize; 3],
) -> usize {
    let (m, n) = (s.m, s.m + 2);
    let [of_input, of_weights, of_output] = operations(m);
    let rows = row_block(s, [h, w], tiles).max(1);
    let call = |rows: usize| {
        let tiles = s.tiles(rows, w);
        let (passes, vectors) = (filters.div_ceil(s.nr), filters.div_ceil(lanes));
        let blocks = s.points() * tiles.div_ceil(mr);
        let multiply = passes * blocks * (s.cin * block + s.parts() * 4 * mr * s.nr / lanes);
        let input = tiles * s.cin / lanes * (2 * n * of_input + 4 * n * n);
        let output = tiles * vectors * ((n + m) * of_output + n * n + 2 * n * m + 5 * m * m);
        let weights = if s.stored {
            0
        } else {
            s.cin * vectors * ((3 + n) * of_weights + 6 * n + n * n)
        };
        multiply + lanes.div_ceil(8) * (input + output + weights)
    };
    h / rows * call(rows) + if h % rows > 0 { call(h % rows) } else { 0 }
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
                (s.depth, row_block(&s, [h, w], TILES)),
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
