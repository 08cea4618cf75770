//! Cuts a stage to ranges of channels that are whole packed blocks.

use std::collections::BTreeSet;

use super::{
    chains::tile_chain,
    parts::{AxisParts, grid_parts},
    shares::Shares,
};
use crate::{
    chain::How,
    error::PlanError,
    ftp::{StageGraph, cuts::even},
    options::PlanOptions,
};
use tessera_plan::{
    graph::{Graph, NodeIx, Op, TensorIx},
    kernel::vector,
    limits::STAGE_TILES_MAX,
    plan::Split,
    region::Span,
};

/// How a stage can be cut by channels.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The rows and columns of its tiles, which are whole.
    axes: [AxisParts; 2],
    /// The convolution whose input channels the ranges are, if there are two.
    sums: Option<NodeIx>,
    /// Channels of a packed block.
    block: usize,
    /// Channels that are cut.
    channels: usize,
}

impl Blocks {
    /// The blocks of a stage's channels.
    ///
    /// # Errors
    /// When the stage is no convolution with pools and perhaps a second convolution.
    pub fn new(graph: &Graph, stage: &StageGraph, o: &PlanOptions) -> Result<Self, PlanError> {
        let layers = [stage.first_layer, stage.end_layer.saturating_sub(1)];
        let (conv, sums) = convolutions(graph, stage).ok_or(PlanError::NoChannels { layers })?;
        let axes = grid_parts(stage.network(graph), stage, [1, 1], Split::Channels)?;
        let mut block = block(graph, stage, conv, &axes, o);
        if sums.is_some() {
            // Winograd's kernels take input channels in whole vectors.
            let vectors = o.targets().into_iter().map(|t| vector(t.kernels()));
            block = vectors.fold(block, least_common_multiple);
        }
        Ok(Self {
            axes,
            sums,
            block,
            channels: graph.nodes[conv].shape.c,
        })
    }

    /// True if a second convolution adds up what the ranges give.
    pub const fn is_pair(&self) -> bool {
        self.sums.is_some()
    }

    /// The largest number of ranges.
    pub fn most(&self) -> usize {
        self.channels.div_ceil(self.block).min(STAGE_TILES_MAX)
    }
}

/// Cuts a stage to `parts` ranges of channels, whole packed blocks each, in proportion to `shares` if there are any;
/// returns the rows and columns of its tiles, which are whole.
///
/// # Errors
/// When the stage is no convolution with pools and perhaps a second convolution, or has fewer blocks than parts.
pub fn cut_channels(
    graph: &Graph,
    stage: &mut StageGraph,
    (parts, shares): (usize, Option<&Shares>),
    o: &PlanOptions,
) -> Result<[AxisParts; 2], PlanError> {
    let layers = [stage.first_layer, stage.end_layer.saturating_sub(1)];
    let by_blocks = Blocks::new(graph, stage, o)?;
    let (block, cout) = (by_blocks.block, by_blocks.channels);
    let blocks = cout.div_ceil(block);
    if !(1..=by_blocks.most()).contains(&parts) {
        return Err(PlanError::FewChannels {
            layers,
            parts,
            channels: cout,
            block,
        });
    }
    let ends: Vec<usize> = match shares {
        Some([_, shares]) if shares.len() == parts => even(blocks, shares),
        _ => (0..=parts).map(|part| part * blocks / parts).collect(),
    };
    let at = |end: usize| (end * block).min(cout);
    let ranges = ends.windows(2).map(|w| Span::new(at(w[0]), at(w[1])));
    stage.ranges = ranges.collect();
    stage.sums = by_blocks.sums;
    Ok(by_blocks.axes)
}

/// The convolution whose output channels are cut, and perhaps a second one whose input channels these are. There is
/// nothing else in the stage but pools behind the first one, and what adds partial sums before it.
fn convolutions(graph: &Graph, stage: &StageGraph) -> Option<(NodeIx, Option<NodeIx>)> {
    let network = stage.network(graph);
    let without_groups = |n: NodeIx| match &network.nodes[n].op {
        Op::Conv(c) => c.groups == 1,
        _ => false,
    };
    let mut nodes = stage
        .nodes
        .iter()
        .copied()
        .filter(|n| n.0 < graph.nodes.len());
    let conv = nodes.next().filter(|n| without_groups(*n))?;
    let mut behind = conv;
    let mut second = None;
    for n in nodes {
        let node = &network.nodes[n];
        if second.is_some() || node.inputs != [TensorIx::node(behind)] {
            return None;
        }
        match node.op {
            Op::MaxPool(_) => behind = n,
            _ if without_groups(n) => second = Some(n),
            _ => return None,
        }
    }
    let alone = |n: NodeIx| {
        let t = TensorIx::node(n);
        stage.outputs == [t] && !graph.outputs.contains(&t)
    };
    (second.is_none_or(alone)).then_some((conv, second))
}

/// Channels that whole packed blocks of every target's kernel make.
fn block(
    graph: &Graph,
    stage: &StageGraph,
    conv: NodeIx,
    [ys, xs]: &[AxisParts; 2],
    o: &PlanOptions,
) -> usize {
    let of_target = |target| {
        let how = How {
            network: stage.network(graph),
            filters: None,
            sums: None,
            kernels: o.kernels_for(target),
            rows: o.rows,
            apart: &BTreeSet::new(),
            team: 1,
            streams: true,
            elements: o.stored(graph),
        };
        let chain = tile_chain(stage.network(graph), stage, "", [(ys, 0), (xs, 0)], how);
        let step = chain.steps.iter().find(|s| s.node == conv);
        step.and_then(|s| s.conv.as_ref()).map_or(1, |k| k.nr)
    };
    let widths = o.targets().into_iter().map(of_target);
    widths.fold(1, least_common_multiple)
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}
