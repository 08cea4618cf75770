//! Bounds that several crates must agree on: the planner refuses what exceeds them, nodes and readers of
//! files rely on them.

/// The id of the edge that a gateway starts on its own board, unless it is given another. Edges count from 1.
pub const GATEWAY_EDGE_ID: u16 = u16::MAX;
/// Frames that a source has in flight at a time, where a plan says nothing else.
pub const SOURCE_FRAMES: usize = 2;
/// Most frames of a source in flight: each of its heartbeats lists all of them, with names, in one datagram.
pub const SOURCE_FRAMES_MAX: usize = 11;
/// How many frames' outputs of stolen tasks an edge keeps for their owners.
pub const KEPT_FRAMES: usize = 2;
/// Frames of all sources that a gateway merges at a time.
pub const GATEWAY_FRAMES: usize = 8;
/// Most tiles of a stage.
pub const STAGE_TILES_MAX: usize = 4096;
/// Most tiles of all stages together: task ids have 16 bits on the wire.
pub const TASKS_MAX: usize = 1 << 16;
/// Most objects that one task may read from: a lease names their holders in one datagram.
pub const PIECES_MAX: usize = 512;
/// Most values of a tensor that crosses a boundary: a transfer's bitmap holds its chunks.
pub const TENSOR_VALUES_MAX: usize = 1 << 26;
/// Most entries of a list in a plan.
pub const LIST_MAX: usize = 1 << 16;
/// An arena and a weights file have fewer values than this.
pub const VALUES_MAX: usize = if usize::BITS > 33 {
    1_usize.rotate_left(33)
} else {
    usize::MAX
};
/// Most threads that a plan may ask for.
pub const TEAM_MAX: usize = 1 << 10;
/// Most boards that tasks of a plan may have as homes: one number is left for tasks without a home.
pub const BOARDS_MAX: usize = (1 << 16) - 1;
/// Longest `plan.toml`, in bytes.
pub const PLAN_BYTES_MAX: usize = 64 << 20;
