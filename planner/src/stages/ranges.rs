//! Stages whose tiles are ranges of a convolution's output channels: layer output partitioning (Stahl et al. 2019,
//! "Fully distributed deep learning inference on resource-constrained edge devices").
//!
//! Every tile reads all of the stage's input, and only its own part of the weights. Its kernel is that of the whole
//! layer, over fewer of the packed blocks, so every sum is formed as without the cut.
//!
//! A second convolution may follow, whose input channels are cut the same way (layer input partitioning). A tile then
//! makes a partial sum of every value of the second one. Stages that read it add the partial sums, in the order of the
//! tiles, whoever computed them.

use std::{borrow::Cow, sync::Arc};

use crate::ftp::StageGraph;
use tessera_plan::{
    graph::{Activation, Graph, NodeIx, Op, TensorIx},
    plan::{Chain, ElementType, Tensor},
    region::Span,
};

/// The network as a tile of a stage has it.
#[derive(Clone, Debug)]
pub struct Narrowed<'a> {
    /// The network; the stage's nodes have the tile's channels only.
    pub graph: Cow<'a, Graph>,
    /// The tile's channels; `None`: all.
    pub filters: Option<Span>,
    /// The tile's number among those that make partial sums.
    part: Option<usize>,
}

impl Narrowed<'_> {
    /// The channels of a tensor that the tile makes, among those of all partial sums.
    pub fn channels(&self, t: TensorIx) -> Span {
        let c = self.graph.shape(t).c;
        match (self.part, self.filters) {
            (Some(part), _) => Span::new(part * c, (part + 1) * c),
            (None, Some(filters)) => filters,
            (None, None) => Span::new(0, c),
        }
    }
}

/// The network as each tile at one place of a stage's grid has it: one for every range of channels.
pub fn narrowed<'a>(graph: &'a Graph, stage: &'a StageGraph) -> Vec<Narrowed<'a>> {
    let network = stage.network(graph);
    if stage.ranges.is_empty() {
        return vec![Narrowed {
            graph: Cow::Borrowed(network),
            filters: None,
            part: None,
        }];
    }
    let of_range = |(part, range): (usize, &Span)| Narrowed {
        graph: Cow::Owned(with_channels(graph, stage, range.len())),
        filters: Some(*range),
        part: stage.sums.map(|_| part),
    };
    stage.ranges.iter().enumerate().map(of_range).collect()
}

/// The network as the tile with the longest range has it.
pub fn longest(graph: &Graph, stage: &StageGraph) -> Graph {
    let most = stage.ranges.iter().map(|r| r.len()).max();
    with_channels(graph, stage, most.unwrap_or(0))
}

/// The network of a stage that is cut by channels, whose nodes make `channels` of them; but for those that read or make
/// partial sums, which have all channels.
fn with_channels(graph: &Graph, stage: &StageGraph, channels: usize) -> Graph {
    let mut network = stage.network(graph).clone();
    let own = stage.nodes.iter().filter(|n| n.0 < graph.nodes.len());
    for n in own {
        let node = &mut network.nodes[*n];
        match &mut node.op {
            Op::Conv(c) if stage.sums == Some(*n) => c.activation = Activation::Linear,
            _ => node.shape.c = channels,
        }
    }
    network
}

/// Makes a stage read the partial sums of node `made`: it adds them first, then applies the node's activation.
pub fn read_sums(graph: &Graph, stage: &mut StageGraph, made: NodeIx, parts: usize) {
    let t = TensorIx::node(made);
    let mut network = stage.network(graph).clone();
    let added = NodeIx(network.nodes.len());
    for n in &stage.nodes {
        let inputs = &mut network.nodes[*n].inputs;
        inputs
            .iter_mut()
            .filter(|i| **i == t)
            .for_each(|i| *i = TensorIx::node(added));
    }
    let mut node = network.nodes[made].clone();
    if let Op::Conv(c) = node.op {
        node.op = Op::Activate(c.activation);
    }
    node.inputs = vec![t];
    network.nodes.push(node);
    network.nodes[made].shape.c *= parts;
    stage.nodes.insert(0, added);
    stage.own = Some(Arc::new(network));
}

/// Later stages and the tail read the partial sums of node `made`. Nobody gets them who has no other use for them: a
/// dump shows what layers make.
pub fn share_sums(
    graph: &Graph,
    made: NodeIx,
    parts: usize,
    later: &mut [StageGraph],
    tail: &mut StageGraph,
) {
    let t = TensorIx::node(made);
    tail.outputs.retain(|o| *o != t);
    // Nodes behind the graph's add the partial sums of other pairs.
    let of_graph = tail.nodes.iter().filter(|n| n.0 < graph.nodes.len());
    let mut reads = of_graph.flat_map(|n| &graph.nodes[*n].inputs);
    if !reads.any(|i| *i == t) {
        tail.inputs.retain(|i| *i != t);
    }
    for reader in later.iter_mut().chain([tail]) {
        if reader.inputs.contains(&t) {
            read_sums(graph, reader, made, parts);
        }
    }
}

/// Partial sums travel part behind part, as float32: `partial` has the nodes and the number of parts of each.
pub fn mark_sums(tensors: &mut [Tensor], partial: impl IntoIterator<Item = (NodeIx, usize)>) {
    for (made, parts) in partial {
        let of_node = |t: &&mut Tensor| t.id == TensorIx::node(made);
        for t in tensors.iter_mut().filter(of_node) {
            t.parts = parts;
            t.shape.c *= parts;
            t.element = ElementType::F32;
        }
    }
}

/// Gives the steps that add partial sums their nodes of the plan's network.
pub fn name_sums(graph: &Graph, stage: &StageGraph, chain: &mut Chain) {
    let network = stage.network(graph);
    let made = |n: NodeIx| -> Option<NodeIx> {
        let adds = n.0 >= graph.nodes.len();
        adds.then(|| network.nodes[n].inputs.first()?.producer())?
    };
    for s in &mut chain.steps {
        if let Some(node) = made(s.node) {
            s.sums = network.nodes[node].shape.c / graph.nodes[node].shape.c;
            (s.node, s.filters) = (node, None);
        }
    }
    for b in &mut chain.buffers {
        if let Some(node) = b.tensor.producer().and_then(made) {
            b.tensor = TensorIx::node(node);
        }
    }
}
