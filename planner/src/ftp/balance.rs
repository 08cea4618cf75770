//! Cuts that balance cost: the dearest part of an axis is as cheap as it can be.
//!
//! Parts have shares: a part of share 2 may cost twice as much as one of share 1. A part's price grows with its
//! range, so for a limit `T` the fewest parts are found by making each as long as `T` times its share
//! allows; the smallest `T` that needs no more than the wanted parts is the answer. Between the earliest and the latest position that a cut may then take, it is put next to
//! where parts of equal length would have it: symmetric maps get symmetric cuts, and with them few
//! chain classes, and the cuts of stages that follow each other nearly meet.

use super::{
    StageGraph,
    axis::{Axis, extent},
    cyclic, halo,
    stage::coarsest,
    work::per_pixel,
};
use tessera_plan::{
    graph::{Graph, Node, TensorIx},
    region::Span,
};

/// One node along one axis; tensors are numbered within the stage.
struct Line<'a> {
    node: &'a Node,
    out: usize,
    /// Number and extent of every input.
    inputs: Vec<(usize, usize)>,
    /// Cost of one row (column) of its output.
    weight: u64,
}

/// What parts of a stage's output cost along one axis.
pub(super) struct Prices<'a> {
    lines: Vec<Line<'a>>,
    /// Number and extent of every output.
    outputs: Vec<(usize, usize)>,
    /// Extent of the coarsest output.
    base: usize,
    spans: Vec<Span>,
}

impl<'a> Prices<'a> {
    pub(super) fn new(graph: &'a Graph, stage: &StageGraph, axis: Axis) -> Self {
        let tensors: Vec<TensorIx> = stage
            .inputs
            .iter()
            .copied()
            .chain(stage.nodes.iter().map(|n| TensorIx::node(*n)))
            .collect();
        // Both lists rise, so that positions are found by halving.
        let number = |t: &TensorIx| {
            let k = stage.inputs.len();
            match stage.inputs.binary_search(t) {
                Ok(i) => i,
                Err(_) => k + tensors[k..].binary_search(t).unwrap_or(0),
            }
        };
        let lines = stage
            .nodes
            .iter()
            .map(|&n| {
                let node = &graph.nodes[n];
                let across = match axis {
                    Axis::Y => node.shape.w,
                    Axis::X => node.shape.h,
                } as u64;
                Line {
                    node,
                    out: number(&TensorIx::node(n)),
                    inputs: node
                        .inputs
                        .iter()
                        .map(|t| (number(t), extent(graph, *t, axis)))
                        .collect(),
                    // Layers without multiply-adds still move their values.
                    weight: per_pixel(graph, n).max(node.shape.c as u64) * across,
                }
            })
            .collect();
        Self {
            lines,
            outputs: stage
                .outputs
                .iter()
                .map(|t| (number(t), extent(graph, *t, axis)))
                .collect(),
            base: coarsest(graph, stage, axis).max(1),
            spans: vec![Span::new(0, 0); tensors.len()],
        }
    }

    /// Cost of positions `lo..hi` of the coarsest output over the whole other axis, halo included.
    pub(super) fn of(&mut self, axis: Axis, lo: usize, hi: usize) -> u64 {
        self.spans.fill(Span::new(0, 0));
        for &(t, e) in &self.outputs {
            self.spans[t] = Span::new(lo * e / self.base, hi * e / self.base);
        }
        let mut sum = 0;
        for line in self.lines.iter().rev() {
            let mut out = self.spans[line.out];
            if out.is_empty() {
                continue;
            }
            let rows = line.node.shape.h;
            if axis == Axis::Y && cyclic::wraps(out, rows) && !cyclic::is_row_wise(line.node) {
                out = Span::new(0, rows);
            }
            sum += line.weight * out.len() as u64;
            for (k, &(t, e)) in line.inputs.iter().enumerate() {
                let need = halo::input_range(line.node, k, out, axis, e).span;
                self.spans[t] = cyclic::join(self.spans[t], need, e);
            }
        }
        sum
    }
}

/// Searches cuts of one axis; remembers prices.
struct Search<'a> {
    prices: Prices<'a>,
    axis: Axis,
    extent: usize,
    known: std::collections::HashMap<(usize, usize), u64>,
}

impl Search<'_> {
    fn price(&mut self, lo: usize, hi: usize) -> u64 {
        let (prices, axis) = (&mut self.prices, self.axis);
        *self
            .known
            .entry((lo, hi))
            .or_insert_with(|| prices.of(axis, lo, hi))
    }

    /// The largest `hi` such that `lo..hi` costs at most `limit`; `lo` if not even one position does.
    fn reach(&mut self, lo: usize, limit: u64) -> usize {
        let (mut ok, mut over) = (lo, self.extent + 1);
        while over - ok > 1 {
            let mid = ok + (over - ok) / 2;
            if self.price(lo, mid) <= limit {
                ok = mid;
            } else {
                over = mid;
            }
        }
        ok
    }

    /// The smallest `lo` such that `lo..hi` costs at most `limit`; `hi` if not even one position does.
    fn reach_back(&mut self, hi: usize, limit: u64) -> usize {
        let (mut ok, mut over) = (hi, None::<usize>);
        while ok > over.map_or(0, |o| o + 1) {
            let floor = over.map_or(0, |o| o + 1);
            let mid = floor + (ok - floor) / 2;
            if self.price(mid, hi) <= limit {
                ok = mid;
            } else {
                over = Some(mid);
            }
        }
        ok
    }

    /// Latest positions of all cuts under `limit`, both ends included; `None` when the parts do not
    /// suffice.
    fn latest(&mut self, shares: &[u64], limit: u64) -> Option<Vec<usize>> {
        let parts = shares.len();
        let mut cuts = vec![0];
        for p in 1..=parts {
            let lo = cuts[p - 1];
            // Later parts need a position each.
            let limit = limit.saturating_mul(shares[p - 1]);
            let hi = self.reach(lo, limit).min(self.extent - (parts - p));
            if hi <= lo {
                return None;
            }
            cuts.push(hi);
        }
        (cuts[parts] == self.extent).then_some(cuts)
    }

    /// Earliest positions of all cuts under `limit`.
    fn earliest(&mut self, shares: &[u64], limit: u64) -> Vec<usize> {
        let parts = shares.len();
        let mut cuts = vec![self.extent; parts + 1];
        for p in (0..parts).rev() {
            let limit = limit.saturating_mul(shares[p]);
            cuts[p] = self.reach_back(cuts[p + 1], limit).max(p);
        }
        cuts
    }

    /// Price of the part that is dearest for its share, per share.
    fn dearest(&mut self, cuts: &[usize], shares: &[u64]) -> u64 {
        let parts = cuts.windows(2).zip(shares);
        let price = |(w, share): (&[usize], &u64)| self.price(w[0], w[1]).div_ceil(*share);
        parts.map(price).max().unwrap_or(0)
    }
}

/// Where the cut behind `before` of `all` shares lies if cost is spread evenly, rounded; halves go towards the
/// middle, so that both ends mirror each other.
pub(super) fn even_cut(before: u64, all: u64, extent: usize) -> usize {
    let twice = 2 * u128::from(before) * extent as u128;
    let all = u128::from(all);
    let rounded = if 2 * before < all as u64 {
        (twice + all) / (2 * all)
    } else {
        (twice + all - 1) / (2 * all)
    };
    usize::try_from(rounded).unwrap_or(extent)
}

/// The cut list of one axis: a part for each of `shares`, which are above 0, from 0 to `extent`.
pub(super) fn balanced(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    extent: usize,
    shares: &[u64],
) -> Vec<usize> {
    let parts = shares.len();
    if parts <= 1 || extent == 0 {
        return vec![0, extent];
    }
    let all: u64 = shares.iter().sum();
    let mut s = Search {
        prices: Prices::new(graph, stage, axis),
        axis,
        extent,
        known: std::collections::HashMap::new(),
    };
    let even: Vec<usize> = (0..=parts).map(|i| i * extent / parts).collect();
    // `limit` is possible, `below` is not.
    let mut limit = s.dearest(&even, shares);
    let mut below = s.price(0, extent) / (all + 1);
    // Windows that leave gaps make the whole dearer than its parts.
    if below >= limit || s.latest(shares, below).is_some() {
        below = 0;
    }
    while limit - below > 1 {
        let mid = below + (limit - below) / 2;
        match s.latest(shares, mid) {
            // What was found may be cheaper still.
            Some(cuts) => limit = s.dearest(&cuts, shares).clamp(below + 1, mid),
            None => below = mid,
        }
    }
    let latest = s.latest(shares, limit).unwrap_or(even);
    let earliest = s.earliest(shares, limit);
    let mut cuts = vec![0];
    let mut before_shares = 0;
    for p in 1..parts {
        before_shares += shares[p - 1];
        let wanted = even_cut(before_shares, all, extent);
        let wanted = wanted.clamp(earliest[p].min(latest[p]), latest[p]);
        let before = cuts[p - 1];
        let limit = limit.saturating_mul(shares[p - 1]);
        let furthest = s.reach(before, limit).min(extent - (parts - p));
        cuts.push(wanted.min(furthest).max(before + 1));
    }
    cuts.push(extent);
    if s.dearest(&cuts, shares) > limit {
        return latest;
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cfg;
    use tessera_plan::graph::Darknet;

    /// The cheapest dearest part over all cut lists, per share.
    fn brute(p: &mut Prices<'_>, lo: usize, extent: usize, shares: &[u64]) -> u64 {
        let (share, rest) = shares.split_first().unwrap();
        if rest.is_empty() {
            return p.of(Axis::Y, lo, extent).div_ceil(*share);
        }
        (lo + 1..=extent - rest.len())
            .map(|hi| {
                let first = p.of(Axis::Y, lo, hi).div_ceil(*share);
                first.max(brute(p, hi, extent, rest))
            })
            .min()
            .unwrap()
    }

    #[test]
    fn no_cut_list_is_better() {
        let texts = [
            "[convolutional]\nfilters=4\nsize=3\npad=1\n[convolutional]\nfilters=4\nsize=5\npad=1\n",
            "[convolutional]\nfilters=4\nsize=3\npad=1\nstride=2\n[convolutional]\nfilters=9\nsize=3\npad=1\n[upsample]\n[route]\nlayers=-1\n",
            "[maxpool]\nsize=3\nstride=1\n[convolutional]\nfilters=2\nsize=3\npad=1\n[convolutional]\nfilters=2\n[shortcut]\nfrom=-2\n",
        ];
        for text in texts {
            let text = format!("[net]\nwidth=4\nheight=14\nchannels=3\n{text}");
            let g = cfg::read(text.as_bytes(), "net", Darknet::Alexey)
                .0
                .unwrap();
            let stage = StageGraph::new(&g, 0, g.layers.len(), &g.outputs);
            let extent = coarsest(&g, &stage, Axis::Y);
            for parts in 1..=extent.min(5) {
                for shares in [[1; 5], [9, 5, 5, 2, 2], [1, 7, 3, 1, 8]] {
                    let shares = &shares[..parts];
                    let cuts = balanced(&g, &stage, Axis::Y, extent, shares);
                    assert_eq!((cuts[0], cuts[parts], cuts.len()), (0, extent, parts + 1));
                    assert!(cuts.windows(2).all(|w| w[0] < w[1]), "{cuts:?}");
                    let mut p = Prices::new(&g, &stage, Axis::Y);
                    let price =
                        |(w, share): (&[usize], &u64)| p.of(Axis::Y, w[0], w[1]).div_ceil(*share);
                    let have = cuts.windows(2).zip(shares).map(price).max();
                    assert_eq!(have, Some(brute(&mut p, 0, extent, shares)), "{cuts:?}");
                    let mirrored: Vec<usize> = cuts.iter().rev().map(|c| extent - c).collect();
                    // Only where all windows are centred is the map symmetric.
                    if !text.contains("stride=2") && shares.iter().all(|s| *s == 1) {
                        assert_eq!(mirrored, cuts, "{parts} parts of {extent}");
                    }
                }
            }
        }
    }
}
