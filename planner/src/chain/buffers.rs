//! The buffers of a chain before they have places: one per tensor, but where layers share one.

use std::collections::BTreeMap;

use super::spec::ChainSpec;
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Buffer, BufferIx, Place},
};

/// Buffers and the tensors that lie in them.
pub(super) struct Buffers {
    pub list: Vec<Buffer>,
    index: BTreeMap<TensorIx, BufferIx>,
}

impl Buffers {
    pub const fn new() -> Self {
        Self {
            list: Vec::new(),
            index: BTreeMap::new(),
        }
    }

    /// The buffer of a tensor; made if there is none. `None`: the chain needs nothing of the tensor.
    pub fn of(&mut self, graph: &Graph, spec: &ChainSpec<'_>, t: TensorIx) -> Option<BufferIx> {
        let r = spec.region(graph, t);
        if r.is_empty() {
            return None;
        }
        if let Some(b) = self.index.get(&t) {
            return Some(*b);
        }
        let buffer = BufferIx(self.list.len());
        self.index.insert(t, buffer);
        self.list.push(Buffer {
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
        Some(buffer)
    }

    /// Says that a tensor lies in a buffer that is another one's.
    pub fn share(&mut self, t: TensorIx, buffer: BufferIx) {
        self.index.insert(t, buffer);
    }

    /// The buffer in which a tensor lies, if it lies in one.
    pub fn find(&self, t: TensorIx) -> Option<BufferIx> {
        self.index.get(&t).copied()
    }

    /// Rows and columns of zeros that a convolution's windows (`[top, bottom, left, right]`) reach.
    pub fn pad(&mut self, buffer: BufferIx, [top, bottom, left, right]: [usize; 4]) {
        let b = &mut self.list[buffer];
        b.zero_row |= top + bottom > 0;
        b.pad_left = b.pad_left.max(left);
        b.pad_right = b.pad_right.max(right);
    }
}
