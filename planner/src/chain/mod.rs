//! A chain class: the steps of one tile shape with buffers in one arena.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ftp::{Axis, Trace, axis, cuts::per_pixel, stage::extent},
    kernel,
    options::Rows,
    rows::{self, Map, When},
};
use tessera_plan::{
    graph::{Graph, Op, TensorIx},
    plan::{Buffer, Chain, Place, Step, View},
    region::{Region, Span},
};

mod flow;
mod parts;
mod place;
mod pools;
mod slices;

use flow::{Reading, flow};
use parts::parts_in_place;
use place::{place_buffers, put_in_place};
use pools::pools_in_kernels;
use slices::{Slice, slices_in_place};

/// How chains are computed.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// Which kernels.
    pub kernels: kernel::Wanted<'a>,
    /// How rows move.
    pub rows: Rows,
    /// Nodes whose chains do not agree on a kernel: their weights are not stored transformed.
    pub apart: &'a BTreeSet<usize>,
    /// Threads that share a firing.
    pub team: usize,
}

/// What a chain computes.
#[derive(Clone, Copy, Debug)]
pub struct ChainSpec<'a> {
    /// Emitted module's name.
    pub name: &'a str,
    /// Nodes, in order.
    pub nodes: &'a [usize],
    /// Tensors loaded.
    pub inputs: &'a [TensorIx],
    /// Tensors stored.
    pub outputs: &'a [TensorIx],
    /// Rows needed of every tensor.
    pub y: &'a Trace,
    /// Columns needed of every tensor.
    pub x: &'a Trace,
    /// Whether every input arrives as one packed map, as a tail's does, so that it can be read there.
    pub packed: bool,
}

/// The region of a tensor that a pair of traces names; all channels.
pub fn region(graph: &Graph, t: TensorIx, y: &Trace, x: &Trace) -> Region {
    let (ys, xs) = (y.span(t), x.span(t));
    if ys.is_empty() || xs.is_empty() {
        let none = Span::new(0, 0);
        return Region {
            y: none,
            x: none,
            c: none,
        };
    }
    Region {
        y: ys,
        x: xs,
        c: Span::new(0, graph.shape(t).c),
    }
}

/// Everything relative about a tile along one axis: equal signatures, equal code.
pub fn signature(
    graph: &Graph,
    nodes: &[usize],
    inputs: &[TensorIx],
    outputs: &[TensorIx],
    ends: &[Span],
    trace: &Trace,
    axis: Axis,
) -> Vec<usize> {
    let mut s = Vec::new();
    for t in inputs {
        s.push(trace.span(*t).len());
    }
    for &n in nodes {
        let node = &graph.nodes[n];
        let out = trace.span(TensorIx::node(n));
        s.extend([out.len(), axis::phase(node, out)]);
        if out.is_empty() {
            continue;
        }
        for (k, &t) in node.inputs.iter().enumerate() {
            let need = axis::need(node, k, out, axis, extent(graph, t, axis));
            s.extend([
                need.span.lo - trace.span(t).lo,
                need.span.len(),
                need.before,
                need.after,
            ]);
        }
    }
    for (t, e) in outputs.iter().zip(ends) {
        s.extend([e.lo - trace.span(*t).lo.min(e.lo), e.len()]);
    }
    s
}

/// Builds the chain of a tile whose outputs are `ends` (rows, columns per output).
pub fn build(graph: &Graph, spec: &ChainSpec<'_>, ends: &[(Span, Span)], how: How<'_>) -> Chain {
    let threads = how.team.max(1);
    let mut index: BTreeMap<TensorIx, usize> = BTreeMap::new();
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut place = |t: TensorIx, index: &mut BTreeMap<TensorIx, usize>| -> Option<usize> {
        let r = region(graph, t, spec.y, spec.x);
        if r.is_empty() {
            return None;
        }
        if let Some(b) = index.get(&t) {
            return Some(*b);
        }
        index.insert(t, buffers.len());
        buffers.push(Buffer {
            tensor: t,
            offset: 0,
            floats: 0,
            h: r.y.len(),
            ring: r.y.len(),
            w: r.x.len(),
            c: r.c.len(),
            pad_left: 0,
            pad_right: 0,
            zero_row: false,
            place: Place::Arena,
        });
        Some(buffers.len() - 1)
    };
    let parts = parts_in_place(graph, spec);
    let pools = match how.rows {
        Rows::Whole => BTreeMap::new(),
        Rows::Rolling | Rows::Blocks(_) => pools_in_kernels(graph, spec),
    };
    let slices = slices_in_place(graph, spec);
    let reading = Reading {
        graph,
        spec,
        slices: &slices,
    };
    // What other steps do along.
    let sliced = slices.keys().filter_map(|t| t.producer());
    let done: BTreeSet<usize> = pools.values().copied().chain(sliced).collect();
    let loads: Vec<Option<View>> = spec
        .inputs
        .iter()
        .map(|t| place(*t, &mut index).map(|b| whole(&spec.region(graph, *t), b)))
        .collect();

    let mut steps = Vec::new();
    for &n in spec.nodes.iter().filter(|n| !done.contains(n)) {
        let node = &graph.nodes[n];
        let t = TensorIx::node(n);
        let out = spec.region(graph, t);
        // The concatenation's buffer is there from its first part on, a convolution's that pools is the
        // pool's.
        let written = parts.get(&n).map(|p| p.node).or(pools.get(&n).copied());
        let Some(b) = place(TensorIx::node(written.unwrap_or(n)), &mut index) else {
            continue;
        };
        index.insert(t, b);
        let mut pad = [0; 4];
        let mut inputs = Vec::new();
        for (k, &i) in node.inputs.iter().enumerate() {
            let Slice { of, channel } = reading.source(i);
            let held = spec.region(graph, of);
            let y = axis::need(node, k, out.y, Axis::Y, graph.shape(i).h);
            let x = axis::need(node, k, out.x, Axis::X, graph.shape(i).w);
            if k == 0 {
                pad = [y.before, y.after, x.before, x.after];
            }
            inputs.push((
                of,
                View {
                    buffer: 0,
                    y: y.span.lo - held.y.lo,
                    x: x.span.lo - held.x.lo,
                    h: y.span.len(),
                    w: x.span.len(),
                    channel,
                },
            ));
        }
        let macs = per_pixel(graph, n) * (out.y.len() * out.x.len()) as u64;
        steps.push((
            n,
            b,
            inputs,
            pad,
            [axis::phase(node, out.y), axis::phase(node, out.x)],
            macs,
        ));
    }
    // Zero columns and rows that convolutions reach.
    for (n, _, inputs, pad, _, _) in &steps {
        if matches!(graph.nodes[*n].op, Op::Conv(_)) {
            let b = &mut buffers[index[&inputs[0].0]];
            b.zero_row |= pad[0] + pad[1] > 0;
            b.pad_left = b.pad_left.max(pad[2]);
            b.pad_right = b.pad_right.max(pad[3]);
        }
    }
    let stores: Vec<Option<View>> = spec
        .outputs
        .iter()
        .zip(ends)
        .map(|(t, (y, x))| {
            let b = *index.get(t)?;
            let held = spec.region(graph, *t);
            (!y.is_empty() && !x.is_empty()).then(|| View {
                buffer: b,
                y: y.lo - held.y.lo,
                x: x.lo - held.x.lo,
                h: y.len(),
                w: x.len(),
                channel: 0,
            })
        })
        .collect();
    let read: BTreeSet<usize> = steps
        .iter()
        .flat_map(|(_, b, inputs, ..)| inputs.iter().map(|(t, _)| index[t]).filter(move |i| i != b))
        .collect();
    put_in_place(&mut buffers, &loads, &stores, &read, spec.packed);
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|(n, b, inputs, pad, phase, macs)| {
            let node = &graph.nodes[n];
            let inputs: Vec<View> = inputs
                .into_iter()
                .map(|(t, v)| View {
                    buffer: index[&t],
                    ..v
                })
                .collect();
            let (out, first) = (&buffers[b], inputs.first().map(|v| &buffers[v.buffer]));
            let mut wanted = how.kernels;
            if how.apart.contains(&n) {
                wanted.weights = wanted.weights.plain();
            }
            let conv = first
                .and_then(|x| kernel::choose(graph, node, x, out, pools.contains_key(&n), wanted));
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
                    tiles: how.kernels.tiles,
                },
                how.rows,
            );
            let row_block = row_block.min(firing);
            let weights = kernel::weights(conv.as_ref(), wanted.weights);
            let joined = match (&node.op, first) {
                (Op::Conv(c), Some(x)) => !pools.contains_key(&n) && kernel::is_joined(c, x, out),
                _ => false,
            };
            let scratch = conv.as_ref().map_or(0, |k| {
                tessera_plan::kernel::scratch(k, weights, [row_block, out.w], threads)
            });
            Step {
                node: n,
                layer: node.layer,
                name: node.name.clone(),
                out: View {
                    buffer: b,
                    y: 0,
                    x: 0,
                    h: out.h,
                    w: out.w,
                    channel: 0,
                },
                channel: parts.get(&n).map_or(0, |p| p.channel),
                inputs,
                phase,
                pad,
                firing,
                row_block,
                conv,
                joined,
                weights,
                scratch,
                macs,
            }
        })
        .collect();
    let placed = {
        let ops = flow(&reading, how.rows, &buffers, &loads, &steps, &stores);
        let maps: Vec<Map> = buffers
            .iter()
            .map(|b| Map {
                h: b.h,
                row: b.w * b.c,
                stays: !b.place.is_arena(),
            })
            .collect();
        let placed =
            |when| place_buffers(rows::schedule(&ops, &maps, when), &buffers, &loads, &steps);
        let lazy = placed(When::Needed);
        // Only a buffer with several readers has one that others can be early for.
        if rows::branches(&ops, &maps) {
            let eager = placed(When::Smaller);
            if eager.floats < lazy.floats {
                eager
            } else {
                lazy
            }
        } else {
            lazy
        }
    };
    let (buffers, arena_floats) = (placed.buffers, placed.floats);
    let macs = steps.iter().map(|s| s.macs).sum();
    let works = steps.iter().any(|s| s.scratch > 0);
    Chain {
        name: spec.name.to_string(),
        arena_floats,
        buffers,
        loads,
        steps,
        stores,
        order: placed.order,
        macs,
        threads: if works { threads } else { 1 },
    }
}

impl ChainSpec<'_> {
    /// Whether a tensor has one reader in the chain, and none behind it.
    fn is_read_once(&self, graph: &Graph, t: TensorIx) -> bool {
        let inputs = self.nodes.iter().flat_map(|n| &graph.nodes[*n].inputs);
        inputs.filter(|i| **i == t).count() == 1 && !self.outputs.contains(&t)
    }

    fn region(&self, graph: &Graph, t: TensorIx) -> Region {
        region(graph, t, self.y, self.x)
    }
}

fn whole(r: &Region, buffer: usize) -> View {
    View {
        buffer,
        y: 0,
        x: 0,
        h: r.y.len(),
        w: r.x.len(),
        channel: 0,
    }
}
