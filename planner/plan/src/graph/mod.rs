//! The network as a DAG of operations with resolved shapes: what the rest of Tessera works on.
//!
//! The planner's front end turns a Darknet cfg into a [`Graph`], and `plan.toml` holds it. One cfg layer becomes no
//! node (dropout, cost, a route to one layer: they are other names of an existing tensor), one
//! node (nearly all), or two (an antialiased convolution: the convolution, then the blur).
//! Shapes, paddings and strides are resolved; nothing here needs the cfg again.

mod activation;
mod head;
mod op;
mod reorg;
mod stored;
mod weights;

use serde::{Deserialize, Serialize};

pub use self::{
    activation::Activation,
    head::Head,
    op::{Conv, Op, Part, Pool, ShortcutKind, WeightSource},
    reorg::reorg_rows,
    stored::{Normalization, Stored},
    weights::NodeWeights,
};
pub use crate::decoding::{HeadKind, NmsKind};
use crate::{
    index::indexes,
    plan::defaults::{is_nil, is_zero},
    region::Shape,
};

/// A tensor of the graph: the network's input, or the output of a node.
///
/// Serialised as an integer: -1 is the input, `k >= 0` the output of node `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TensorIx(pub i32);

impl TensorIx {
    /// The network's input.
    pub const INPUT: Self = Self(-1);

    /// Output of node `node`.
    pub fn node(node: NodeIx) -> Self {
        Self(i32::try_from(node.0).expect("node counts are bounded by the front end"))
    }

    /// The node that makes the tensor; `None` for the network's input.
    pub fn producer(self) -> Option<NodeIx> {
        usize::try_from(self.0).ok().map(NodeIx)
    }
}

/// A node of the graph: its index into [`Graph::nodes`]. A cfg layer's index is another number, since layers may
/// become no node, one or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIx(pub usize);

indexes!(NodeIx, Node);

/// The fork of Darknet whose rules are followed where forks differ (`--darknet`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Darknet {
    /// AlexeyAB's fork: batch norm divides by `sqrt(variance + 1e-5)`, and region boxes have objectness 1
    /// before NMS.
    #[default]
    Alexey,
    /// The original: batch norm divides by `sqrt(variance) + 1e-6`, and shortcuts may change size.
    Pjreddie,
}

/// A network: its operations in topological order, its cfg layers, and its detection heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Name of the model: the cfg's file stem.
    pub name: String,
    /// The fork whose rules were applied (`docs/darknet.md#forks`).
    pub darknet: Darknet,
    /// Shape of the network's input.
    pub input: Shape,
    /// True if `[net]` has `letter_box=1`: pictures keep their aspect ratio.
    pub letterbox: bool,
    /// Operations; a node reads only tensors of earlier nodes.
    pub nodes: Vec<Node>,
    /// One entry per cfg section after `[net]`, in order.
    pub layers: Vec<Layer>,
    /// Detection layers in cfg order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<Head>,
    /// The tensors that the network computes: the detection maps or, without detection layers, the last layer's
    /// tensor.
    pub outputs: Vec<TensorIx>,
}

impl Graph {
    /// Number of values of the first output: the classes of a classifier.
    pub fn outputs_len(&self) -> usize {
        self.outputs.first().map_or(0, |t| self.shape(*t).len())
    }

    /// The indices of all nodes, in order.
    pub fn node_ixs(&self) -> impl DoubleEndedIterator<Item = NodeIx> + use<> {
        (0..self.nodes.len()).map(NodeIx)
    }

    /// Shape of a tensor.
    pub fn shape(&self, t: TensorIx) -> Shape {
        t.producer().map_or(self.input, |n| self.nodes[n].shape)
    }
}

/// A layer: a section of the cfg, with its tensor in the graph and its arrays in the weights file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Darknet's name of the section, without brackets: `convolutional`.
    pub kind: String,
    /// Line of the section header in the cfg, from 1.
    pub line: usize,
    /// The tensor that references to this layer mean. `None` for a layer without output (cost after softmax).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<TensorIx>,
    /// Output shape as Darknet reports it.
    pub shape: Shape,
    /// float32 values that the weights file holds for this layer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weights: usize,
    /// The arrays that these values form.
    #[serde(default, skip_serializing_if = "Stored::is_nothing")]
    pub stored: Stored,
    /// Multiply-adds of a convolutional, connected or local layer on whole maps; 0 for other layers.
    #[serde(default, skip_serializing_if = "is_nil")]
    pub macs: u64,
}

/// One operation of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Index of the cfg layer that the node comes from.
    pub layer: usize,
    /// Unique name in emitted code: `l02_conv`.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// The tensors that the operation reads, in the order that the operation defines.
    pub inputs: Vec<TensorIx>,
    /// Shape of the output.
    pub shape: Shape,
}
