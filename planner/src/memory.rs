//! Memory that a plan makes each node set aside, in exact bytes.
//!
//! Objects lie in slots. A node uses every slot at one time or another, so slots count in full. A process
//! also holds its own code, tables, stacks and socket buffers, which do not depend on the plan.

use std::collections::BTreeMap;

use tessera_plan::{
    dataflow::{TaskGraph, edge_slots, gateway_slots, slots_bytes},
    limits::{GATEWAY_FRAMES, KEPT_FRAMES, SOURCE_FRAMES},
    plan::{Section, TargetPlan},
};

/// Bytes of a value in arenas and packed weights.
pub const VALUE_BYTES: u64 = size_of::<f32>() as u64;

/// Bytes of memory by role and kind, under the keys of [`tessera_plan::plan::Estimates::memory`].
///
/// - `edge.arena`: one arena per worker, large enough for every chain.
/// - `edge.weights`: the stages' sections, mapped read-only, one copy for all workers.
/// - `edge.objects`: copies of the inputs and outputs of the tasks at hand (one more than there are
///   workers), and outputs kept for other nodes.
/// - `source.objects`: on an edge that is a source, additionally its frames in flight with all their outputs.
/// - `gateway.arena`, `gateway.weights`: the tail's arena and weights; `gateway.merged`: the tail's inputs.
pub fn memory(graph: &TaskGraph, t: &TargetPlan, workers: usize) -> BTreeMap<String, u64> {
    let arena = t.stages.iter().flatten().map(|c| c.arena_floats).max();
    let (tail, edge): (Vec<_>, Vec<_>) = t.sections.iter().partition(|s| s.name == "tail");
    let packed = |list: &[&Section]| -> u64 {
        VALUE_BYTES * list.iter().map(|s| s.floats as u64).sum::<u64>()
    };
    let arenas = VALUE_BYTES * arena.unwrap_or(0) as u64 * workers as u64;
    // Each merged tensor has memory of its own.
    let merged = gateway_slots(graph, GATEWAY_FRAMES).into_iter();
    let merged = merged.map(|s| (s.bytes * s.count) as u64).sum();
    [
        ("edge.arena", arenas),
        ("edge.weights", packed(&edge)),
        ("edge.objects", objects(graph, 0, workers)),
        ("source.objects", objects(graph, SOURCE_FRAMES, workers)),
        ("gateway.arena", VALUE_BYTES * t.tail.arena_floats as u64),
        ("gateway.weights", packed(&tail)),
        ("gateway.merged", merged),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_string(), v))
    .collect()
}

/// Bytes of an edge's slots with `own_frames` frames of the edge's own in flight. The slots suffice for one
/// task more than there are workers.
pub fn objects(graph: &TaskGraph, own_frames: usize, workers: usize) -> u64 {
    slots_bytes(&edge_slots(graph, own_frames, workers + 1, KEPT_FRAMES))
}

/// Needed bytes and limit of the edge with the least memory to spare; without limits, of the edge that needs
/// most. `edges` holds the needed bytes and the limit of each edge.
pub fn tightest(edges: impl Iterator<Item = (u64, Option<u64>)>) -> (u64, u64) {
    edges
        .map(|(needed, limit)| (needed, limit.unwrap_or(u64::MAX)))
        .min_by_key(|(needed, limit)| i128::from(*limit) - i128::from(*needed))
        .unwrap_or((0, u64::MAX))
}

/// Bytes that an edge needs when the edge is also a source: the most of all edges. `--memory` limits this
/// number.
pub fn source_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(memory, &["edge.arena", "edge.weights", "source.objects"])
}

/// Bytes that an edge needs when the edge is no source of frames.
pub fn edge_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(memory, &["edge.arena", "edge.weights", "edge.objects"])
}

/// Bytes that the gateway needs: arena, weights and merged inputs of the tail.
pub fn gateway_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(
        memory,
        &["gateway.arena", "gateway.weights", "gateway.merged"],
    )
}

fn sum(memory: &BTreeMap<String, u64>, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|k| memory.get(*k)).sum()
}
