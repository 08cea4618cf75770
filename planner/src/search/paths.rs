//! Cut lists for one grid: shortest paths over stage ends, with rough costs.

use super::stages::{StageKey, Stages, TiledStage};
use crate::options::PlanOptions;
use tessera_plan::plan::Border;

/// Weights and limits of the rough costs, which rank cut lists before the schedule times them.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathCosts {
    /// Weight of a second on the channel against a second of arithmetic. The channel works while cores compute,
    /// so a channel second costs less than a second; but all boards share the channel.
    pub channel: f64,
    /// Largest accepted arena, in bytes.
    pub arena: u64,
    /// Number of edges. With one edge, nothing travels between stages.
    pub edges: usize,
    /// Seconds that a byte takes on the channel.
    pub byte_s: f64,
}

impl PathCosts {
    /// The rough costs that the search tries; the last two find plans for a tight memory limit.
    pub fn tried(o: &PlanOptions) -> Vec<Self> {
        let first = o.first();
        let arena = o
            .memory_bytes()
            .map_or(u64::MAX, |limit| limit / first.cores.max(1) as u64);
        let with = |channel, arena| Self {
            channel,
            arena,
            edges: o.boards.len().max(1),
            byte_s: first.link.seconds(1),
        };
        let mut tried = vec![with(1.0, arena), with(0.4, arena)];
        if o.memory_bytes().is_some() {
            tried.extend([with(0.4, arena / 2), with(0.4, arena / 4)]);
        }
        tried
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn cost(stage: &TiledStage, first: usize, w: PathCosts) -> f64 {
    let others = w.edges.saturating_sub(1);
    let away = others as f64 / w.edges.max(1) as f64;
    let bytes = if first == 0 { stage.inputs } else { stage.halo };
    stage.compute_s + w.channel * away * w.byte_s * bytes as f64
}

/// The cheapest list of cuts that starts at layer 0 and ends at `points[end]`; `None` when there is no such
/// list. A single stage is a list too.
pub(super) fn cheapest(
    stages: &Stages<'_>,
    points: &[usize],
    end: usize,
    grid: [usize; 2],
    w: PathCosts,
) -> Option<Vec<usize>> {
    // best[j]: cost of layers 0..points[j], and the point before; `None` twice: from layer 0.
    let mut best: Vec<Option<(f64, Option<usize>)>> = vec![None; end + 1];
    for j in 0..=end {
        let from = std::iter::once(None).chain((0..j).map(Some));
        for i in from {
            let (sum, first) = match i {
                None => (0.0, 0),
                Some(i) => match best[i] {
                    Some((c, _)) => (c, points[i]),
                    None => continue,
                },
            };
            let key = StageKey {
                first,
                end: points[j],
                grid,
                shares: None,
                border: Border::Recompute,
                channels: false,
                sums: Vec::new(),
            };
            let Some(stage) = stages.get(&key) else {
                continue;
            };
            if w.arena < u64::MAX && stages.memory(&stage).arena > w.arena {
                continue;
            }
            let sum = sum + cost(&stage, first, w);
            if best[j].is_none_or(|b| sum < b.0) {
                best[j] = Some((sum, i));
            }
        }
    }
    let mut cuts = vec![points[end]];
    let mut at = best[end]?.1;
    while let Some(i) = at {
        cuts.push(points[i]);
        at = best[i]?.1;
    }
    cuts.reverse();
    Some(cuts)
}
