//! Seconds of a chain's layers on one core, by one thread.
//!
//! Convolutions take what their kernels cost. Everything else moves values: it takes the bytes that it
//! reads and writes over the core's bandwidth, and where it computes a function of every value, the time
//! of that.

#![expect(clippy::cast_precision_loss, reason = "estimates")]

use tessera_plan::graph::{Graph, Op, TensorIx};

use crate::{
    chain::{ChainSpec, Fused},
    ftp::work::per_pixel,
    kernel::{self, Made, Wanted},
    options::Rows,
};

/// Bytes of a value in an arena.
const VALUE_BYTES: usize = size_of::<f32>();

/// Seconds of a chain.
pub fn chain_s(graph: &Graph, spec: &ChainSpec<'_>, wanted: Wanted<'_>, rows: Rows) -> f64 {
    let fused = Fused::new(graph, spec, rows);
    let done = fused.done();
    let steps = spec.nodes.iter().filter(|n| !done.contains(n));
    let steps: f64 = steps.map(|n| step_s(graph, spec, &fused, wanted, *n)).sum();
    steps + copies_s(graph, spec, wanted)
}

/// Seconds of a node and of what it does along for others.
fn step_s(graph: &Graph, spec: &ChainSpec<'_>, fused: &Fused, wanted: Wanted<'_>, n: usize) -> f64 {
    let node = &graph.nodes[n];
    let core = kernel::core(wanted.isa);
    let pool = fused.pool_of(n);
    let out = spec.region(graph, TensorIx::node(pool.unwrap_or(n)));
    if out.is_empty() {
        return 0.0;
    }
    let values = out.len();
    let made = Made {
        size: [out.h(), out.w()],
        pool: pool.is_some(),
        joined: pool.is_none() && kernel::is_pointwise(&node.op),
    };
    if let Some(seconds) = kernel::conv_s(graph, node, made, wanted) {
        return seconds + function_values(&node.op, values) * core.function_s;
    }
    // Inputs that lie in the output already are not copied.
    let read: usize = (node.inputs.iter())
        .filter(|t| !t.producer().is_some_and(|p| fused.is_in_place(p)))
        .map(|t| spec.region(graph, *t).len())
        .sum();
    if read == 0 {
        return 0.0;
    }
    let (bytes, macs) = (
        (VALUE_BYTES * (read + values)) as f64,
        per_pixel(graph, n) as f64 * (out.h() * out.w()) as f64,
    );
    let bytes_per_s = match node.op {
        Op::Reorg { .. } => core.scattered_bytes_per_s,
        _ => core.bytes_per_s,
    };
    bytes / bytes_per_s
        + macs * core.multiply_add_s
        + function_values(&node.op, values) * core.function_s
}

/// Values of which a function is computed beside everything else.
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
    // What takes a few vector instructions is done as values pass.
    if activation.is_in_registers() {
        0.0
    } else {
        values as f64
    }
}

/// Seconds of copying inputs in, and of copying out what layers of the chain still read.
fn copies_s(graph: &Graph, spec: &ChainSpec<'_>, wanted: Wanted<'_>) -> f64 {
    let read_here = |t: &TensorIx| {
        let mut nodes = spec.nodes.iter();
        nodes.any(|n| graph.nodes[*n].inputs.contains(t))
    };
    let outputs = spec.outputs.iter().filter(|t| read_here(t));
    let copied = spec.inputs.iter().chain(outputs);
    let values: usize = copied.map(|t| spec.region(graph, *t).len()).sum();
    (2 * VALUE_BYTES * values) as f64 / kernel::core(wanted.isa).bytes_per_s
}
