//! Memory of the nodes in exact bytes: what a plan makes them set aside.
//!
//! Objects lie in slots. As a node works, every slot is used at one time or another, so slots count
//! in full. A process also holds its own code, tables, stacks and socket buffers; those no plan
//! decides.

use std::collections::BTreeMap;

use crate::cost::Job;
use tessera_plan::limits::{GATEWAY_FRAMES, KEPT_FRAMES, SOURCE_FRAMES};
use tessera_plan::plan::{Dataflow, Section, TargetPlan};

const F32: u64 = 4;
/// Slots begin on lines, those of a page or more on pages.
const LINE: u64 = 64;
const PAGE: u64 = 4096;

/// Memory by role and kind, under the keys of [`tessera_plan::plan::Estimates::memory`].
///
/// - `edge.arena`: one arena per worker, large enough for every chain.
/// - `edge.weights`: the stages' sections, mapped read-only, one copy for all workers.
/// - `edge.objects`: copies of the inputs and outputs of the tasks at hand (one more than there are
///   workers), and outputs kept for others.
/// - `source.objects`: on an edge that is a source also its frames in flight with all their outputs.
/// - `gateway.arena`, `gateway.weights`: the tail's; `gateway.merged`: its inputs.
pub fn memory(d: &Dataflow, t: &TargetPlan, jobs: &[Job], workers: usize) -> BTreeMap<String, u64> {
    let arena = t.stages.iter().flatten().map(|c| c.arena_floats).max();
    let (tail, edge): (Vec<_>, Vec<_>) = t.sections.iter().partition(|s| s.name == "tail");
    let floats =
        |list: &[&Section]| -> u64 { F32 * list.iter().map(|s| s.floats as u64).sum::<u64>() };
    let tensor = |id| d.tensors.iter().find(|x| x.id == id);
    let merged: u64 = d
        .tail
        .inputs
        .iter()
        .filter_map(|t| tensor(*t))
        .map(|t| F32 * t.shape.len() as u64)
        .sum();
    let frame = F32 * d.input.len() as u64;
    [
        (
            "edge.arena",
            F32 * arena.unwrap_or(0) as u64 * workers as u64,
        ),
        ("edge.weights", floats(&edge)),
        ("edge.objects", objects(jobs, frame, 0, workers)),
        (
            "source.objects",
            objects(jobs, frame, SOURCE_FRAMES, workers),
        ),
        ("gateway.arena", F32 * t.tail.arena_floats as u64),
        ("gateway.weights", floats(&tail)),
        ("gateway.merged", GATEWAY_FRAMES as u64 * merged),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_string(), v))
    .collect()
}

/// Bytes of an edge's slots with `own` frames of its own in flight.
pub fn objects(jobs: &[Job], frame: u64, own: usize, workers: usize) -> u64 {
    // Slots by size.
    let mut slots: BTreeMap<u64, usize> = BTreeMap::new();
    *slots.entry(frame).or_insert(0) += own;
    // Of every size as many as one task needs at most.
    let mut most: BTreeMap<u64, usize> = BTreeMap::new();
    for job in jobs {
        let outputs = || job.outputs.iter().copied();
        for bytes in outputs() {
            *slots.entry(bytes).or_insert(0) += own + KEPT_FRAMES;
        }
        let mut of_job: BTreeMap<u64, usize> = BTreeMap::new();
        for bytes in job.needs.iter().map(|n| n.bytes).chain(outputs()) {
            *of_job.entry(bytes).or_insert(0) += 1;
        }
        for (bytes, n) in of_job {
            let most = most.entry(bytes).or_insert(0);
            *most = (*most).max(n);
        }
    }
    for (bytes, n) in most {
        *slots.entry(bytes).or_insert(0) += n * (workers + 1);
    }
    let mut end: u64 = 0;
    for (bytes, n) in slots.into_iter().filter(|s| s.1 > 0) {
        let align = if bytes >= PAGE { PAGE } else { LINE };
        let stride = bytes.next_multiple_of(align).max(LINE);
        end = end.next_multiple_of(align) + n as u64 * stride;
    }
    end
}

/// What an edge that is also a source needs: the most of all edges. `--memory` limits this.
pub fn source_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(memory, &["edge.arena", "edge.weights", "source.objects"])
}

/// What an edge that holds no pictures needs.
pub fn edge_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(memory, &["edge.arena", "edge.weights", "edge.objects"])
}

/// What the gateway needs.
pub fn gateway_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    sum(
        memory,
        &["gateway.arena", "gateway.weights", "gateway.merged"],
    )
}

fn sum(memory: &BTreeMap<String, u64>, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|k| memory.get(*k)).sum()
}
