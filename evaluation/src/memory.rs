//! Figure 11: the memory of each layer.

use tessera_plan::{
    graph::Graph,
    plan::{Chain, Plan, Split},
};
use tessera_planner::{
    ftp::reuse::{Reuse, reuse},
    make,
    model::Model,
    options::PlanOptions,
    wire::Wire,
};

use crate::{
    EvaluationError,
    pi3::{OFFLOAD, edge, is_conv},
};

/// MiB of the figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// By the paper's formula, per layer: unpartitioned, BODP-4, FTP 3x3, FTP 5x5. Data alone.
    pub layers: Vec<[f64; 4]>,
    /// The largest layer of each, with the weights of all.
    pub totals: [f64; 4],
    /// What rolling rows take of the arena, per layer: unpartitioned, 3x3, 5x5. `None` for a pool that is part of the
    /// convolution before it.
    pub rolling: Vec<[Option<f64>; 3]>,
    /// The whole arena of each, with the weights of all layers as trained.
    pub rolling_totals: [f64; 3],
    /// Where borders are reused (WST-S), strips that are kept for neighbours: 3x3, 5x5.
    pub strips: [Strips; 2],
}

/// MiB of strips that tiles of the first colour keep for their neighbours, in float32, as the paper's program makes them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strips {
    /// Of the tile that keeps most.
    pub most: f64,
    /// Of all tiles of a frame.
    pub all: f64,
}

/// Strips of BODP in the figure.
const STRIPS: usize = 4;
const MIB: f64 = 1_048_576.0;
const VALUE_BYTES: u64 = 4;

/// Makes the figure's values. `model` is YOLOv2.
///
/// # Errors
/// When a plan is impossible, or the network is another one.
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB")]
pub fn memory(model: &Model) -> Result<Memory, EvaluationError> {
    let graph = &model.graph;
    let tiles = |grid| -> Result<Reuse, EvaluationError> { tiles_of(model, grid, OFFLOAD) };
    let [whole, three, five] = [tiles([1, 1])?, tiles([3, 3])?, tiles([5, 5])?];
    let layer = |l: usize| {
        [
            largest_mib(graph, &whole, l),
            strip_mib(graph, &whole, l),
            largest_mib(graph, &three, l),
            largest_mib(graph, &five, l),
        ]
    };
    let layers: Vec<[f64; 4]> = (0..OFFLOAD).map(layer).collect();
    let weights_mib = weights_mib(graph, OFFLOAD);
    let total = |column: usize| {
        let most = layers.iter().map(|row| row[column]).fold(0.0, f64::max);
        most + weights_mib
    };
    let totals = [0, 1, 2, 3].map(total);
    let mut rolling = vec![[None; 3]; OFFLOAD];
    let mut rolling_totals = [0.0_f64; 3];
    for (column, grid) in [[1, 1], [3, 3], [5, 5]].into_iter().enumerate() {
        let plan = plan(model, grid, OFFLOAD, false)?;
        let chains = plan.target.values().next().and_then(|t| t.stages.first());
        for chain in chains.ok_or(EvaluationError::Network)? {
            for (layer, mib) in live_mib(chain) {
                let place: &mut Option<f64> = &mut rolling[layer][column];
                *place = Some(place.unwrap_or(0.0).max(mib));
            }
            let arena_mib = (VALUE_BYTES * chain.arena_floats as u64) as f64 / MIB;
            let total = &mut rolling_totals[column];
            *total = total.max(arena_mib + weights_mib);
        }
    }
    Ok(Memory {
        layers,
        totals,
        rolling,
        rolling_totals,
        strips: [&three, &five].map(|tiles| strips(graph, tiles)),
    })
}

#[expect(clippy::cast_precision_loss, reason = "sizes in MiB")]
fn strips(graph: &Graph, tiles: &Reuse) -> Strips {
    let bytes = tiles.donated(graph);
    let mib = |bytes: u64| bytes as f64 / MIB;
    Strips {
        most: mib(bytes.iter().copied().max().unwrap_or(0)),
        all: mib(bytes.iter().sum()),
    }
}

/// MiB of the largest layer of the largest tile, with the weights, if the first `layers` layers are fused in a grid.
///
/// # Errors
/// As [`memory`].
pub fn fused_mib(model: &Model, grid: [usize; 2], layers: usize) -> Result<f64, EvaluationError> {
    let graph = &model.graph;
    let tiles = tiles_of(model, grid, layers)?;
    let most = (0..layers).map(|l| largest_mib(graph, &tiles, l));
    Ok(most.fold(0.0, f64::max) + weights_mib(graph, layers))
}

/// MiB of the weights of the first `layers` layers, as trained.
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB")]
fn weights_mib(graph: &Graph, layers: usize) -> f64 {
    let bytes = graph.layers[..layers].iter();
    let bytes = bytes.map(|l| VALUE_BYTES * l.weights as u64).sum::<u64>();
    bytes as f64 / MIB
}

/// The tiles of a grid of the first `layers` layers.
fn tiles_of(model: &Model, grid: [usize; 2], layers: usize) -> Result<Reuse, EvaluationError> {
    let plan = plan(model, grid, layers, true)?;
    let first = plan.dataflow.stages.first();
    let found = first.and_then(|s| reuse(&model.graph, s));
    let found = found.filter(|r| r.nodes.len() == layers);
    found.ok_or(EvaluationError::Network)
}

/// The first `layers` layers on equal tiles, in float32.
fn plan(
    model: &Model,
    grid: [usize; 2],
    layers: usize,
    whole_maps: bool,
) -> Result<Plan, EvaluationError> {
    use tessera_planner::options::Rows;
    let options = PlanOptions {
        grids: vec![grid],
        offload: Some(layers),
        split: Split::Equal,
        wire: Wire::floats(),
        rows: if whole_maps {
            Rows::Whole
        } else {
            Rows::Rolling
        },
        ..PlanOptions::of(1, &edge()?)
    };
    Ok(make::plan(model, &options)?)
}

/// MiB of input and output of an operation, of `pixels` pixels of each; convolutions have outputs as large as their inputs,
/// as the paper's engine computes them.
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB")]
fn mib(graph: &Graph, tiles: &Reuse, operation: usize, [inputs, outputs]: [u64; 2]) -> f64 {
    let node = &graph.nodes[tiles.nodes[operation]];
    let cin = graph.shape(node.inputs[0]).c as u64;
    let cout = node.shape.c as u64;
    let outputs = if is_conv(graph, tiles, operation) {
        inputs
    } else {
        outputs
    };
    (VALUE_BYTES * (inputs * cin + outputs * cout)) as f64 / MIB
}

/// The largest tile.
fn largest_mib(graph: &Graph, tiles: &Reuse, operation: usize) -> f64 {
    let of = |t: &tessera_planner::ftp::reuse::ReuseTile| {
        let pixels = [t.inputs[operation].pixels(), t.outputs[operation].pixels()];
        mib(graph, tiles, operation, pixels)
    };
    tiles.plain.iter().map(of).fold(0.0, f64::max)
}

/// A strip of BODP between two others: its share of rows, and the rows that a convolution's window reaches beyond them.
fn strip_mib(graph: &Graph, tiles: &Reuse, operation: usize) -> f64 {
    let node = &graph.nodes[tiles.nodes[operation]];
    let input = graph.shape(node.inputs[0]);
    let rows = node.shape.h.div_ceil(STRIPS);
    let halo = match &node.op {
        tessera_plan::graph::Op::Conv(c) => 2 * (c.size / 2),
        _ => 0,
    };
    let read = rows * (input.h / node.shape.h) + halo;
    let pixels = [read * input.w, rows * node.shape.w].map(|n| n as u64);
    mib(graph, tiles, operation, pixels)
}

/// MiB of the buffers that each step of a chain reads and writes, by layer.
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB")]
fn live_mib(chain: &Chain) -> Vec<(usize, f64)> {
    let of = |step: &tessera_plan::plan::Step| {
        let mut buffers: Vec<_> = step.inputs.iter().map(|v| v.buffer).collect();
        buffers.push(step.out.buffer);
        buffers.sort_by_key(|b| b.0);
        buffers.dedup();
        let floats: usize = buffers.iter().map(|b| chain.buffers[*b].floats).sum();
        let floats = (floats + step.scratch) as u64;
        (step.layer, (VALUE_BYTES * floats) as f64 / MIB)
    };
    chain
        .steps
        .iter()
        .filter(|s| s.layer < OFFLOAD)
        .map(of)
        .collect()
}
