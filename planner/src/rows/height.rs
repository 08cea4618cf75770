//! How many rows a step computes per firing.
//!
//! Low blocks keep rings small; every firing reads the layer's weights once, so that large weights
//! want high blocks: their time on the way from memory must stay small beside the arithmetic.
//!
//! Heights are powers of two, so that layers fall into step soon and the steady state is short.

use crate::kernel::winograd;
use crate::options::Rows;
use tessera_plan::{
    graph::Op,
    kernel::winograd::Sizes,
    plan::{Buffer, ConvKernel},
};

/// Output bytes below which a firing would cost more to begin than it is worth.
const BLOCK_BYTES: usize = 16 << 10;
/// Bytes of weights that stay in a core's own cache from one firing to the next.
const CACHED: usize = 256 << 10;
/// Bytes of weights that stay in a cache that cores share.
const SHARED: usize = 8 << 20;
/// Pixels of a firing for which weights out of the shared cache cost under a twentieth of the
/// arithmetic: 4 bytes at 25 GB/s against 2 operations per pixel at 100 GFLOP/s, mostly fetched
/// ahead of time.
const PIXELS_SHARED: usize = 96;
/// The same for weights out of memory at 10 GB/s.
const PIXELS_MEMORY: usize = 400;

/// Bytes of an output map that a team computes at once. Its threads have large parts of it then, the
/// same ones in every layer, and meet seldom: two threads are 1.9 times as fast as one on
/// Yolo-Fastest-1.1-xl at 320 x 320 with 2 MiB, 1.7 times with 1 MiB or an eighth of it, 1.5 times
/// with none; YOLOv2's arena is 3 MiB larger with 2 MiB than with 1.
const TEAM_BYTES: usize = 2 << 20;
/// The same where rows come from other boards and leave for them: whoever waits for a firing's rows loses more than threads
/// that meet more often. Six Pi 3 take 1.68 s a frame with 2 MiB, 1.63 s with this or less.
const STREAM_BYTES: usize = 256 << 10;

/// What the height of a step's row blocks depends on.
pub(crate) struct Layer<'a> {
    /// The operation.
    pub op: &'a Op,
    /// Its kernel, if it is a convolution.
    pub conv: Option<&'a ConvKernel>,
    /// Shape of the output: rows, columns, channels.
    pub out: [usize; 3],
    /// Whether some output rows need all rows of an input: then rows come in one block.
    pub whole: bool,
    /// Threads that share a firing.
    pub team: usize,
    /// Whether inputs come, and outputs leave, while the chain computes.
    pub streams: bool,
    /// Tiles per call of a Winograd kernel, about.
    pub tiles: usize,
}

/// Rows per firing.
pub(crate) fn heights(layer: &Layer<'_>, rows: Rows) -> usize {
    let [h, ..] = layer.out;
    let wanted = match rows {
        _ if layer.whole => h,
        Rows::Whole => h,
        Rows::Blocks(n) => n,
        Rows::Rolling => rolling(layer),
    };
    wanted.clamp(1, h.max(1))
}

/// Rows that are loaded or stored together.
pub(crate) fn plain_height(b: &Buffer, rows: Rows) -> usize {
    let wanted = match rows {
        Rows::Whole => b.h,
        Rows::Blocks(n) => n,
        Rows::Rolling => BLOCK_BYTES.div_ceil(4 * b.w * b.c).next_power_of_two(),
    };
    wanted.clamp(1, b.h.max(1))
}

fn rolling(layer: &Layer<'_>) -> usize {
    let [h, w, c] = layer.out;
    let least = BLOCK_BYTES.div_ceil(4 * w * c);
    let side = layer.conv.map_or(1, ConvKernel::side);
    if let Some(sizes) = layer.conv.and_then(Sizes::new) {
        return winograd::row_block(&sizes, [side * h, side * w], layer.tiles) / side;
    }
    let pixels = match (layer.op, layer.conv) {
        (Op::Conv(conv), Some(k)) => {
            let depth = if k.depthwise { 1 } else { k.cin };
            match 4 * c * conv.size * conv.size * depth {
                n if n <= CACHED => 1,
                n if n <= SHARED => PIXELS_SHARED,
                _ => PIXELS_MEMORY,
            }
        }
        _ => 1,
    };
    let rows = least.max(pixels.div_ceil(side * side * w));
    // A row for every thread.
    let at_once = if layer.streams {
        STREAM_BYTES
    } else {
        TEAM_BYTES
    };
    let rows = match layer.team {
        0 | 1 => rows,
        _ if 4 * h * w * c <= at_once => h,
        n => rows.max(n),
    };
    // Pools of stride two take convolutions' rows two by two.
    let rows = rows.max(1 + usize::from(layer.conv.is_some()));
    rows.next_power_of_two()
}
