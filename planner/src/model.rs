//! A network with its folded weights.

use tessera_plan::graph::{Graph, NodeWeights};

/// A network and, unless only sources are wanted, its weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// Layers and nodes of the network.
    pub graph: Graph,
    /// The weights of each node, `None` for nodes without weights. The whole list is `None` when the planner
    /// works without a weights file.
    pub weights: Option<Vec<Option<NodeWeights>>>,
    /// SHA-256 of the network's operations and, if the weights are known, of the folded weights. Plans,
    /// `weights.bin` and datagrams carry this digest.
    pub digest: [u8; 32],
}
