//! Layers to stages, stages to parts per axis.

use std::collections::BTreeMap;

use super::PlanError;
use crate::{
    chain,
    ftp::{Axis, StageGraph, Trace, cuts},
    graph::{Graph, TensorIx},
    region::Span,
};

/// Tensors that must leave the stages whoever reads them: outputs, and what `--dump` shows.
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

/// Stages and tail of `cuts`, checked.
///
/// # Errors
/// When a stage cannot be tiled.
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
        stage.check_tiled(graph)?;
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

/// One axis of a tiled stage: per part its ends on every output, its trace and its class.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Range of every output, per part.
    pub ends: Vec<Vec<Span>>,
    /// Trace, per part.
    pub traces: Vec<Trace>,
    /// Class, per part.
    pub classes: Vec<usize>,
    /// First part of every class.
    pub firsts: Vec<usize>,
}

/// Cuts one axis of a stage and finds the classes of its parts.
///
/// # Errors
/// When a part would be empty.
pub fn parts(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    n: usize,
    split: crate::plan::Split,
) -> Result<Parts, PlanError> {
    let cut = cuts::cut(graph, stage, axis, n, split).map_err(|source| PlanError::TooFine {
        first: stage.first_layer,
        last: stage.end_layer.saturating_sub(1),
        source,
    })?;
    let mut p = Parts {
        ends: Vec::new(),
        traces: Vec::new(),
        classes: Vec::new(),
        firsts: Vec::new(),
    };
    let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for (i, w) in cut.windows(2).enumerate() {
        let ends = cuts::scale(graph, stage, axis, w[0], w[1]);
        let trace = stage.trace(graph, axis, &ends);
        let signature = chain::signature(
            graph,
            &stage.nodes,
            &stage.inputs,
            &stage.outputs,
            &ends,
            &trace,
            axis,
        );
        let next = known.len();
        let class = *known.entry(signature).or_insert(next);
        if class == next {
            p.firsts.push(i);
        }
        p.ends.push(ends);
        p.traces.push(trace);
        p.classes.push(class);
    }
    Ok(p)
}
