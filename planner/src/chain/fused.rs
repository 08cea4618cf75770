//! What layers of a chain do along for others.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    parts::{Part, parts_in_place},
    pools::pools_in_kernels,
    slices::{Slice, slices_in_place},
    spec::ChainSpec,
};
use crate::options::Rows;
use tessera_plan::graph::{Graph, NodeIx, TensorIx};

/// What layers of a chain do along for others.
pub struct Fused {
    /// Nodes that write among the channels of a concatenation.
    pub(super) parts: BTreeMap<NodeIx, Part>,
    /// Convolutions that store maxima, each with the pool that it stands for.
    pools: BTreeMap<NodeIx, NodeIx>,
    /// Tensors that are channels of another one, and are read there.
    pub(super) slices: BTreeMap<TensorIx, Slice>,
}

impl Fused {
    /// Of a chain whose rows move so: whole maps, as in the paper, keep pools apart.
    pub fn new(graph: &Graph, spec: &ChainSpec<'_>, rows: Rows) -> Self {
        Self {
            parts: parts_in_place(graph, spec),
            pools: match rows {
                Rows::Whole => BTreeMap::new(),
                Rows::Rolling | Rows::Blocks(_) => pools_in_kernels(graph, spec),
            },
            slices: slices_in_place(graph, spec),
        }
    }

    /// The pool whose maxima a convolution stores.
    pub fn pool_of(&self, conv: NodeIx) -> Option<NodeIx> {
        self.pools.get(&conv).copied()
    }

    /// Whether a node writes among the channels of a concatenation, which then does not copy them.
    pub fn is_in_place(&self, node: NodeIx) -> bool {
        self.parts.contains_key(&node)
    }

    /// Nodes that have no step: others do their work.
    pub fn done(&self) -> BTreeSet<NodeIx> {
        let sliced = self.slices.keys().filter_map(|t| t.producer());
        self.pools.values().copied().chain(sliced).collect()
    }
}
