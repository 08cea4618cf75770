//! What stages would cost if halos were exchanged, beside what they cost as planned.

use super::{layers_of, ratio};
use crate::{
    ftp::work::{per_pixel, untiled_macs},
    stages::{Shares, StageCuts, exchanged, exchanged_parts},
    text::{Table, bytes, count},
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Border, ElementType, Plan, Split, Stage},
    region::{Region, Span},
};

/// Cost of a stage's tiles together.
struct Cost {
    stages: usize,
    macs: u64,
    /// Bytes that tiles read beyond one copy of what the stage reads.
    halo: u64,
}

/// A table of stages that compute halos, as they are and with halos exchanged; empty if there are none.
pub(super) fn render(plan: &Plan, graph: &Graph) -> String {
    let mut t = Table::new(
        "<<<>>>>",
        &[
            "stage",
            "layers",
            "border",
            "stages",
            "multiply-adds",
            "redundancy",
            "halo read",
        ],
    );
    let mut any = false;
    for (i, s) in plan.dataflow.stages.iter().enumerate() {
        let recomputes = s.border == Border::Recompute && s.split != Split::Channels;
        let Some(other) = exchange(plan, graph, s).filter(|_| recomputes && s.tiles.len() > 1)
        else {
            continue;
        };
        any = true;
        let untiled = untiled_macs(graph, s.first_layer, s.end_layer);
        for (border, cost) in [("recompute", recompute(plan, s)), ("exchange", other)] {
            t.row(&[
                &i.to_string(),
                &layers_of(s),
                border,
                &cost.stages.to_string(),
                &count(cost.macs),
                &format!("{:.3}x", ratio(cost.macs, untiled.max(1))),
                &bytes(cost.halo),
            ]);
        }
    }
    if !any {
        return String::new();
    }
    format!(
        "\nhalos of all tiles, and what --border exchange would make of them (of a board's tiles, only the outer halo travels)\n{}",
        t.render(2)
    )
}

fn element(plan: &Plan, id: TensorIx) -> Option<ElementType> {
    let tensors = &plan.dataflow.tensors;
    tensors.iter().find(|t| t.id == id).map(|t| t.element)
}

fn recompute(plan: &Plan, s: &Stage) -> Cost {
    let size = |(t, r): (&TensorIx, &Region)| {
        (r.len() * element(plan, *t).unwrap_or_default().bytes()) as u64
    };
    let read = s
        .tiles
        .iter()
        .flat_map(|tile| s.inputs.iter().zip(&tile.inputs));
    let mut ids = s.inputs.clone();
    ids.dedup();
    let whole = |t: &TensorIx| {
        let tensor = plan.dataflow.tensors.iter().find(|x| x.id == *t);
        tensor.map_or(0, |x| (x.shape.len() * x.element.bytes()) as u64)
    };
    Cost {
        stages: 1,
        macs: s.tiles.iter().map(|t| t.macs).sum(),
        halo: read
            .map(size)
            .sum::<u64>()
            .saturating_sub(ids.iter().map(whole).sum()),
    }
}

/// The stage taken apart at the same places; `None` where it cannot be, or where nothing changes.
fn exchange(plan: &Plan, graph: &Graph, s: &Stage) -> Option<Cost> {
    let lengths = |of: fn(&Region) -> Span, step: usize, n: usize| -> Option<Vec<u64>> {
        let tiles = s.tiles.iter().step_by(step).take(n);
        tiles
            .map(|t| Some(of(t.outputs.first()?).len().max(1) as u64))
            .collect()
    };
    let [rows, cols] = s.grid;
    let shares: Shares = [lengths(|r| r.y, cols, rows)?, lengths(|r| r.x, 1, cols)?];
    // Layers before the stage stay out of it.
    let mut cuts = StageCuts::default();
    if s.first_layer > 0 {
        cuts.push(s.first_layer, [1, 1], None, false, Border::Recompute);
    }
    cuts.push(s.end_layer, s.grid, Some(shares), false, Border::Recompute);
    let one = exchanged(graph, (false, Split::Balanced), &cuts, &[Border::Exchange]).ok()?;
    let made = s.outputs.first().and_then(|t| element(plan, *t));
    let mut cost = Cost {
        stages: 0,
        macs: 0,
        halo: 0,
    };
    let own = one.spans().zip(&one.shares);
    for ((first, end), lengths) in own.filter(|((first, _), _)| *first >= s.first_layer) {
        let (stage, [ys, xs]) = exchanged_parts(graph, first, end, lengths.as_ref()?);
        let area = |t: TensorIx| -> u64 {
            let len = |parts: &crate::stages::AxisParts| -> usize {
                parts.traces.iter().map(|p| p.span(t).len()).sum()
            };
            (len(&ys) * len(&xs)) as u64
        };
        cost.stages += 1;
        let nodes = stage.nodes.iter();
        cost.macs += nodes
            .map(|n| per_pixel(graph, *n) * area(TensorIx::node(*n)))
            .sum::<u64>();
        let mut inputs = stage.inputs.clone();
        inputs.dedup();
        for t in inputs {
            let size = element(plan, t).or(made).unwrap_or_default().bytes();
            let shape = graph.shape(t);
            let read = area(t) * shape.c as u64;
            cost.halo += read.saturating_sub(shape.len() as u64) * size as u64;
        }
    }
    (cost.stages > 1).then_some(cost)
}
