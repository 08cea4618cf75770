//! Boards of the paper's kind: one core of a Raspberry Pi 3 for every edge, all on one channel of 38.4 Mbit/s.

use std::sync::Arc;

use tessera_plan::{
    graph::{Graph, Op},
    plan::{Border, Plan},
};
use tessera_planner::{
    boards::{Board, Link, Medium},
    ftp::{
        reuse::{Reuse, reuse},
        work::untiled_macs,
    },
    kernel::costs::CostTable,
    options::{Costs, Target},
};

use crate::{EvaluationError, published::LAYER_S};

/// Layers that edges compute in the paper.
pub const OFFLOAD: usize = LAYER_S.len();

/// Seconds that a tile takes in the paper beside its layers: cropping, copies, queues. With it, and the time of the results on
/// the channel, the layers' seconds give the paper's latencies of one device: 24.4, 31.1 and 38.7 s for 9, 16 and 25 tiles.
pub const TILE_S: f64 = 0.19;

/// The same of a strip of one layer (MoDNN): its latency of one device, 17.0 s, less the layers' seconds and the time of the traffic.
pub const STRIP_S: f64 = 0.08;

/// Seconds of the layers behind the 16 on one core: all 32 layers take 27.74 s there (Figure 1).
pub const TAIL_S: f64 = 14.18;

/// Direct kernels of this table take 1.9 GFLOP/s, which is what the paper's engine does.
const COSTS: &str = include_str!("../../docs/clusters/six-pi3-costs.toml");

/// An edge.
///
/// # Errors
/// When the cost table cannot be read.
pub fn edge() -> Result<Board, EvaluationError> {
    Ok(Board {
        team: 1,
        costs: Costs::Table(Arc::new(CostTable::from_toml(COSTS)?)),
        link: Link {
            bytes_per_s: 38.4e6 / 8.0,
            delay_s: 3e-3,
            medium: Medium::Shared(0),
        },
        ..Board::new(Target::Aarch64)
    })
}

/// Seconds of a plan's tasks on `board` as the paper's program takes them: the layers' seconds by pixels of tiles' inputs, since it
/// computes convolutions over whole input tiles and crops them. Where borders are reused, an input tile is what the tile made itself with the strips
/// of its neighbours around it. Tasks that make strips in the place of a tile are not in the paper, and take time by their multiply-adds.
///
/// # Errors
/// When the stages are no chain of the paper's layers.
pub fn paper_times(
    graph: &Graph,
    plan: &Plan,
    board: &Board,
) -> Result<Arc<[f64]>, EvaluationError> {
    let slower = board.scale.at(0);
    let (mut times, mut first) = (Vec::new(), 0);
    for stage in &plan.dataflow.stages {
        let schedule = reuse(graph, stage).ok_or(EvaluationError::Network)?;
        let layers = LAYER_S.get(first..first + schedule.nodes.len());
        let layers = layers.ok_or(EvaluationError::Network)?;
        let beside_s = if layers.len() > 1 { TILE_S } else { STRIP_S };
        let tiles = match stage.border {
            Border::Reuse => &schedule.tiles,
            Border::Recompute | Border::Exchange => &schedule.plain,
        };
        let untiled = untiled_macs(graph, stage.first_layer, stage.end_layer);
        for task in &stage.tiles {
            let tile = tiles.get(task.row * stage.grid[1] + task.col);
            let tile = tile.ok_or(EvaluationError::Network)?;
            let of_layer = |(l, seconds): (usize, &f64)| {
                seconds * part(tile.inputs[l].pixels(), input_pixels(graph, &schedule, l))
            };
            let computes_s: f64 = match task.instead_of {
                Some(_) => layers.iter().sum::<f64>() * part(task.macs, untiled),
                None => layers.iter().enumerate().map(of_layer).sum(),
            };
            times.push(slower * (beside_s + computes_s));
        }
        first += layers.len();
    }
    Ok(times.into())
}

/// Pixels of the whole input of an operation.
fn input_pixels(graph: &Graph, tiles: &Reuse, operation: usize) -> u64 {
    let shape = graph.shape(graph.nodes[tiles.nodes[operation]].inputs[0]);
    (shape.h * shape.w) as u64
}

#[expect(clippy::cast_precision_loss, reason = "maps are small")]
fn part(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Whether an operation is a convolution; the paper's other layers are pools.
pub(crate) fn is_conv(graph: &Graph, tiles: &Reuse, operation: usize) -> bool {
    matches!(graph.nodes[tiles.nodes[operation]].op, Op::Conv(_))
}
