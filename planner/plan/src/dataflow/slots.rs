//! How many slots of which size objects take: for nodes that set them aside, and for planners that count
//! memory.

use std::collections::BTreeMap;

use super::{ObjectKey, TaskGraph, TaskId};

/// Slots of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotCount {
    /// Bytes of each slot.
    pub bytes: usize,
    /// Number of slots.
    pub count: usize,
}

/// A slot of this size or larger begins on a page.
pub const PAGE_BYTES: usize = 4096;
/// Every slot begins on a cache line.
pub const LINE_BYTES: usize = 64;

impl SlotCount {
    /// The alignment of a slot's first byte.
    pub const fn align_bytes(&self) -> usize {
        if self.bytes >= PAGE_BYTES {
            PAGE_BYTES
        } else {
            LINE_BYTES
        }
    }

    /// Bytes from one slot's beginning to the next one's. At least a line, so that empty slots have their own
    /// places too. `usize::MAX` on overflow.
    pub fn stride_bytes(&self) -> usize {
        let aligned = self.bytes.checked_next_multiple_of(self.align_bytes());
        aligned.unwrap_or(usize::MAX).max(LINE_BYTES)
    }
}

/// The slots with which an edge never waits for itself. They hold `own_frames` frames with all outputs of their
/// tasks, copies of the inputs and outputs of `jobs` running tasks, and the outputs of stolen tasks, worth
/// `kept_frames` frames.
pub fn edge_slots(
    graph: &TaskGraph,
    own_frames: usize,
    jobs: usize,
    kept_frames: usize,
) -> Vec<SlotCount> {
    let mut slots = BTreeMap::new();
    if let Some(frame) = graph.tensors.first() {
        *slots.entry(frame.bytes(frame.region)).or_insert(0) += own_frames;
    }
    for port in graph.tasks.iter().flat_map(|t| &t.outputs) {
        *slots.entry(graph.port_bytes(port)).or_insert(0) += own_frames + kept_frames;
    }
    // A job writes its own outputs even when the object arrives from elsewhere first.
    let copies = most_of_one_task(graph, |_| true, true);
    for (bytes, n) in copies {
        *slots.entry(bytes).or_insert(0) += n * jobs;
    }
    list(slots)
}

/// The slots that an edge's own frames need, without the frames themselves: all outputs of their tasks, and
/// copies of inputs for `jobs` running tasks.
pub fn own_slots(graph: &TaskGraph, own_frames: usize, jobs: usize) -> Vec<SlotCount> {
    let mut slots = BTreeMap::new();
    for port in graph.tasks.iter().flat_map(|t| &t.outputs) {
        *slots.entry(graph.port_bytes(port)).or_insert(0) += own_frames;
    }
    // With work sharing, a source too fetches the frame's boxes from the gateway.
    let fetched = |key| key != ObjectKey::Frame || graph.is_shared();
    let copies = most_of_one_task(graph, fetched, false);
    for (bytes, n) in copies {
        *slots.entry(bytes).or_insert(0) += n * jobs;
    }
    slots
        .into_iter()
        .map(|(bytes, count)| SlotCount { bytes, count })
        .collect()
}

/// The slots in which a gateway merges the tail's inputs, whole maps, of `frames` frames, and keeps the boxes that it
/// passes on.
pub fn gateway_slots(graph: &TaskGraph, frames: usize) -> Vec<SlotCount> {
    let mut slots = BTreeMap::new();
    for &t in &graph.tail_inputs {
        let tensor = &graph.tensors[t as usize];
        *slots.entry(tensor.bytes(tensor.region)).or_insert(0) += frames;
    }
    for relay in &graph.relayed {
        *slots.entry(graph.need_bytes(relay)).or_insert(0) += frames;
    }
    list(slots)
}

/// Bytes that slots take side by side, in ascending order of size, with their alignment.
pub fn slots_bytes(slots: &[SlotCount]) -> u64 {
    let mut end: u64 = 0;
    for s in slots.iter().filter(|s| s.count > 0) {
        end =
            end.next_multiple_of(s.align_bytes() as u64) + s.count as u64 * s.stride_bytes() as u64;
    }
    end
}

/// Per size, the most copies that any one task needs: of the objects that it reads and `counts` accepts,
/// and, with `outputs`, of what it makes.
fn most_of_one_task(
    graph: &TaskGraph,
    counts: impl Fn(ObjectKey) -> bool,
    outputs: bool,
) -> BTreeMap<usize, usize> {
    let mut most = BTreeMap::new();
    for (t, id) in graph.tasks.iter().zip(0..) {
        let mut of_task: BTreeMap<usize, usize> = BTreeMap::new();
        for need in t.needs.iter().filter(|n| counts(n.key)) {
            *of_task.entry(graph.need_bytes(need)).or_insert(0) += 1;
        }
        for (_, port) in graph.made(TaskId(id)).filter(|_| outputs) {
            *of_task.entry(graph.port_bytes(&port)).or_insert(0) += 1;
        }
        for (bytes, n) in of_task {
            let known = most.entry(bytes).or_insert(0);
            *known = n.max(*known);
        }
    }
    most
}

fn list(slots: BTreeMap<usize, usize>) -> Vec<SlotCount> {
    let used = slots.into_iter().filter(|s| s.1 > 0);
    used.map(|(bytes, count)| SlotCount { bytes, count })
        .collect()
}
