//! What a network consists of: the table of `cargo xtask inspect`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::graph::Graph;

/// A network's layers and sums.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Name of the model.
    pub name: String,
    /// Input as rows, columns, channels.
    pub input: [usize; 3],
    /// Layers in cfg order.
    pub layers: Vec<Row>,
    /// float32 values of the weights file.
    pub weights: usize,
    /// Multiply-adds of one frame.
    pub macs: u64,
    /// Bytes of all layer outputs together, float32.
    pub activation_bytes: u64,
    /// Largest input plus output of one layer in bytes: what the paper counts as memory.
    pub largest_layer_bytes: u64,
    /// First layer that needs whole maps: the largest offload point. `None`: all can be tiled.
    pub first_barrier: Option<usize>,
}

/// A layer.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Number.
    pub layer: usize,
    /// Section name.
    pub kind: String,
    /// Line in the cfg.
    pub line: usize,
    /// Output as rows, columns, channels.
    pub output: [usize; 3],
    /// float32 values in the weights file.
    pub weights: usize,
    /// Multiply-adds.
    pub macs: u64,
    /// What it reads: layer numbers, -1 for the input.
    pub reads: Vec<i64>,
}

/// First layer with an operation that cannot be tiled.
pub fn first_barrier(graph: &Graph) -> Option<usize> {
    graph
        .nodes
        .iter()
        .filter(|n| !n.op.is_local())
        .map(|n| n.layer)
        .min()
}

/// Collects the table.
pub fn table(graph: &Graph) -> Table {
    let layer_of =
        |t: crate::graph::TensorIx| t.producer().map_or(-1, |n| graph.nodes[n].layer as i64);
    let layers: Vec<Row> = graph
        .layers
        .iter()
        .enumerate()
        .map(|(i, l)| Row {
            layer: i,
            kind: l.kind.clone(),
            line: l.line,
            output: l.shape.into(),
            weights: l.weights,
            macs: l.macs,
            reads: graph
                .nodes
                .iter()
                .find(|n| n.layer == i)
                .map_or(Vec::new(), |n| {
                    n.inputs.iter().map(|t| layer_of(*t)).collect()
                }),
        })
        .collect();
    let bytes = |t: crate::graph::TensorIx| 4 * graph.shape(t).len() as u64;
    Table {
        name: graph.name.clone(),
        input: graph.input.into(),
        weights: graph.layers.iter().map(|l| l.weights).sum(),
        macs: graph.layers.iter().map(|l| l.macs).sum(),
        activation_bytes: graph.nodes.iter().map(|n| 4 * n.shape.len() as u64).sum(),
        largest_layer_bytes: graph
            .nodes
            .iter()
            .map(|n| 4 * n.shape.len() as u64 + n.inputs.iter().map(|t| bytes(*t)).sum::<u64>())
            .max()
            .unwrap_or(0),
        first_barrier: first_barrier(graph),
        layers,
    }
}

/// `12345678` as `12_345_678`.
fn digits(n: u64) -> String {
    let s = n.to_string();
    let mut out = String::new();
    for (i, c) in s.chars().enumerate() {
        if i > 0 && (s.len() - i).is_multiple_of(3) {
            out.push('_');
        }
        out.push(c);
    }
    out
}

/// Renders the table for people.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn render(t: &Table) -> String {
    let mib = |b: u64| b as f64 / f64::from(1 << 20);
    let mut s = format!(
        "{}: input {} x {} x {} (w x h x c)\n",
        t.name, t.input[1], t.input[0], t.input[2]
    );
    let _ = writeln!(
        s,
        "{:>5}  {:<15} {:>20} {:>12} {:>16}  reads",
        "layer", "kind", "output w x h x c", "weights", "multiply-adds"
    );
    for r in &t.layers {
        let out = if r.output[0] == 0 {
            "-".into()
        } else {
            format!("{} x {} x {}", r.output[1], r.output[0], r.output[2])
        };
        let reads: Vec<String> = r
            .reads
            .iter()
            .map(|l| {
                if *l < 0 {
                    "input".into()
                } else {
                    l.to_string()
                }
            })
            .collect();
        let _ = writeln!(
            s,
            "{:>5}  {:<15} {:>20} {:>12} {:>16}  {}",
            r.layer,
            r.kind,
            out,
            digits(r.weights as u64),
            digits(r.macs),
            reads.join(", ")
        );
    }
    let _ = writeln!(
        s,
        "weights        {} values, {:.2} MiB",
        digits(t.weights as u64),
        mib(4 * t.weights as u64)
    );
    let _ = writeln!(
        s,
        "multiply-adds  {} per frame ({:.3} GFLOP)",
        digits(t.macs),
        2.0 * t.macs as f64 / 1e9
    );
    let _ = writeln!(
        s,
        "activations    {:.2} MiB in all, largest layer {:.2} MiB (input + output)",
        mib(t.activation_bytes),
        mib(t.largest_layer_bytes)
    );
    let _ = match t.first_barrier {
        Some(l) => writeln!(
            s,
            "tiling         layers 0 to {} can run on edges; layer {l} needs whole maps",
            l.saturating_sub(1)
        ),
        None => writeln!(s, "tiling         every layer can run on edges"),
    };
    s
}
