//! The two axes that a grid cuts.

use tessera_plan::graph::{Graph, TensorIx};

/// Rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Rows.
    Y,
    /// Columns.
    X,
}

/// Number of rows or columns of a tensor.
pub fn extent(graph: &Graph, t: TensorIx, axis: Axis) -> usize {
    let s = graph.shape(t);
    if axis == Axis::Y { s.h } else { s.w }
}
