//! What steps read, row by row: the schedule's view of a chain.

use std::collections::BTreeMap;

use super::{slices::Slice, spec::ChainSpec};
use crate::{
    ftp::{Axis, cyclic, halo},
    options::Rows,
    rows::{self, Op as Flow, Reads, Rest},
};
use tessera_plan::{
    graph::{Graph, NodeIx, TensorIx},
    plan::{Buffer, BufferIx, ConvKernel, Place, Step, View},
    region::Span,
};

/// What a chain's steps read.
pub(super) struct Reading<'a> {
    pub graph: &'a Graph,
    pub spec: &'a ChainSpec<'a>,
    pub slices: &'a BTreeMap<TensorIx, Slice>,
}

impl Reading<'_> {
    /// The tensor whose buffer is read for `t`, and its first channel.
    pub fn source(&self, t: TensorIx) -> Slice {
        let whole = Slice { of: t, channel: 0 };
        self.slices.get(&t).copied().unwrap_or(whole)
    }

    /// The rows of input `k` that rows `rows` of what node `n` writes need, counted from the first row
    /// held: all of them, where they do not follow each other.
    pub fn rows(
        &self,
        n: NodeIx,
        k: usize,
        conv: Option<&ConvKernel>,
        rows: [usize; 2],
    ) -> [usize; 2] {
        let Self { graph, spec, .. } = self;
        let node = &graph.nodes[n];
        let out = spec.made_y(TensorIx::node(n));
        let side = conv.map_or(1, ConvKernel::side);
        let [first, end] = rows.map(|row| out.lo + side * row);
        let (t, rows) = (node.inputs[k], Span::new(first, end));
        let (rows, h) = (cyclic::inside(rows, node.shape.h), graph.shape(t).h);
        let need = halo::input_range(node, k, rows, Axis::Y, h).span;
        let held = spec.y.span(self.source(t).of);
        match cyclic::offset(held, need, h) {
            Some(at) => [at, at + need.len()],
            None if cyclic::wraps(need, h) => [0, held.len()],
            // A resized shortcut names a row for outputs that read none; it need not be held.
            None => [need.lo, need.hi].map(|y| y.clamp(held.lo, held.hi) - held.lo),
        }
    }

    /// Whether the first row of a node of several needs as much of an input of several as all rows do.
    pub fn needs_all(&self, n: NodeIx, conv: Option<&ConvKernel>) -> bool {
        let h = self.spec.made_y(TensorIx::node(n)).len() / conv.map_or(1, ConvKernel::side);
        h > 1
            && (0..self.graph.nodes[n].inputs.len()).any(|k| {
                let [lo, hi] = self.rows(n, k, conv, [0, 1]);
                hi - lo > 1 && [lo, hi] == self.rows(n, k, conv, [0, h])
            })
    }
}

/// What a chain consists of.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub loads: &'a [Option<View>],
    pub steps: &'a [Step],
    pub stores: &'a [Option<View>],
}

/// Loads, steps and stores for the schedule, numbered as [`tessera_plan::plan::Order`] says.
pub(super) fn flow<'a>(
    reading: &'a Reading<'a>,
    rows: Rows,
    buffers: &[Buffer],
    Parts {
        loads,
        steps,
        stores,
    }: Parts<'a>,
) -> Vec<Flow<'a>> {
    let block = |b: &Buffer| rows::plain_height(b, rows);
    let copied = |v: &View| buffers[v.buffer].place.is_arena();
    // Two inputs may bring rows of one buffer: to the schedule the first brings all of them.
    let inputs = reading.spec.inputs.len();
    let of_buffer = |b: BufferIx| steps.iter().find(|s| s.out.buffer == b);
    let strip = |v: &'a View| Flow {
        there: false,
        at: v.y,
        counts_from: v.y,
        h: v.h,
        // Columns beside what a step makes come with the step's rows.
        block: (of_buffer(v.buffer).filter(|s| (s.out.y, s.out.h) == (v.y, v.h)))
            .map_or(1, |s| s.firing),
        writes: Some(v.buffer),
        rest: None,
        reads: Box::new(|_, _| Vec::new()),
    };
    let load = |(k, v): (usize, &'a Option<View>)| {
        if let Some(v) = v.as_ref().filter(|_| k >= inputs) {
            return strip(v);
        }
        let v = v.as_ref().filter(|v| v.y == 0);
        let rest = loads[..inputs].get(k + 1).and_then(Option::as_ref);
        let rest = rest.filter(|r| r.y > 0 && v.is_some_and(|v| v.buffer == r.buffer));
        Flow {
            there: v.is_some_and(|v| !copied(v)),
            h: v.map_or(0, |v| buffers[v.buffer].h),
            block: v.map_or(1, |v| block(&buffers[v.buffer])),
            writes: v.map(|v| v.buffer),
            at: 0,
            counts_from: 0,
            rest: rest.map(|r| Rest {
                row: r.y,
                op: k + 1,
            }),
            reads: Box::new(|_, _| Vec::new()),
        }
    };
    let step = |s: &'a Step| Flow {
        there: s.is_there(),
        h: s.out.h,
        block: s.firing,
        writes: Some(s.out.buffer),
        at: s.out.y,
        counts_from: 0,
        rest: None,
        reads: Box::new(move |first, end| {
            let of = |(k, v): (usize, &View)| {
                let [lo, hi] = reading.rows(s.node, k, s.conv.as_ref(), [first, end]);
                Reads {
                    buffer: v.buffer,
                    lo,
                    hi,
                }
            };
            let inputs = s.inputs.iter().enumerate();
            inputs.filter(|(_, v)| !s.finds(v)).map(of).collect()
        }),
    };
    let stored = |v: &View| !matches!(buffers[v.buffer].place, Place::Output(_));
    let store = |v: &'a Option<View>| Flow {
        there: false,
        h: v.as_ref().filter(|v| stored(v)).map_or(0, |v| v.h),
        block: v.as_ref().map_or(1, |v| block(&buffers[v.buffer])),
        writes: None,
        at: 0,
        counts_from: 0,
        rest: None,
        reads: Box::new(move |first, end| {
            let of = |v: &View| Reads {
                buffer: v.buffer,
                lo: v.y + first,
                hi: v.y + end,
            };
            v.iter().filter(|_| first < end).map(of).collect()
        }),
    };
    let (loads, steps) = (loads.iter().enumerate().map(load), steps.iter().map(step));
    loads.chain(steps).chain(stores.iter().map(store)).collect()
}
