//! A graph with its folded weights: what codegen packs.

use crate::graph::Graph;

/// Weights of one node after batch-norm folding, in Darknet's order.
///
/// | op | `weights` | `bias` |
/// |---|---|---|
/// | Conv | `[cout][cin / groups][ky][kx]` | `[cout]` |
/// | Connected | `[out][in]`, input flattened C, H, W | `[out]` |
/// | Local | `[oh * ow][cout][cin][ky][kx]` | `[cout * oh * ow]` (C, H, W) |
/// | BatchNorm | `[c]` factor | `[c]` shift |
/// | Shortcut Weighted | `[inputs][c]`, normalised | empty |
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeWeights {
    /// Factors.
    pub weights: Vec<f32>,
    /// Addends.
    pub bias: Vec<f32>,
}

/// A network and, unless only sources are wanted, its weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network.
    pub graph: Graph,
    /// Per node, `None` where the node has none. The whole is `None` when planning without weights.
    pub weights: Option<Vec<Option<NodeWeights>>>,
    /// SHA-256 over the graph's meaning and, when known, the folded weights. Goes into the plan,
    /// `weights.bin` and onto the wire.
    pub digest: [u8; 32],
}
