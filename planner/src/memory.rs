//! Memory of the nodes in exact bytes: what a plan makes them set aside.
//!
//! A process also holds its own code, stacks and socket buffers; those no plan decides.

use std::collections::BTreeMap;

use crate::{
    plan::{Dataflow, TargetPlan},
    region::Region,
};

const F32: u64 = 4;

/// Frames that a source lets into the cluster before one of them ends.
pub const FRAMES_IN_FLIGHT: u64 = 2;
/// Frames of all sources together whose results the gateway holds.
pub const GATEWAY_FRAMES: u64 = 8;

/// Memory by role and kind, under the keys of [`crate::plan::Estimates::memory`].
///
/// - `edge.arena`: one arena per worker, large enough for every chain.
/// - `edge.weights`: the stages' sections, mapped read-only, one copy for all workers.
/// - `edge.jobs`: inputs and outputs of the tasks at hand, one more than there are workers.
/// - `edge.kept`: outputs of tasks computed for others, one frame's worth.
/// - `source.frames`: frames in flight with all that their tasks make.
/// - `gateway.arena`, `gateway.weights`: the tail's; `gateway.merged`: its inputs.
pub fn memory(d: &Dataflow, t: &TargetPlan, workers: usize) -> BTreeMap<String, u64> {
    let bytes = |list: &[Region]| F32 * list.iter().map(|r| r.len() as u64).sum::<u64>();
    let tiles = || d.stages.iter().flat_map(|s| &s.tiles);
    let arena = t.stages.iter().flatten().map(|c| c.arena_floats).max();
    let (tail, edge): (Vec<_>, Vec<_>) = t.sections.iter().partition(|s| s.name == "tail");
    let floats = |list: &[&crate::plan::Section]| -> u64 {
        F32 * list.iter().map(|s| s.floats as u64).sum::<u64>()
    };
    let job = tiles()
        .map(|t| bytes(&t.inputs) + bytes(&t.outputs))
        .max()
        .unwrap_or(0);
    let made: u64 = tiles().map(|t| bytes(&t.outputs)).sum();
    let tensor = |id| d.tensors.iter().find(|x| x.id == id);
    let merged: u64 = d
        .tail
        .inputs
        .iter()
        .filter_map(|t| tensor(*t))
        .map(|t| F32 * t.shape.len() as u64)
        .sum();
    let workers = workers as u64;
    let frame = F32 * d.input.len() as u64;
    [
        ("edge.arena", F32 * arena.unwrap_or(0) as u64 * workers),
        ("edge.weights", floats(&edge)),
        ("edge.jobs", job * (workers + 1)),
        ("edge.kept", made),
        ("source.frames", FRAMES_IN_FLIGHT * (frame + made)),
        ("gateway.arena", F32 * t.tail.arena_floats as u64),
        ("gateway.weights", floats(&tail)),
        ("gateway.merged", GATEWAY_FRAMES * merged),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_string(), v))
    .collect()
}

/// What an edge that is also a source needs: the most of all edges. `--memory` limits this.
pub fn source_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    edge_bytes(memory) + memory.get("source.frames").copied().unwrap_or(0)
}

/// What an edge that holds no pictures needs.
pub fn edge_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(memory, "edge.")
}

/// What the gateway needs.
pub fn gateway_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(memory, "gateway.")
}

fn sum(memory: &BTreeMap<String, u64>, role: &str) -> u64 {
    let mine = memory.iter().filter(|(k, _)| k.starts_with(role));
    mine.map(|(_, v)| v).sum()
}
