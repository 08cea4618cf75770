//! Stage ends for the search: layers behind which few values live on.

use crate::ftp::first_barrier;
use tessera_plan::graph::{Graph, TensorIx};

/// Most stage ends that the search tries; the search evaluates every pair of them, with every grid.
const POINTS_MAX: usize = 14;
/// Most offload points that the search tries for one-stage plans.
const OFFLOADS_MAX: usize = 40;

/// Number of values that layers before `end` make and that layers from `end` on read or the network outputs.
fn live(graph: &Graph, end: usize) -> u64 {
    let tensors = graph
        .node_ixs()
        .filter(|n| graph.nodes[*n].layer < end)
        .map(TensorIx::node);
    tensors
        .chain([TensorIx::INPUT])
        .filter(|t| {
            let read = |n: &tessera_plan::graph::Node| n.layer >= end && n.inputs.contains(t);
            graph.outputs.contains(t) || graph.nodes.iter().any(read)
        })
        .map(|t| graph.shape(t).len() as u64)
        .sum()
}

/// Stage ends worth trying, ascending; the last one is the largest possible offload point.
///
/// Stage ends are the local minima of the values that live on. When there are too many, ends behind which the
/// map is smaller (at pools and strided convolutions) go first, then a selection of the other ends at even
/// distances.
pub(super) fn points(graph: &Graph) -> Vec<usize> {
    let last = first_barrier(graph).unwrap_or(graph.layers.len());
    let live: Vec<u64> = (0..=last).map(|l| live(graph, l)).collect();
    let minima: Vec<usize> = (1..=last)
        .filter(|&l| l == last || (live[l] <= live[l - 1] && live[l] < live[l + 1]))
        .collect();
    let pixels = |l: usize| {
        let s = graph.layers[l].shape;
        s.h * s.w
    };
    let (mut first, rest): (Vec<usize>, Vec<usize>) = minima
        .into_iter()
        .partition(|&l| l == last || (l >= 2 && pixels(l - 1) < pixels(l - 2)));
    if first.len() > POINTS_MAX {
        first = spread(&first, POINTS_MAX);
    }
    let room = POINTS_MAX - first.len();
    first.extend(spread(&rest, room));
    first.sort_unstable();
    first
}

/// Offload points to try with one stage, ascending: the end of every layer, or for many layers a selection
/// that holds all `points`.
pub(super) fn offloads(graph: &Graph, points: &[usize]) -> Vec<usize> {
    let last = first_barrier(graph).unwrap_or(graph.layers.len());
    let ends: Vec<usize> = (1..=last)
        .filter(|l| graph.nodes.iter().any(|n| n.layer + 1 == *l))
        .filter(|l| !points.contains(l))
        .collect();
    let mut list = spread(&ends, OFFLOADS_MAX.saturating_sub(points.len()));
    list.extend(points);
    list.sort_unstable();
    list
}

/// `n` entries of `list` at even distances, including the last one.
fn spread(list: &[usize], n: usize) -> Vec<usize> {
    if list.len() <= n {
        return list.to_vec();
    }
    (1..=n).map(|i| list[i * list.len() / n - 1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cfg;
    use tessera_plan::graph::Darknet;

    #[test]
    fn pools_end_stages() {
        let text = "[net]\nwidth=32\nheight=32\nchannels=3\n\
            [conv]\nfilters=8\nsize=3\npad=1\n[max]\nsize=2\nstride=2\n\
            [conv]\nfilters=16\nsize=3\npad=1\n[max]\nsize=2\nstride=2\n\
            [conv]\nfilters=32\nsize=3\npad=1\n[avg]\n[softmax]\n";
        let g = cfg::read(text.as_bytes(), "net", Darknet::Alexey)
            .0
            .unwrap();
        assert_eq!(points(&g), [2, 4, 5]);
    }

    #[test]
    fn selections_are_spread() {
        let list: Vec<usize> = (0..10).collect();
        assert_eq!(spread(&list, 3), [2, 5, 9]);
        assert_eq!(spread(&list, 0), []);
        assert_eq!(spread(&list, 99), list);
    }
}
