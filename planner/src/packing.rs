//! Layout of `weights.bin`: the offset of every node's weights.

use crate::ftp::StageGraph;
use tessera_plan::{
    graph::{Graph, NodeIx},
    kernel::{packed_floats, packing_floats},
    plan::{Chain, Packing, Section, WeightFormat},
    region::Span,
};

/// A page, in float32 values.
const PAGE: usize = 1024;

/// Lays out the weights in sections: one section per stage, then the tail's. `chains` name the kernel of every
/// node.
pub fn pack(
    graph: &Graph,
    stages: &[StageGraph],
    tail: &StageGraph,
    chains: &[&Chain],
) -> (Vec<Packing>, Vec<Section>) {
    let mut packing = Vec::new();
    let mut sections = Vec::new();
    let mut at = 0;
    for (i, stage) in stages.iter().chain([tail]).enumerate() {
        let first = at;
        // What adds partial sums has no weights.
        for &n in stage.nodes.iter().filter(|n| n.0 < graph.nodes.len()) {
            let (nr, weights) = kernel_of(chains, n);
            let parts: &[Span] = match stage.sums {
                Some(sums) if sums == n => &stage.ranges,
                _ => &[],
            };
            let floats = packing_floats(graph, &graph.nodes[n], nr, weights, parts);
            if floats == 0 {
                continue;
            }
            packing.push(Packing {
                node: n,
                name: graph.nodes[n].name.clone(),
                section: i,
                offset: at,
                floats,
                nr,
                weights,
                parts: parts.iter().map(|p| p.hi).collect(),
            });
            at = (at + floats).next_multiple_of(PAGE);
        }
        let name = if i < stages.len() {
            format!("s{i}")
        } else {
            "tail".into()
        };
        sections.push(Section {
            name,
            offset: first,
            floats: at - first,
        });
    }
    (packing, sections)
}

/// Output channels per packed block that a node's kernel wants (0 for other operations), and the storage
/// format of the node's weights.
fn kernel_of(chains: &[&Chain], node: NodeIx) -> (usize, WeightFormat) {
    chains
        .iter()
        .flat_map(|c| &c.steps)
        .find(|s| s.node == node && s.sums == 0)
        .map_or((0, WeightFormat::F32), |s| {
            (s.conv.as_ref().map_or(0, |k| k.nr), s.weights)
        })
}

/// Number of float32 values of a stage's section.
pub fn stage_floats(graph: &Graph, stage: &StageGraph, chains: &[&Chain]) -> usize {
    let of = |n: &NodeIx| {
        let (nr, weights) = kernel_of(chains, *n);
        packed_floats(graph, &graph.nodes[*n], nr, weights).next_multiple_of(PAGE)
    };
    // What adds partial sums has no weights.
    let own = stage.nodes.iter().filter(|n| n.0 < graph.nodes.len());
    own.map(of).sum()
}
