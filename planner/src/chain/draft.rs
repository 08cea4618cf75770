//! Steps before their buffers are complete: what is read and written where, without kernels.

use super::{buffers::Buffers, flow::Reading, fused::Fused, slices::Slice};
use crate::ftp::{Axis, cyclic, halo, phase::phase, work::per_pixel};
use tessera_plan::{
    graph::{NodeIx, Op, TensorIx},
    plan::View,
};

/// A step without its kernel.
pub(super) struct Draft {
    pub node: NodeIx,
    /// The box that it writes.
    pub out: View,
    pub inputs: Vec<View>,
    pub pad: [usize; 4],
    pub phase: [usize; 2],
    pub macs: u64,
}

/// The steps of a chain in order. Gives every tensor its buffer, and buffers their padding.
pub(super) fn drafts(reading: &Reading<'_>, fused: &Fused, buffers: &mut Buffers) -> Vec<Draft> {
    let done = fused.done();
    let nodes = reading.spec.nodes.iter().filter(|n| !done.contains(n));
    let steps: Vec<Draft> = nodes
        .filter_map(|&n| draft(reading, fused, buffers, n))
        .collect();
    // Zero columns and rows that convolutions reach.
    for s in &steps {
        if matches!(reading.graph.nodes[s.node].op, Op::Conv(_)) {
            buffers.pad(s.inputs[0].buffer, s.pad);
        }
    }
    steps
}

/// The step of a node; `None` where the chain needs nothing of it.
fn draft(reading: &Reading<'_>, fused: &Fused, buffers: &mut Buffers, n: NodeIx) -> Option<Draft> {
    let Reading { graph, spec, .. } = *reading;
    let node = &graph.nodes[n];
    let t = TensorIx::node(n);
    let out = spec.made(graph, t);
    // The concatenation's buffer is there from its first part on, a convolution's that pools is the
    // pool's.
    let part = fused.parts.get(&n).map(|p| p.node);
    let written = part.or_else(|| fused.pool_of(n)).unwrap_or(n);
    let written = TensorIx::node(written);
    let b = buffers.of(graph, spec, written)?;
    buffers.share(t, b);
    let (own, all) = (spec.made(graph, written), spec.region(graph, written));
    let mut pad = [0; 4];
    let mut inputs = Vec::new();
    for (k, &i) in node.inputs.iter().enumerate() {
        let Slice { of, channel } = reading.source(i);
        let held = spec.region(graph, of);
        let y = halo::input_range(node, k, out.y, Axis::Y, graph.shape(i).h);
        let x = halo::input_range(node, k, out.x, Axis::X, graph.shape(i).w);
        if k == 0 {
            pad = [y.before, y.after, x.before, x.after];
        }
        // A reorg finds rows that do not follow each other in a whole map.
        let at = cyclic::offset(held.y, y.span, graph.shape(of).h);
        inputs.push(View {
            buffer: buffers.find(of)?,
            y: at.unwrap_or(0),
            x: x.span.lo - held.x.lo,
            h: at.map_or(held.y.len(), |_| y.span.len()),
            w: x.span.len(),
            channel,
        });
    }
    Some(Draft {
        node: n,
        out: View {
            buffer: b,
            // Rows may go on at the map's other end; those of a buffer with strips do not.
            y: own.y.lo.saturating_sub(all.y.lo),
            x: own.x.lo - all.x.lo,
            h: own.y.len(),
            w: own.x.len(),
            channel: 0,
        },
        inputs,
        pad,
        phase: [phase(node, out.y, Axis::Y), phase(node, out.x, Axis::X)],
        macs: per_pixel(graph, n) * (out.y.len() * out.x.len()) as u64,
    })
}
