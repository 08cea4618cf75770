//! Stages whose borders are reused: tiles of two colours (DeepThings 2018, section 3.3).
//!
//! Tiles of the first colour (`row + col` even) compute their halos as with [`Border::Recompute`], and hand strips of every
//! layer to their neighbours of the second colour. These compute of a layer what none of their neighbours has:
//!
//! ```text
//!          columns that the tile needs
//!       ┌──────────────────────────────┐
//!       │     strip from above         │
//!       ├────────┬────────────┬────────┤
//!       │ strip  │  made by   │ strip  │
//!       │ (left) │  the tile  │ (right)│
//!       ├────────┴────────────┴────────┤
//!       │     strip from below         │
//!       └──────────────────────────────┘
//! ```
//!
//! The columns that a tile makes depend on the column of the grid alone, its rows on the row alone. Neighbours at corners need not be asked: those above and below have
//! computed at least as many columns.
//!
//! For each pair of neighbours there is a task of its own that makes the pair's strips out of the stage's input. It
//! runs in the place of the first tile, if that does not make them in time. So both must make the same bits, and chains of
//! the stage have direct kernels.

use std::collections::BTreeMap;

use super::parts::AxisParts;
use crate::{
    chain::{ChainSpec, StripBox},
    error::PlanError,
    ftp::{Axis, StageGraph, Trace, axis::extent, cyclic, halo, phase::phase, work::per_pixel},
};
use tessera_plan::{
    graph::{Graph, NodeIx, Op, TensorIx},
    region::Span,
};

/// What a task of such a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A tile of the first colour.
    First,
    /// Strips that this task, by its index, makes for the tile at the same place of the grid.
    InsteadOf(usize),
    /// A tile of the second colour.
    Second,
}

/// A task of such a stage.
#[derive(Clone, Debug)]
pub struct ReuseTask {
    /// What it is.
    pub part: Part,
    /// Row and column in the grid; of strips those of the tile that takes them.
    pub at: [usize; 2],
    /// Rows and columns of every tensor that the task holds.
    pub held: [Trace; 2],
    /// Those that it makes itself; `None`: all.
    made: Option<[Trace; 2]>,
    /// Tensors that it stores: the stage's outputs, then those of strips.
    outputs: Vec<TensorIx>,
    /// Rows and columns of each output.
    pub ends: Vec<(Span, Span)>,
    /// Strips that it takes.
    pub takes: Vec<StripBox>,
    /// Its class: tasks of equal geometry share one.
    pub class: usize,
}

/// A stage of tiles of two colours: its tasks in the order of a plan.
#[derive(Clone, Debug)]
pub struct ReuseStage {
    /// The tasks.
    pub tasks: Vec<ReuseTask>,
    /// For every class the first task.
    pub firsts: Vec<usize>,
}

/// A strip that a tile of the first colour hands over.
struct Handed {
    maker: [usize; 2],
    taker: [usize; 2],
    strip: StripBox,
}

/// Rows or columns of a part of the second colour: what it holds, and what it makes.
#[derive(Default)]
struct Shrunk {
    held: Trace,
    made: Trace,
}

impl ReuseTask {
    /// The chain of the task.
    pub fn spec<'a>(&'a self, stage: &'a StageGraph, name: &'a str) -> ChainSpec<'a> {
        let [y, x] = &self.held;
        ChainSpec {
            name,
            nodes: &stage.nodes,
            inputs: &stage.inputs,
            outputs: &self.outputs,
            y,
            x,
            made: self.made.as_ref().map(|[y, x]| [y, x]),
            strips: &self.takes,
            packed: false,
        }
    }

    /// Strips that the task makes: those of its outputs that are not the stage's.
    pub fn gives(&self, stage: &StageGraph) -> impl Iterator<Item = StripBox> + '_ {
        let all = self.outputs.iter().zip(&self.ends);
        let strips = all.skip(self.own_outputs(stage));
        strips.map(|(tensor, (y, x))| StripBox {
            tensor: *tensor,
            y: *y,
            x: *x,
        })
    }

    /// Number of outputs that are the stage's.
    pub fn own_outputs(&self, stage: &StageGraph) -> usize {
        match self.part {
            Part::InsteadOf(_) => 0,
            Part::First | Part::Second => stage.outputs.len(),
        }
    }

    /// Multiply-adds of the task.
    pub fn macs(&self, graph: &Graph, stage: &StageGraph) -> u64 {
        let spec = self.spec(stage, "");
        let pixels = |n: &NodeIx| {
            let made = spec.made(graph, TensorIx::node(*n));
            (made.h() * made.w()) as u64
        };
        let nodes = stage.nodes.iter();
        nodes.map(|n| per_pixel(graph, *n) * pixels(n)).sum()
    }

    /// What tells classes apart: the geometry of every layer relative to the task's own position.
    fn signature(&self, graph: &Graph, stage: &StageGraph) -> Vec<usize> {
        let spec = self.spec(stage, "");
        let mut s = vec![usize::from(self.part == Part::First)];
        let mut place = |t: TensorIx, y: Span, x: Span| {
            let all = spec.region(graph, t);
            let at = [y.lo.wrapping_sub(all.y.lo), x.lo.wrapping_sub(all.x.lo)];
            s.extend(
                [t.0.unsigned_abs() as usize, y.len(), x.len()]
                    .into_iter()
                    .chain(at),
            );
        };
        for t in &stage.inputs {
            let held = spec.region(graph, *t);
            place(*t, held.y, held.x);
        }
        for &n in &stage.nodes {
            let (node, t) = (&graph.nodes[n], TensorIx::node(n));
            let (held, made) = (spec.region(graph, t), spec.made(graph, t));
            if made.is_empty() {
                place(t, made.y, made.x);
                continue;
            }
            place(t, held.y, held.x);
            place(t, made.y, made.x);
            let phases =
                [(made.y, Axis::Y), (made.x, Axis::X)].map(|(out, axis)| phase(node, out, axis));
            place(t, Span::new(0, phases[0]), Span::new(0, phases[1]));
            for (k, i) in node.inputs.iter().enumerate() {
                let need =
                    |out, axis| halo::input_range(node, k, out, axis, extent(graph, *i, axis));
                let (y, x) = (need(made.y, Axis::Y), need(made.x, Axis::X));
                place(*i, y.span, x.span);
                place(*i, Span::new(0, y.before), Span::new(0, y.after));
                place(*i, Span::new(0, x.before), Span::new(0, x.after));
            }
        }
        let strips = self.takes.iter().map(|s| (s.tensor, s.y, s.x));
        let outputs = self
            .outputs
            .iter()
            .zip(&self.ends)
            .map(|(t, (y, x))| (*t, *y, *x));
        strips.chain(outputs).for_each(|(t, y, x)| place(t, y, x));
        s
    }
}

impl ReuseStage {
    /// The tasks of a stage that is cut at `parts`.
    ///
    /// # Errors
    /// When strips cannot be traced: a layer needs rows of a map's other end, or a tile of the second colour is narrower
    /// than its neighbours' halos, so that nothing is left for it to compute.
    pub fn new(
        graph: &Graph,
        stage: &StageGraph,
        [ys, xs]: [&AxisParts; 2],
    ) -> Result<Self, PlanError> {
        let is_reorg =
            |n: &&NodeIx| matches!(graph.nodes[**n].op, Op::Reorg { reverse: false, .. });
        if let Some(n) = stage.nodes.iter().find(is_reorg) {
            let layer = graph.nodes[*n].layer;
            return Err(PlanError::ReuseCyclic { layer });
        }
        let [rows, cols] = [ys.traces.len(), xs.traces.len()];
        // In a single row or column of tiles, every second part is of the first colour alone.
        let shrunk = |axis, parts: &AxisParts, across: usize| -> Result<Vec<Shrunk>, PlanError> {
            let one = |i: usize| match (across, i % 2) {
                (1, 0) => Ok(Shrunk::default()),
                _ => shrink(graph, stage, axis, parts, i),
            };
            (0..parts.traces.len()).map(one).collect()
        };
        let small_y = shrunk(Axis::Y, ys, cols)?;
        let small_x = shrunk(Axis::X, xs, rows)?;
        let places = || (0..rows).flat_map(|r| (0..cols).map(move |c| [r, c]));
        let [mut firsts, mut seconds] = [Vec::new(), Vec::new()];
        let mut handed: Vec<Handed> = Vec::new();
        for at @ [r, c] in places() {
            let ends = (ys.ends[r].iter().copied().zip(xs.ends[c].iter().copied())).collect();
            let mut task = ReuseTask {
                part: Part::First,
                at,
                held: [ys.traces[r].clone(), xs.traces[c].clone()],
                made: None,
                outputs: stage.outputs.clone(),
                ends,
                takes: Vec::new(),
                class: 0,
            };
            if (r + c) % 2 == 0 {
                firsts.push(task);
                continue;
            }
            let (y, x) = (&small_y[r], &small_x[c]);
            let strips = strips_of(stage, at, [y, x]);
            for (maker, strip) in strips {
                check(graph, strip, [&ys.traces[maker[0]], &xs.traces[maker[1]]])?;
                handed.push(Handed {
                    maker,
                    taker: at,
                    strip,
                });
            }
            task.part = Part::Second;
            task.held = [y.held.clone(), x.held.clone()];
            task.made = Some([y.made.clone(), x.made.clone()]);
            seconds.push(task);
        }
        // In the order in which tiles of the first colour hand them over.
        handed.sort_by_key(|h| (h.maker, h.taker));
        let mut instead = Vec::new();
        for of_pair in handed.chunk_by(|a, b| (a.maker, a.taker) == (b.maker, b.taker)) {
            let (maker, taker) = (of_pair[0].maker, of_pair[0].taker);
            let strips: Vec<StripBox> = of_pair.iter().map(|h| h.strip).collect();
            let Some(number) = firsts.iter().position(|t: &ReuseTask| t.at == maker) else {
                continue;
            };
            let giver = &mut firsts[number];
            giver.outputs.extend(strips.iter().map(|s| s.tensor));
            giver.ends.extend(strips.iter().map(|s| (s.y, s.x)));
            if let Some(t) = seconds.iter_mut().find(|t: &&mut ReuseTask| t.at == taker) {
                t.takes.extend(&strips);
            }
            instead.push(alone(graph, stage, number, taker, &strips));
        }
        let mut tasks: Vec<ReuseTask> = firsts.into_iter().chain(instead).chain(seconds).collect();
        let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let mut first_of = Vec::new();
        for (k, task) in tasks.iter_mut().enumerate() {
            let next = known.len();
            task.class = *known.entry(task.signature(graph, stage)).or_insert(next);
            if task.class == next {
                first_of.push(k);
            }
        }
        Ok(Self {
            tasks,
            firsts: first_of,
        })
    }
}

/// A task that makes strips out of the stage's input.
fn alone(
    graph: &Graph,
    stage: &StageGraph,
    instead_of: usize,
    taker: [usize; 2],
    strips: &[StripBox],
) -> ReuseTask {
    let outputs: Vec<TensorIx> = strips.iter().map(|s| s.tensor).collect();
    let small = StageGraph {
        outputs: outputs.clone(),
        ..stage.clone()
    };
    let trace = |axis, of: fn(&StripBox) -> Span| {
        let spans: Vec<Span> = strips.iter().map(of).collect();
        small.trace(graph, axis, &spans)
    };
    ReuseTask {
        part: Part::InsteadOf(instead_of),
        at: taker,
        held: [trace(Axis::Y, |s| s.y), trace(Axis::X, |s| s.x)],
        made: None,
        outputs,
        ends: strips.iter().map(|s| (s.y, s.x)).collect(),
        takes: Vec::new(),
        class: 0,
    }
}

/// The strips that a tile of the second colour takes, each with the place of the tile that hands it over. Those from
/// above and below have all columns.
fn strips_of(
    stage: &StageGraph,
    [r, c]: [usize; 2],
    [y, x]: [&Shrunk; 2],
) -> Vec<([usize; 2], StripBox)> {
    let mut list = Vec::new();
    for t in stage.nodes.iter().map(|n| TensorIx::node(*n)) {
        let (rows, own_rows) = (y.held.span(t), y.made.span(t));
        let (cols, own_cols) = (x.held.span(t), x.made.span(t));
        let mut add = |maker: [usize; 2], y: Span, x: Span| {
            if !y.is_empty() && !x.is_empty() {
                list.push((maker, StripBox { tensor: t, y, x }));
            }
        };
        add(
            [r.wrapping_sub(1), c],
            Span::new(rows.lo, own_rows.lo),
            cols,
        );
        add(
            [r, c.wrapping_sub(1)],
            own_rows,
            Span::new(cols.lo, own_cols.lo),
        );
        add([r, c + 1], own_rows, Span::new(own_cols.hi, cols.hi));
        add([r + 1, c], Span::new(own_rows.hi, rows.hi), cols);
    }
    list
}

/// What part `i` of an axis holds and makes, if the parts beside it hand over what they have.
fn shrink(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    parts: &AxisParts,
    i: usize,
) -> Result<Shrunk, PlanError> {
    let before = i.checked_sub(1).map(|k| &parts.traces[k]);
    let behind = parts.traces.get(i + 1);
    let mut held: BTreeMap<TensorIx, Span> = BTreeMap::new();
    let mut made: BTreeMap<TensorIx, Span> = BTreeMap::new();
    for (t, end) in stage.outputs.iter().zip(&parts.ends[i]) {
        held.insert(*t, *end);
    }
    for &n in stage.nodes.iter().rev() {
        let (node, t) = (&graph.nodes[n], TensorIx::node(n));
        let Some(wanted) = held.get(&t).copied().filter(|s| !s.is_empty()) else {
            continue;
        };
        let theirs = |trace: Option<&Trace>| trace.map(|t_| t_.span(t)).filter(|s| !s.is_empty());
        let lo = theirs(before).map_or(wanted.lo, |s| s.hi.max(wanted.lo));
        let hi = theirs(behind).map_or(wanted.hi, |s| s.lo.min(wanted.hi));
        let own = Span::new(lo, hi);
        if cyclic::wraps(wanted, extent(graph, t, axis)) {
            return Err(PlanError::ReuseCyclic { layer: node.layer });
        }
        if own.is_empty() {
            return Err(PlanError::ReuseNarrow { layer: node.layer });
        }
        made.insert(t, own);
        for (k, &input) in node.inputs.iter().enumerate() {
            let extent = extent(graph, input, axis);
            let range = halo::input_range(node, k, own, axis, extent).span;
            (held.entry(input))
                .and_modify(|s| *s = s.join(range))
                .or_insert(range);
        }
    }
    for t in &stage.inputs {
        if let Some(span) = held.get(t) {
            made.insert(*t, *span);
        }
    }
    Ok(Shrunk {
        held: Trace { spans: held },
        made: Trace { spans: made },
    })
}

/// Whether a tile has what it is to hand over.
fn check(graph: &Graph, strip: StripBox, [y, x]: [&Trace; 2]) -> Result<(), PlanError> {
    let t = strip.tensor;
    if y.span(t).contains(strip.y) && x.span(t).contains(strip.x) {
        return Ok(());
    }
    let layer = t.producer().map_or(0, |n| graph.nodes[n].layer);
    Err(PlanError::ReuseNarrow { layer })
}
