//! Builds chains: buffers, steps, kernels, places.

use std::collections::BTreeSet;

use super::{
    buffers::Buffers,
    draft::{Draft, drafts},
    flow::{Parts, Reading, flow},
    fused::Fused,
    place::{Placed, place_buffers, put_in_place},
    spec::{ChainSpec, How, StripBox, is_second},
};
use crate::{
    ftp::cyclic,
    kernel,
    rows::{self, Map, When},
};
use tessera_plan::{
    graph::{Graph, Op},
    plan::{Buffer, BufferIx, Chain, Order, Step, View},
    region::Span,
};

/// Builds the chain of a tile whose outputs are `ends` (rows, columns per output).
pub fn build(graph: &Graph, spec: &ChainSpec<'_>, ends: &[(Span, Span)], how: How<'_>) -> Chain {
    build_with(graph, spec, ends, how, smallest)
}

/// The steps of a chain in the order of their firings, without places in an arena: in a fraction of the time that
/// [`build`] takes.
pub fn build_order(
    graph: &Graph,
    spec: &ChainSpec<'_>,
    ends: &[(Span, Span)],
    how: How<'_>,
) -> Chain {
    build_with(graph, spec, ends, how, |reading, how, buffers, parts| {
        let ops = flow(reading, how.rows, buffers, parts);
        Placed {
            order: Order {
                prologue: rows::firings(&ops, &maps(buffers)),
                ..Order::default()
            },
            buffers: buffers.to_vec(),
            floats: 0,
        }
    })
}

/// Builds a chain, whose buffers `place` puts in their places.
fn build_with(
    graph: &Graph,
    spec: &ChainSpec<'_>,
    ends: &[(Span, Span)],
    how: How<'_>,
    place: impl Fn(&Reading<'_>, How<'_>, &[Buffer], Parts<'_>) -> Placed,
) -> Chain {
    let threads = how.team.max(1);
    let fused = Fused::new(graph, spec, how.rows);
    let reading = Reading {
        graph,
        spec,
        slices: &fused.slices,
    };
    let mut buffers = Buffers::new();
    let loads = loads(graph, spec, &mut buffers);
    let drafts = drafts(&reading, &fused, &mut buffers);
    let stores = stores(graph, spec, ends, &buffers);
    let mut buffers = buffers.list;
    let read: BTreeSet<BufferIx> = drafts
        .iter()
        .flat_map(|d| {
            d.inputs
                .iter()
                .map(|v| v.buffer)
                .filter(|b| *b != d.out.buffer)
        })
        .collect();
    put_in_place(&mut buffers, spec, how.elements, [&loads, &stores], &read);
    let drafts = drafts.into_iter();
    let steps: Vec<Step> = drafts
        .map(|d| step(&reading, &fused, &buffers, how, d))
        .collect();
    let parts = Parts {
        loads: &loads,
        steps: &steps,
        stores: &stores,
    };
    let placed = place(&reading, how, &buffers, parts);
    let works = steps.iter().any(|s| s.scratch > 0);
    Chain {
        name: spec.name.to_string(),
        arena_floats: placed.floats,
        buffers: placed.buffers,
        loads,
        macs: steps.iter().map(|s| s.macs).sum(),
        steps,
        stores,
        order: placed.order,
        threads: if works { threads } else { 1 },
    }
}

/// The buffers that inputs are loaded into, or rows of them: of a tensor that stands twice, those up to the map's end,
/// then those that go on at its beginning.
fn loads(graph: &Graph, spec: &ChainSpec<'_>, buffers: &mut Buffers) -> Vec<Option<View>> {
    let load = |k: usize| {
        let t = spec.inputs[k];
        let buffer = buffers.of(graph, spec, t)?;
        let held = spec.region(graph, t);
        let [first, second] = cyclic::runs(held.y, graph.shape(t).h);
        let (y, rows) = if is_second(spec.inputs, k) {
            (first.len(), second)
        } else {
            (0, first)
        };
        (!rows.is_empty()).then(|| View {
            buffer,
            y,
            x: 0,
            h: rows.len(),
            w: held.x.len(),
            channel: 0,
        })
    };
    let inputs: Vec<Option<View>> = (0..spec.inputs.len()).map(load).collect();
    let strip = |s: &StripBox| {
        let buffer = buffers.of(graph, spec, s.tensor)?;
        let held = spec.region(graph, s.tensor);
        Some(View {
            buffer,
            y: s.y.lo - held.y.lo,
            x: s.x.lo - held.x.lo,
            h: s.y.len(),
            w: s.x.len(),
            channel: 0,
        })
    };
    inputs
        .into_iter()
        .chain(spec.strips.iter().map(strip))
        .collect()
}

/// Where outputs lie.
fn stores(
    graph: &Graph,
    spec: &ChainSpec<'_>,
    ends: &[(Span, Span)],
    buffers: &Buffers,
) -> Vec<Option<View>> {
    let store = |(t, (y, x)): (&_, &(Span, Span))| {
        let buffer = buffers.find(*t)?;
        let held = spec.region(graph, *t);
        if y.is_empty() || x.is_empty() {
            return None;
        }
        Some(View {
            buffer,
            y: cyclic::offset(held.y, *y, graph.shape(*t).h)?,
            x: x.lo - held.x.lo,
            h: y.len(),
            w: x.len(),
            channel: 0,
        })
    };
    spec.outputs.iter().zip(ends).map(store).collect()
}

/// A step with its kernel, blocks of rows and working memory.
fn step(
    reading: &Reading<'_>,
    fused: &Fused,
    buffers: &[Buffer],
    how: How<'_>,
    draft: Draft,
) -> Step {
    let (n, threads) = (draft.node, how.team.max(1));
    // The kernel and its blocks of rows are the whole layer's, also where some of its channels are made.
    let sums = how.sums.filter(|s| s.0 == n);
    let network = sums.map_or(how.network, |s| s.1);
    let node = &network.nodes[n];
    let pools = fused.pool_of(n).is_some();
    let out = &own_part(&buffers[draft.out.buffer], &draft.out);
    let first = draft.inputs.first().map(|v| &buffers[v.buffer]);
    let mut wanted = how.kernels;
    if how.apart.contains(&n) || sums.is_some() {
        wanted.weights = wanted.weights.plain();
    }
    let chosen = first.and_then(|x| kernel::choose(network, node, x, out, pools, wanted));
    let conv = match (sums, first) {
        (Some(_), Some(x)) => chosen.map(|k| kernel::of_depth(k, x.c)),
        _ => chosen,
    };
    let row_block = match (&conv, first) {
        (Some(k), Some(x)) => kernel::row_block(node, k, x, out, how.kernels.tiles),
        _ => out.h,
    };
    let firing = rows::heights(
        &rows::Layer {
            op: &node.op,
            conv: conv.as_ref(),
            out: [out.h, out.w, node.shape.c],
            whole: reading.needs_all(n, conv.as_ref()),
            team: threads,
            streams: how.streams,
            tiles: how.kernels.tiles,
        },
        how.rows,
    );
    let row_block = row_block.min(firing);
    let weights = kernel::weights(conv.as_ref(), wanted.weights);
    let joined = match (&node.op, first) {
        (Op::Conv(c), Some(x)) => !pools && kernel::is_joined(c, x, out),
        _ => false,
    };
    let scratch = conv.as_ref().map_or(0, |k| {
        tessera_plan::kernel::scratch(k, weights, [row_block, out.w], threads)
    });
    Step {
        node: n,
        layer: node.layer,
        name: node.name.clone(),
        out: draft.out,
        channel: fused.parts.get(&n).map_or(0, |p| p.channel),
        filters: how.filters.filter(|_| sums.is_none()),
        depth: how.filters.filter(|_| sums.is_some()),
        sums: 0,
        inputs: draft.inputs,
        phase: draft.phase,
        pad: draft.pad,
        firing,
        row_block,
        conv,
        joined,
        weights,
        scratch,
        macs: draft.macs,
    }
}

/// A buffer as the step sees it that writes the box `own`: what lies beside is as good as padding.
fn own_part(buffer: &Buffer, own: &View) -> Buffer {
    Buffer {
        h: own.h,
        ring: own.h,
        w: own.w,
        pad_left: buffer.pad_left + own.x,
        pad_right: buffer.pad_right + buffer.w - own.x - own.w,
        ..buffer.clone()
    }
}

/// Buffers in their places, for the order of firings whose arena is smaller.
fn smallest(reading: &Reading<'_>, how: How<'_>, buffers: &[Buffer], parts: Parts<'_>) -> Placed {
    let ops = flow(reading, how.rows, buffers, parts);
    let maps = maps(buffers);
    let placed = |when| {
        let schedule = rows::schedule(&ops, &maps, when);
        place_buffers(schedule, buffers, parts.loads, parts.steps)
    };
    let lazy = placed(When::Needed);
    // Only a buffer with several readers has one that others can be early for.
    if !rows::branches(&ops, &maps) {
        return lazy;
    }
    let eager = placed(When::Smaller);
    if eager.floats < lazy.floats {
        eager
    } else {
        lazy
    }
}

/// The buffers' maps, as the schedule of rows sees them.
fn maps(buffers: &[Buffer]) -> Vec<Map> {
    let map = |b: &Buffer| Map {
        h: b.h,
        row: b.w * b.c,
        stays: !b.place.is_arena(),
    };
    buffers.iter().map(map).collect()
}
