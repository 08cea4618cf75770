//! A network with its folded weights.

use tessera_plan::graph::{Graph, NodeWeights};

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
