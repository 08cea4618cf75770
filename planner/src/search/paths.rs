//! Cut lists for one grid: shortest paths over stage ends, with rough costs.

use super::pieces::{Piece, Pieces};
use crate::cost;

/// What decides between cut lists before they are scheduled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    /// How much a second on the channel counts against a second of arithmetic. The channel works
    /// while cores compute, so a second of it costs less than a second, but it is shared.
    pub channel: f64,
    /// Largest arena that is accepted, in bytes.
    pub arena: u64,
    /// Edges: with one, nothing travels between stages.
    pub edges: usize,
}

fn cost(piece: &Piece, first: usize, w: Weights) -> f64 {
    let others = w.edges.saturating_sub(1);
    #[expect(clippy::cast_precision_loss, reason = "few edges")]
    let away = others as f64 / w.edges.max(1) as f64;
    let bytes = if first == 0 { piece.inputs } else { piece.halo };
    piece.compute_s + w.channel * away * cost::link_s(bytes)
}

/// The cheapest list of cuts that ends at `points[end]`, from layer 0 on; `None` when there is
/// none. One stage is a list too.
pub(super) fn cheapest(
    pieces: &Pieces,
    points: &[usize],
    end: usize,
    grid: [usize; 2],
    w: Weights,
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
            let Some(piece) = pieces.get(first, points[j], grid) else {
                continue;
            };
            if piece.arena > w.arena {
                continue;
            }
            let sum = sum + cost(piece, first, w);
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
