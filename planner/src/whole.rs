//! Whole frames: a plan whose only task computes all layers, and belongs to no board. For throughput.
//!
//! Tiles make one frame faster; whole frames make many frames faster. No halo is computed or sent, no board waits for
//! another, and the gateway has nothing to compute. A source runs a frame on its own board, or gives the frame to an idle
//! one, which sends the detection layers' maps to the gateway.

use tessera_plan::{
    graph::Graph,
    limits::{SOURCE_FRAMES, SOURCE_FRAMES_MAX},
    plan::Placement,
};

use crate::{
    boards::Board,
    options::{Goal, PlanOptions},
    stages::StageCuts,
};

/// The stage of whole frames.
pub fn cuts(graph: &Graph) -> StageCuts {
    StageCuts::alike(vec![graph.layers.len()], [1, 1])
}

/// Whether a plan is one of whole frames: it has their stage, boards do not steal, and more than latency counts.
pub fn is_whole(graph: &Graph, of: &StageCuts, o: &PlanOptions) -> bool {
    o.goal != Goal::Latency && o.placement == Placement::Home && *of == cuts(graph)
}

/// Frames that a source has in flight, if its memory does not say less: one for every task that boards compute at a
/// time, shared between the cameras, and those whose values travel meanwhile: one, and where a single camera feeds all
/// boards half as many again, since boards that end together wait for their next frames together.
pub fn frames_in_flight(o: &PlanOptions) -> usize {
    let at_once: usize = o.boards.iter().map(Board::whole_at_once).sum();
    let cameras = o.cameras.max(1);
    let ahead = if cameras == 1 {
        at_once.div_ceil(2).max(2)
    } else {
        1
    };
    (at_once.div_ceil(cameras) + ahead).clamp(SOURCE_FRAMES, SOURCE_FRAMES_MAX)
}

/// Worker processes of a board: a whole frame has a team of the board's cores.
pub fn workers(board: &Board, is_whole: bool) -> usize {
    if is_whole {
        board.whole_at_once()
    } else {
        board.cores
    }
}
