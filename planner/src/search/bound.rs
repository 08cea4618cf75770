//! A bound: seconds that no plan for these boards can beat, by computing and sending alone.
//!
//! For an offload point, the source computes a part of the layers before it and the other edges the rest. Nothing is
//! computed twice, nobody waits, and what other edges compute needs its share of the frame, or of a later map, on the
//! channel. A part `x` of the work that others do from layer `a` on needs at least `x / work(a..) * bytes(a)` bytes,
//! so the best `a` bounds what the channel carries. The results travel too. The tail follows.

use tessera_plan::graph::{Graph, TensorIx};

use super::found::Found;
use crate::{
    boards::{Board, Medium},
    cost::LayerTimes,
    ftp::StageGraph,
    options::PlanOptions,
    stages::{tail_spec, wanted, whole_maps},
};

/// Halvings of the interval that holds the bound.
const HALVINGS: usize = 60;

/// What leading layers are to a board.
struct Prefix {
    /// First layer behind them.
    end: usize,
    /// Seconds of one core of each edge.
    seconds: Vec<f64>,
    /// Bytes that layers behind them read.
    bytes: f64,
}

impl Found<'_> {
    /// Seconds of a frame that no plan of stages can beat; `None` if nothing can be cut.
    pub(super) fn bound(&self) -> Option<f64> {
        let (graph, o) = (self.graph, self.o);
        let mut ends: Vec<usize> = self.list.iter().map(|c| c.cuts.offload()).collect();
        ends.extend(&self.points);
        // Other boards may compute from the frame on, whatever offload point is asked for.
        ends.push(0);
        ends.sort_unstable();
        ends.dedup();
        let prefixes: Vec<Prefix> = ends.iter().map(|end| Prefix::new(graph, o, *end)).collect();
        let offloads = ends.iter().filter(|end| **end > 0);
        offloads
            .map(|end| {
                let tail = self.tails.get(graph, o, *end, Vec::new());
                stages_s(o, &prefixes, *end) + tail.time.gateway_s()
            })
            .min_by(f64::total_cmp)
    }
}

impl Prefix {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn new(graph: &Graph, o: &PlanOptions, end: usize) -> Self {
        let wanted = wanted(graph, o.dump);
        let stage = StageGraph::new(graph, 0, end, &wanted);
        let whole = whole_maps(graph, &stage);
        let spec = tail_spec(&stage, &whole);
        let mut known: Vec<(&Board, f64)> = Vec::new();
        for board in &o.boards {
            let alike = known.iter().find(|(b, _)| board.kernels_like(b));
            let seconds = alike.map_or_else(
                || LayerTimes::new(graph, o, board).chain_s(&spec),
                |(_, s)| *s,
            );
            known.push((board, seconds));
        }
        let rest = StageGraph::new(graph, end, graph.layers.len(), &wanted);
        let bytes = |t: &TensorIx| graph.shape(*t).len() * o.stored(graph).read(*t).bytes();
        Self {
            end,
            seconds: known.into_iter().map(|(_, s)| s).collect(),
            bytes: rest.inputs.iter().map(bytes).sum::<usize>() as f64,
        }
    }
}

/// Least seconds in which the layers before `end` are computed and their results sent.
fn stages_s(o: &PlanOptions, prefixes: &[Prefix], end: usize) -> f64 {
    let Some(whole) = prefixes.iter().find(|p| p.end == end) else {
        return 0.0;
    };
    let rate = |(b, s): (&Board, &f64)| b.rate(*s);
    let rates: Vec<f64> = o.boards.iter().zip(&whole.seconds).map(rate).collect();
    let others: f64 = rates.iter().skip(1).sum();
    // Bytes for all of the work, if others did all of it.
    let needed = prefixes.iter().filter(|p| p.end < end).map(|p| {
        let behind = 1.0 - p.seconds[0] / whole.seconds[0].max(1e-12);
        p.bytes / behind.max(1e-12)
    });
    let needed = needed.fold(f64::MAX, f64::min);
    let links = o.boards.iter().chain([&o.gateway]).map(|b| b.link);
    let bytes_per_s = links.clone().map(|l| l.bytes_per_s).fold(0.0, f64::max);
    let one_channel = links
        .clone()
        .all(|l| l.medium == o.gateway.link.medium && l.medium != Medium::Switched);
    // What the gateway's own board computes need not travel.
    let computes = o.boards.iter().any(|b| b.is_gateway);
    let results = if computes { 0.0 } else { whole.bytes };
    let possible = |seconds: f64| {
        let away = (1.0 - seconds * rates[0]).max(0.0);
        let carried = if one_channel {
            away * needed + results
        } else {
            (away * needed).max(results)
        };
        away <= seconds * others && carried <= seconds * bytes_per_s
    };
    let (mut low, mut high) = (0.0, 1.0 / rates[0] + whole.bytes / bytes_per_s.max(1.0));
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if possible(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}
