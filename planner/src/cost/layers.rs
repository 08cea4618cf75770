//! Seconds of a chain's layers on one core, by one thread.
//!
//! A convolution takes the time of its kernel. Every other layer moves values: the layer takes the bytes that
//! it reads and writes, divided by the core's bandwidth, plus the time of the function that it computes of
//! every value, if any.

#![expect(clippy::cast_precision_loss, reason = "estimates")]

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tessera_plan::graph::{Graph, NodeIx, Op, TensorIx};

use crate::{
    boards::Board,
    chain::{ChainSpec, Fused},
    ftp::work::per_pixel,
    kernel::{self, Core, Made, Wanted},
    options::{PlanOptions, Rows},
};

/// Bytes of a value in an arena.
const VALUE_BYTES: usize = size_of::<f32>();

/// Seconds of layers on one board. Tiles and grids have many maps of one size in common, so a cache holds the
/// seconds of convolutions.
pub struct LayerTimes<'a> {
    graph: &'a Graph,
    wanted: Wanted<'a>,
    rows: Rows,
    core: Core,
    /// The board, for its share of a core's time and what was measured of it.
    board: &'a Board,
    /// Cached seconds of convolutions, by node and output.
    known: Mutex<HashMap<(NodeIx, Made), f64>>,
}

impl<'a> LayerTimes<'a> {
    /// Layer times with the kernels of a board, and an empty cache.
    pub fn new(graph: &'a Graph, o: &PlanOptions, board: &'a Board) -> Self {
        let wanted = o.kernels_on(board);
        Self {
            graph,
            wanted,
            rows: o.rows,
            core: kernel::core(wanted.isa),
            board,
            known: Mutex::default(),
        }
    }

    /// The network.
    pub const fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// The same, for a network whose layers have other channels.
    pub fn on<'b>(&'b self, graph: &'b Graph) -> LayerTimes<'b> {
        LayerTimes {
            graph,
            known: Mutex::default(),
            ..*self
        }
    }

    /// The same, with direct kernels alone.
    pub fn direct(&self) -> Self {
        LayerTimes {
            wanted: self.wanted.direct(),
            known: Mutex::default(),
            ..*self
        }
    }

    /// Seconds of a chain.
    pub fn chain_s(&self, spec: &ChainSpec<'_>) -> f64 {
        let fused = Fused::new(self.graph, spec, self.rows);
        let done = fused.done();
        let steps = spec.nodes.iter().filter(|n| !done.contains(n));
        let scale = |n: &NodeIx| self.board.scale.at(self.graph.nodes[*n].layer);
        let steps: f64 = steps
            .map(|n| scale(n) * self.step_s(spec, &fused, *n))
            .sum();
        let first = spec.nodes.first().map_or(1.0, scale);
        (steps + first * self.copies_s(spec)) / self.board.share
    }

    /// Seconds of a node and of the nodes that are fused into the node.
    fn step_s(&self, spec: &ChainSpec<'_>, fused: &Fused, n: NodeIx) -> f64 {
        let (graph, core) = (self.graph, &self.core);
        let node = &graph.nodes[n];
        let pool = fused.pool_of(n);
        let out = spec.made(graph, TensorIx::node(pool.unwrap_or(n)));
        if out.is_empty() {
            return 0.0;
        }
        let functions = function_values(&node.op, out.len()) * core.function_s;
        if matches!(node.op, Op::Conv(_)) {
            let made = Made {
                size: [out.h(), out.w()],
                pool: pool.is_some(),
                joined: pool.is_none() && kernel::is_pointwise(&node.op),
            };
            return self.conv_s(n, made) + functions;
        }
        // Inputs that already lie in the output need no copy.
        let read: usize = (node.inputs.iter())
            .filter(|t| !t.producer().is_some_and(|p| fused.is_in_place(p)))
            .map(|t| spec.region(graph, *t).len())
            .sum();
        if read == 0 {
            return 0.0;
        }
        let bytes = (VALUE_BYTES * (read + out.len())) as f64;
        let bytes_per_s = match node.op {
            Op::Reorg { .. } => core.scattered_bytes_per_s,
            _ => core.bytes_per_s,
        };
        let macs = per_pixel(graph, n) as f64 * (out.h() * out.w()) as f64;
        bytes / bytes_per_s + macs * core.multiply_add_s + functions
    }

    /// Seconds of a convolution's kernel.
    fn conv_s(&self, n: NodeIx, made: Made) -> f64 {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seconds) = lock().get(&(n, made)) {
            return *seconds;
        }
        let node = &self.graph.nodes[n];
        let seconds = kernel::conv_s(self.graph, node, made, self.wanted).unwrap_or(0.0);
        lock().insert((n, made), seconds);
        seconds
    }

    /// Seconds of copying inputs in, and of copying out what layers of the chain still read.
    fn copies_s(&self, spec: &ChainSpec<'_>) -> f64 {
        let read_here = |t: &TensorIx| {
            let mut nodes = spec.nodes.iter();
            nodes.any(|n| self.graph.nodes[*n].inputs.contains(t))
        };
        let outputs = spec.outputs.iter().filter(|t| read_here(t));
        let copied = spec.inputs.iter().chain(outputs);
        let strips = spec.strips.iter();
        let strips = strips.map(|s| s.y.len() * s.x.len() * self.graph.shape(s.tensor).c);
        let values: usize = copied
            .map(|t| spec.region(self.graph, *t).len())
            .chain(strips)
            .sum();
        (2 * VALUE_BYTES * values) as f64 / self.core.bytes_per_s
    }
}

/// Number of values whose activation or similar function takes extra time.
fn function_values(op: &Op, values: usize) -> f64 {
    let activation = match op {
        Op::Yolo { .. }
        | Op::GaussianYolo { .. }
        | Op::Region { .. }
        | Op::Detection { .. }
        | Op::Softmax { .. }
        | Op::Lrn { .. } => return values as f64,
        Op::Conv(c) => c.activation,
        Op::Shortcut { activation, .. }
        | Op::Activate(activation)
        | Op::Sam { activation }
        | Op::ScaleChannels { activation, .. }
        | Op::Connected { activation }
        | Op::Local { activation, .. } => *activation,
        _ => return 0.0,
    };
    // Activations of a few vector instructions run as values pass through registers.
    if activation.is_in_registers() {
        0.0
    } else {
        values as f64
    }
}
