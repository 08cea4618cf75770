//! A network with its folded weights.

use tessera_plan::graph::{Graph, NodeWeights};

/// A network and, unless only sources are wanted, its weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network.
    pub graph: Graph,
    /// The weights of each node, `None` for nodes without weights. `None` as a whole when planning without
    /// weights.
    pub weights: Option<Vec<Option<NodeWeights>>>,
    /// SHA-256 of the network's operations and, if they are known, of the folded weights. Plans, `weights.bin`
    /// and datagrams carry it.
    pub digest: [u8; 32],
}
