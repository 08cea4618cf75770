//! Buffers that live at the same time lie apart: every row that is read is still where it was written.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{BufferIx, Chain, Place, Step, View},
};

use crate::oracle::{self, Box2};

/// Runs a chain's firings with owners for values: whoever writes a row owns its place in the arena
/// until somebody else writes there, and every row that is read must still be there.
pub fn memory_is_kept(graph: &Graph, chain: &Chain, boxes: &BTreeMap<TensorIx, Box2>) {
    let mut memory = Memory::new(chain);
    let (loads, steps) = (chain.loads.len(), chain.steps.len());
    for f in chain.order.firings() {
        let rows = f.first..f.first + f.rows;
        if f.op < loads {
            let v = chain.loads[f.op]
                .as_ref()
                .expect("only what is there fires");
            let channels: Vec<usize> = (0..chain.buffers[v.buffer].c).collect();
            memory.write(v.buffer, rows, &channels);
        } else if f.op < loads + steps {
            let s = &chain.steps[f.op - loads];
            let read = reads(graph, chain, s, boxes, &rows);
            memory.owner[..s.scratch].fill(Memory::NOBODY);
            memory.kept(&read, &s.name);
            memory.write(s.out.buffer, rows, &written(graph, chain, s));
            memory.kept(&read, &s.name);
        } else {
            let v = chain.stores[f.op - loads - steps]
                .as_ref()
                .expect("only what is there fires");
            let read: Vec<(BufferIx, usize)> = rows.map(|y| (v.buffer, v.y + y)).collect();
            memory.kept(&read, "store");
        }
    }
    memory.handed();
}

/// Rows of buffers that rows `rows` of a step need, by the oracle.
fn reads(
    graph: &Graph,
    chain: &Chain,
    s: &Step,
    boxes: &BTreeMap<TensorIx, Box2>,
    rows: &Range<usize>,
) -> Vec<(BufferIx, usize)> {
    let (node, out) = (&graph.nodes[s.node], boxes[&TensorIx::node(s.node)]);
    let side = s.conv.as_ref().map_or(1, |k| k.side());
    let [first, end] = [rows.start, rows.end].map(|row| out.y.0 + (side * row) as i64);
    let part = Box2 {
        y: (first, end),
        ..out
    };
    let of = |(k, v): (usize, &View)| {
        let (t, buffer) = (node.inputs[k], v.buffer);
        let held = boxes[&chain.buffers[buffer].tensor].y.0;
        let h = graph.shape(t).h as i64;
        let all = part.pixels().flat_map(|p| oracle::reads(graph, node, k, p));
        let rows: BTreeSet<i64> = all.map(|p| p.0).filter(|y| (0..h).contains(y)).collect();
        rows.into_iter().map(move |y| (buffer, (y - held) as usize))
    };
    let inputs = s.inputs.iter().enumerate();
    inputs
        .filter(|(_, v)| v.buffer != s.out.buffer)
        .flat_map(of)
        .collect()
}

/// Channels of its buffer that a step writes: a concatenation none that lie there already.
fn written(graph: &Graph, chain: &Chain, s: &Step) -> Vec<usize> {
    let all = |o: &Step| o.channel..o.channel + graph.shape(TensorIx::node(o.node)).c;
    let joins = s.copied().count() < s.inputs.len();
    let parts = chain.steps.iter().filter(|o| o.node != s.node);
    let there: BTreeSet<usize> = parts
        .filter(|o| o.out.buffer == s.out.buffer && joins)
        .flat_map(all)
        .collect();
    all(s).filter(|c| !there.contains(c)).collect()
}

/// Who wrote what into an arena: buffer and row.
struct Memory<'a> {
    chain: &'a Chain,
    owner: Vec<(BufferIx, usize)>,
    /// Where every buffer begins: maps outside the arena have places of their own behind it.
    begins: Vec<usize>,
}

impl Memory<'_> {
    /// The row number of zero rows; they are written with the first rows.
    const ZERO: usize = usize::MAX;
    /// Owner of what holds nothing: at first, and where a step worked.
    const NOBODY: (BufferIx, usize) = (BufferIx(usize::MAX), 0);

    fn new(chain: &Chain) -> Memory<'_> {
        let mut end = chain.arena_floats;
        let mut begins = Vec::new();
        for b in &chain.buffers {
            begins.push(if b.place.is_arena() { b.offset } else { end });
            end += if b.place.is_arena() { 0 } else { b.floats };
        }
        let owner = vec![Memory::NOBODY; end];
        let mut memory = Memory {
            chain,
            owner,
            begins,
        };
        for (i, b) in chain.buffers.iter().enumerate() {
            if matches!(b.place, Place::Input(_)) {
                memory.write(BufferIx(i), 0..b.h, &(0..b.c).collect::<Vec<usize>>());
            }
        }
        memory
    }

    /// Every row of an output that is written where it is handed over has been.
    fn handed(&self) {
        for (i, b) in self.chain.buffers.iter().enumerate() {
            if matches!(b.place, Place::Output(_)) {
                let rows: Vec<(BufferIx, usize)> = (0..b.h).map(|y| (BufferIx(i), y)).collect();
                self.kept(&rows, "output");
            }
        }
    }

    fn place(&self, buffer: BufferIx, row: usize) -> Range<usize> {
        let b = &self.chain.buffers[buffer];
        let floats = (b.pad_left + b.w + b.pad_right) * b.c;
        if row == Self::ZERO {
            let begin = self.begins[buffer.0];
            return begin..begin + floats * usize::from(b.zero_row);
        }
        let at = self.begins[buffer.0] + (row % b.ring + usize::from(b.zero_row)) * floats;
        at..at + floats
    }

    fn write(&mut self, buffer: BufferIx, rows: Range<usize>, channels: &[usize]) {
        let b = &self.chain.buffers[buffer];
        let zero = (rows.start == 0).then_some(Self::ZERO);
        for row in rows.chain(zero) {
            let place = self.place(buffer, row);
            for (x, pixel) in self.owner[place].chunks_mut(b.c).enumerate() {
                let inside = (b.pad_left..b.pad_left + b.w).contains(&x) && row != Self::ZERO;
                if inside {
                    channels.iter().for_each(|c| pixel[*c] = (buffer, row));
                } else {
                    pixel.fill((buffer, row));
                }
            }
        }
    }

    fn kept(&self, read: &[(BufferIx, usize)], what: &str) {
        for &(b, row) in read {
            for row in [row, Self::ZERO] {
                let place = &self.owner[self.place(b, row)];
                assert!(
                    place.iter().all(|o| *o == (b, row)),
                    "{what}: row {row} of buffer {} was overwritten",
                    b.0
                );
            }
        }
    }
}
