//! What tiles of two colours compute and hand over, and what stands in for strips that are late.

use super::{layers_of, ratio};
use crate::{
    ftp::work::untiled_macs,
    text::{Table, bytes, count},
};
use tessera_plan::{
    graph::Graph,
    plan::{Border, Plan, Stage, Tile},
};

/// A table of the stages whose borders are reused; empty if there are none.
pub(super) fn render(plan: &Plan, graph: &Graph) -> String {
    let columns = [
        "stage",
        "layers",
        "multiply-adds",
        "redundancy",
        "pairs of neighbours",
        "strips",
        "if all strips were late",
    ];
    let mut t = Table::new("<<>>>>>", &columns);
    let stages = plan.dataflow.stages.iter().enumerate();
    let mut any = false;
    for (i, s) in stages.filter(|(_, s)| s.border == Border::Reuse) {
        any = true;
        let [own, alone] = [false, true].map(|alone| macs(s, alone));
        let untiled = untiled_macs(graph, s.first_layer, s.end_layer).max(1);
        let strips = s.tiles.iter().filter(|t| t.instead_of.is_some());
        t.row(&[
            &i.to_string(),
            &layers_of(s),
            &count(own),
            &format!("{:.3}x", ratio(own, untiled)),
            &strips.clone().count().to_string(),
            &bytes(strips.map(|t| given(plan, t)).sum()),
            &format!("{:.3}x", ratio(own + alone, untiled)),
        ]);
    }
    if !any {
        return String::new();
    }
    format!(
        "\nborders reused: tiles of one colour hand strips of every layer to those of the other (--border reuse)\n{}",
        t.render(2)
    )
}

/// Multiply-adds of a stage's tiles, or of the tasks that make strips in their place.
fn macs(s: &Stage, alone: bool) -> u64 {
    let tasks = s.tiles.iter().filter(|t| t.instead_of.is_some() == alone);
    tasks.map(|t| t.macs).sum()
}

/// Bytes of the strips that a task makes.
fn given(plan: &Plan, t: &Tile) -> u64 {
    let strips = t.gives.iter().filter_map(|k| plan.dataflow.tensors.get(*k));
    strips
        .map(|t| (t.shape.len() * t.element.bytes()) as u64)
        .sum()
}
