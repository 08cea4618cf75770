//! Where buffers lie.

use std::collections::BTreeSet;

use super::spec::ChainSpec;
use crate::{
    buffers::{self, Taken},
    rows::Schedule,
    wire::Elements,
};
use tessera_plan::{
    graph::TensorIx,
    plan::{Buffer, BufferIx, ElementType, Order, Place, Step, View},
};

/// Inputs that can be read where they arrive and outputs that can be written where they are handed
/// over, without a copy: float32 values in packed maps without padding, and of outputs those that no
/// step (`read`) reads.
pub(super) fn put_in_place(
    buffers: &mut [Buffer],
    spec: &ChainSpec<'_>,
    elements: Elements<'_>,
    [loads, stores]: [&[Option<View>]; 2],
    read: &BTreeSet<BufferIx>,
) {
    let stored = |b: BufferIx| stores.iter().flatten().filter(|v| v.buffer == b).count();
    let float = |t: &TensorIx| elements.read(*t) == ElementType::F32;
    let inputs = loads.iter().zip(spec.inputs).enumerate();
    for (k, (v, _)) in inputs.filter(|(_, (_, t))| spec.packed && float(t)) {
        let Some(v) = v else { continue };
        if !buffers[v.buffer].is_padded() && stored(v.buffer) == 0 {
            buffers[v.buffer].place = Place::Input(k);
        }
    }
    let loaded: BTreeSet<BufferIx> = loads.iter().flatten().map(|v| v.buffer).collect();
    // What a tail makes never leaves its node.
    let outputs = stores.iter().zip(spec.outputs).enumerate();
    for (k, (v, _)) in outputs.filter(|(_, (_, t))| spec.packed || float(t)) {
        let Some(v) = v else { continue };
        let b = &buffers[v.buffer];
        let whole = (v.h, v.w) == (b.h, b.w);
        let alone = !read.contains(&v.buffer) && !loaded.contains(&v.buffer);
        if whole && alone && !b.is_padded() && stored(v.buffer) == 1 {
            buffers[v.buffer].place = Place::Output(k);
        }
    }
}

/// Buffers in their places, for one order of firings.
pub(super) struct Placed {
    pub buffers: Vec<Buffer>,
    pub order: Order,
    /// Values of the arena.
    pub floats: usize,
}

/// Gives the buffers their rings, and their places in the arena beside what steps work in.
pub(super) fn place_buffers(
    schedule: Schedule,
    buffers: &[Buffer],
    loads: &[Option<View>],
    steps: &[Step],
) -> Placed {
    let mut buffers = buffers.to_vec();
    for (b, ring) in buffers.iter_mut().zip(&schedule.rings) {
        b.ring = *ring;
    }
    let taken: Vec<Taken> = steps
        .iter()
        .zip(&schedule.spans[loads.len()..])
        .filter_map(|(s, span)| {
            span.map(|span| Taken {
                floats: s.scratch,
                span,
            })
        })
        .collect();
    let floats = buffers::allocate(&mut buffers, &schedule.lives, &taken);
    Placed {
        buffers,
        order: schedule.order,
        floats,
    }
}
