//! The target part of a plan: chains, packing, sections.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    parts::AxisParts,
    ranges::{self, narrowed},
    reuse::{Part, ReuseStage, ReuseTask},
};
use crate::{
    chain::{self, ChainSpec, How},
    ftp::{Axis, StageGraph, Trace, axis::extent},
    options::{PlanOptions, Target, Team},
    packing,
};
use tessera_plan::{
    graph::{Graph, NodeIx, TensorIx},
    plan::{Chain, TargetPlan, WeightFormat},
    region::Span,
};

/// What the chains of a plan are built from.
#[derive(Clone, Copy, Debug)]
pub struct Parted<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// The stages' nodes and tensors.
    pub stages: &'a [StageGraph],
    /// Rows and columns of the tiles of every stage.
    pub tiled: &'a [[AxisParts; 2]],
    /// The tasks of stages whose tiles have two colours, per stage.
    pub reuse: &'a [Option<ReuseStage>],
    /// The tail's nodes and tensors.
    pub tail: &'a StageGraph,
    /// What flags ask of the plan.
    pub options: &'a PlanOptions,
}

impl Parted<'_> {
    /// The part of a plan for one target.
    pub fn target(self, target: Target) -> TargetPlan {
        let (mut chains, mut tail) = self.chains(target, &BTreeSet::new());
        let apart = apart(chains.iter().flatten().chain([&tail]));
        if !apart.is_empty() {
            (chains, tail) = self.chains(target, &apart);
        }
        let all: Vec<&Chain> = chains.iter().flatten().chain([&tail]).collect();
        let (packing, sections) = packing::pack(self.graph, self.stages, self.tail, &all);
        TargetPlan {
            kernels: target.kernels(),
            triple: target.triple().to_string(),
            stages: chains,
            tail,
            packing,
            sections,
        }
    }

    /// The chains of every stage, and the tail's.
    fn chains(self, target: Target, apart: &BTreeSet<NodeIx>) -> (Vec<Vec<Chain>>, Chain) {
        let how = How {
            network: self.graph,
            filters: None,
            sums: None,
            kernels: self.options.kernels_for(target),
            rows: self.options.rows,
            apart,
            team: self.options.team().alone,
            streams: false,
            elements: self.options.stored(self.graph),
        };
        let stages = self.stages.iter().zip(self.tiled).zip(self.reuse);
        let chains = stages
            .map(|((stage, [ys, xs]), reuse)| {
                let network = stage.network(self.graph);
                let longest = stage.sums.map(|n| (n, ranges::longest(self.graph, stage)));
                let how = How {
                    network,
                    sums: longest.as_ref().map(|(n, g)| (*n, g)),
                    team: team(stage, [ys, xs], self.options.team()),
                    streams: streams(stage, [ys, xs]),
                    ..how
                };
                match reuse {
                    Some(reuse) => reuse_chains(self.graph, stage, reuse, how),
                    None => stage_chains(self.graph, stage, [ys, xs], how),
                }
            })
            .collect();
        (chains, tail_chain(self.graph, self.tail, how))
    }
}

/// The chains of a stage: one for every class of tiles.
fn stage_chains(
    graph: &Graph,
    stage: &StageGraph,
    [ys, xs]: [&AxisParts; 2],
    how: How<'_>,
) -> Vec<Chain> {
    let mut list = Vec::new();
    for (i, &r) in ys.firsts.iter().enumerate() {
        for (j, &c) in xs.firsts.iter().enumerate() {
            for (k, part) in narrowed(graph, stage).iter().enumerate() {
                let name = match part.filters {
                    None => format!("r{i}_c{j}"),
                    Some(_) => format!("r{i}_c{j}_k{k}"),
                };
                let filters = part.filters;
                let how = How { filters, ..how };
                let at = [(ys, r), (xs, c)];
                let mut chain = tile_chain(&part.graph, stage, &name, at, how);
                ranges::name_sums(graph, stage, &mut chain);
                list.push(chain);
            }
        }
    }
    list
}

/// The chains of a stage whose tiles have two colours. Two tasks may make one strip, in tiles of different shapes, so all
/// have direct kernels: a sum is formed in one order then, wherever in a tile it lies.
fn reuse_chains(graph: &Graph, stage: &StageGraph, reuse: &ReuseStage, how: How<'_>) -> Vec<Chain> {
    let number = |class: usize| &reuse.tasks[reuse.firsts[class]];
    let chain = |class: usize| {
        let task = number(class);
        let name = match task.part {
            Part::First => format!("first_{class}"),
            Part::InsteadOf(_) => format!("strips_{class}"),
            Part::Second => format!("second_{class}"),
        };
        reuse_chain(graph, stage, task, &name, how)
    };
    (0..reuse.firsts.len()).map(chain).collect()
}

/// The chain of a task of such a stage.
fn reuse_chain(
    graph: &Graph,
    stage: &StageGraph,
    task: &ReuseTask,
    name: &str,
    how: How<'_>,
) -> Chain {
    let how = How {
        kernels: how.kernels.direct(),
        ..how
    };
    let network = stage.network(graph);
    let mut chain = chain::build(network, &task.spec(stage, name), &task.ends, how);
    ranges::name_sums(graph, stage, &mut chain);
    chain
}

/// The same without places in an arena, which takes much less time.
pub fn reuse_order(graph: &Graph, stage: &StageGraph, task: &ReuseTask, how: How<'_>) -> Chain {
    let how = How {
        kernels: how.kernels.direct(),
        ..how
    };
    let network = stage.network(graph);
    chain::build_order(network, &task.spec(stage, ""), &task.ends, how)
}

/// What a tile computes. The tile is given by the parts of each axis, and its index among them.
pub fn tile_spec<'a>(
    stage: &'a StageGraph,
    name: &'a str,
    [(ys, r), (xs, c)]: [(&'a AxisParts, usize); 2],
) -> ChainSpec<'a> {
    ChainSpec {
        name,
        nodes: &stage.nodes,
        inputs: &stage.inputs,
        outputs: &stage.outputs,
        y: &ys.traces[r],
        x: &xs.traces[c],
        made: None,
        strips: &[],
        packed: false,
    }
}

/// The chain of the tile at these parts of both axes.
pub fn tile_chain(
    graph: &Graph,
    stage: &StageGraph,
    name: &str,
    at: [(&AxisParts, usize); 2],
    how: How<'_>,
) -> Chain {
    chain::build(graph, &tile_spec(stage, name, at), &ends_of(at), how)
}

/// The same without places in an arena, which takes much less time.
pub fn tile_order(
    graph: &Graph,
    stage: &StageGraph,
    at: [(&AxisParts, usize); 2],
    how: How<'_>,
) -> Chain {
    chain::build_order(graph, &tile_spec(stage, "", at), &ends_of(at), how)
}

/// Rows and columns of each output that the tile at these parts makes.
fn ends_of([(ys, r), (xs, c)]: [(&AxisParts, usize); 2]) -> Vec<(Span, Span)> {
    let ends = ys.ends[r].iter().copied().zip(xs.ends[c].iter().copied());
    ends.collect()
}

/// Nodes whose weights are wanted transformed in one chain and otherwise in another: tiles of a stage may be
/// too narrow for a kernel that others of it take.
fn apart<'a>(chains: impl Iterator<Item = &'a Chain>) -> BTreeSet<NodeIx> {
    let mut formats: BTreeMap<NodeIx, WeightFormat> = BTreeMap::new();
    chains
        .flat_map(|c| &c.steps)
        .filter(|s| *formats.entry(s.node).or_insert(s.weights) != s.weights)
        .map(|s| s.node)
        .collect()
}

/// Threads that share a tile of a stage at most: where the stage has several, other threads may compute other tiles.
pub fn team(stage: &StageGraph, axes: [&AxisParts; 2], team: Team) -> usize {
    if streams(stage, axes) {
        team.each
    } else {
        team.alone
    }
}

/// Whether rows of a stage's tiles come and go while the tiles are computed: those of a single tile lie where it is.
pub fn streams(stage: &StageGraph, [ys, xs]: [&AxisParts; 2]) -> bool {
    ys.classes.len() * xs.classes.len() * stage.ranges.len().max(1) > 1
}

/// The rows and columns of a tail's tensors: whole maps.
pub fn whole_maps(graph: &Graph, tail: &StageGraph) -> [Trace; 2] {
    let nodes = tail.nodes.iter().map(|n| TensorIx::node(*n));
    let tensors: Vec<TensorIx> = tail.inputs.iter().copied().chain(nodes).collect();
    [Axis::Y, Axis::X].map(|axis| Trace {
        spans: tensors
            .iter()
            .map(|t| (*t, Span::new(0, extent(graph, *t, axis))))
            .collect(),
    })
}

/// What a tail computes on [`whole_maps`].
pub fn tail_spec<'a>(tail: &'a StageGraph, [y, x]: &'a [Trace; 2]) -> ChainSpec<'a> {
    ChainSpec {
        name: "tail",
        nodes: &tail.nodes,
        inputs: &tail.inputs,
        outputs: &tail.outputs,
        y,
        x,
        made: None,
        strips: &[],
        packed: true,
    }
}

/// The chain of a tail.
pub fn tail_chain(graph: &Graph, tail: &StageGraph, how: How<'_>) -> Chain {
    let network = tail.network(graph);
    let how = How { network, ..how };
    let whole = whole_maps(network, tail);
    let [y, x] = &whole;
    let outputs = tail.outputs.iter();
    let ends: Vec<(Span, Span)> = outputs.map(|t| (y.span(*t), x.span(*t))).collect();
    let mut chain = chain::build(network, &tail_spec(tail, &whole), &ends, how);
    ranges::name_sums(graph, tail, &mut chain);
    chain
}
