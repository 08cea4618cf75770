//! Layers to stages and a tail.

use crate::{error::PlanError, ftp::StageGraph};
use tessera_plan::graph::{Graph, TensorIx};

/// Tensors that must leave the stages even if no later layer reads them: the network's outputs, and what
/// `--dump` shows.
pub fn wanted(graph: &Graph, dump: bool) -> Vec<TensorIx> {
    let mut list = graph.outputs.clone();
    if dump {
        let before = graph
            .heads
            .iter()
            .filter_map(|h| h.tensor.producer())
            .flat_map(|n| graph.nodes[n].inputs.clone());
        list.extend(before.filter(|t| t.producer().is_some()));
    }
    list.sort_unstable();
    list.dedup();
    list
}

/// The stages and the tail of `cuts`.
///
/// # Errors
/// When a stage computes nothing.
pub fn stages(
    graph: &Graph,
    cuts: &[usize],
    dump: bool,
) -> Result<(Vec<StageGraph>, StageGraph), PlanError> {
    let wanted = wanted(graph, dump);
    let mut first = 0;
    let mut list = Vec::new();
    for &end in cuts {
        let stage = StageGraph::new(graph, first, end, &wanted);
        stage.check_busy()?;
        list.push(stage);
        first = end;
    }
    let mut tail = StageGraph::new(graph, first, graph.layers.len(), &wanted);
    let made: Vec<TensorIx> = list.iter().flat_map(|s| s.outputs.clone()).collect();
    tail.outputs = wanted;
    if dump {
        tail.outputs.extend(&made);
        tail.outputs.sort_unstable();
        tail.outputs.dedup();
    }
    let passed: Vec<TensorIx> = tail
        .outputs
        .iter()
        .copied()
        .filter(|t| made.contains(t))
        .collect();
    tail.inputs.extend(passed);
    tail.inputs.sort_unstable();
    tail.inputs.dedup();
    Ok((list, tail))
}
