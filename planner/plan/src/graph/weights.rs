//! Folded weights of a node: what codegen packs.

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
