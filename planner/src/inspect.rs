//! The table of a network's layers that `cargo xtask inspect` prints.

use serde::Serialize;

use crate::{
    ftp::first_barrier,
    text::{self, bytes, count, plural},
};
use tessera_plan::graph::Graph;

/// A network's layers, and sums over them.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Name of the model.
    pub name: String,
    /// Rows, columns and channels of the input.
    pub input: [usize; 3],
    /// Layers in cfg order.
    pub layers: Vec<Row>,
    /// Number of float32 values in the weights file.
    pub weights: usize,
    /// Multiply-adds of one frame.
    pub macs: u64,
    /// Bytes of the outputs of all layers together, in float32.
    pub activation_bytes: u64,
    /// Bytes of the largest sum of a layer's inputs and output: the memory that the DeepThings paper counts.
    pub largest_layer_bytes: u64,
    /// First layer that needs whole maps: the largest offload point. `None` if all layers can be tiled.
    pub first_barrier: Option<usize>,
}

/// A layer of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Number of the layer.
    pub layer: usize,
    /// Name of the section.
    pub kind: String,
    /// Line of the section in the cfg.
    pub line: usize,
    /// Rows, columns and channels of the output.
    pub output: [usize; 3],
    /// Number of the layer's float32 values in the weights file.
    pub weights: usize,
    /// Multiply-adds of the whole layer.
    pub macs: u64,
    /// Bytes of the layer's inputs and output together, in float32: the memory that the DeepThings paper counts.
    pub bytes: u64,
    /// Numbers of the layers whose outputs the layer reads, -1 for the network's input. Empty if no output of
    /// the network needs the layer.
    pub reads: Vec<i64>,
}

/// Makes the table of a network.
pub fn table(graph: &Graph) -> Table {
    let layer_of =
        |t: tessera_plan::graph::TensorIx| t.producer().map_or(-1, |n| graph.nodes[n].layer as i64);
    let bytes = |t: tessera_plan::graph::TensorIx| 4 * graph.shape(t).len() as u64;
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
            bytes: graph
                .nodes
                .iter()
                .filter(|n| n.layer == i)
                .map(|n| 4 * n.shape.len() as u64 + n.inputs.iter().map(|t| bytes(*t)).sum::<u64>())
                .max()
                .unwrap_or(0),
            reads: graph.nodes.iter().find(|n| n.layer == i).map_or_else(
                // A layer that renames a tensor (a route to one layer, dropout) reads the layer that made the tensor.
                || l.tensor.map(layer_of).into_iter().collect(),
                |n| n.inputs.iter().map(|t| layer_of(*t)).collect(),
            ),
        })
        .collect();
    Table {
        name: graph.name.clone(),
        input: graph.input.into(),
        weights: graph.layers.iter().map(|l| l.weights).sum(),
        macs: graph.layers.iter().map(|l| l.macs).sum(),
        activation_bytes: graph.nodes.iter().map(|n| 4 * n.shape.len() as u64).sum(),
        largest_layer_bytes: layers.iter().map(|r| r.bytes).max().unwrap_or(0),
        first_barrier: first_barrier(graph),
        layers,
    }
}

/// The table as text for people.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn render(t: &Table) -> String {
    let size = |[h, w, c]: [usize; 3]| format!("{w} x {h} x {c}");
    let mut rows = text::Table::new(
        "><>>>>><",
        &[
            "layer",
            "kind",
            "line",
            "output w x h x c",
            "weights",
            "multiply-adds",
            "in + out",
            "reads",
        ],
    );
    for r in &t.layers {
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
        let nothing_or = |n: u64, text: String| if n == 0 { "-".into() } else { text };
        rows.row(&[
            &r.layer.to_string(),
            &r.kind,
            &r.line.to_string(),
            &nothing_or(r.output[0] as u64, size(r.output)),
            &nothing_or(r.weights as u64, count(r.weights as u64)),
            &nothing_or(r.macs, count(r.macs)),
            &nothing_or(r.bytes, bytes(r.bytes)),
            &reads.join(", "),
        ]);
    }
    let weights = t.weights as u64;
    let mut sums = text::Table::plain("<><");
    sums.row(&[
        "weights",
        &count(weights),
        &format!("float32 values, {}", bytes(4 * weights)),
    ]);
    sums.row(&[
        "multiply-adds",
        &count(t.macs),
        &format!("per frame, {:.3} GFLOP", 2.0 * t.macs as f64 / 1e9),
    ]);
    sums.row(&[
        "activations",
        &count(t.activation_bytes),
        &format!(
            "bytes over all layers, {}; {} for input and output of the largest",
            bytes(t.activation_bytes),
            bytes(t.largest_layer_bytes)
        ),
    ]);
    let tiling = match t.first_barrier {
        Some(0) => "layer 0 needs whole maps: nothing can be tiled, all runs on the gateway".into(),
        Some(l) => format!(
            "layers 0 to {} can be tiled and run on edges; layer {l} [{}] needs whole maps",
            l - 1,
            t.layers.get(l).map_or("", |r| &r.kind)
        ),
        None => "every layer can be tiled and run on edges".into(),
    };
    format!(
        "{}: input {} (w x h x c), {}\n{}\n{}  tiling         {tiling}\n",
        t.name,
        size(t.input),
        plural(t.layers.len(), "layer"),
        rows.render(1),
        sums.render(2)
    )
}
