//! Memory that each node needs at most.
//!
//! What a plan makes nodes set aside is counted to the byte. Objects lie in slots. A node may use every slot at one time
//! or another, so slots count in full. A process also holds its own code, tables, stacks and buffers, which do not
//! depend on the plan: upper bounds of what was measured.

use std::collections::BTreeMap;

use tessera_plan::{
    dataflow::{TaskGraph, edge_slots, gateway_slots, slots_bytes},
    kernel::{PAGE_FLOATS, block_floats},
    limits::{GATEWAY_FRAMES, KEPT_FRAMES},
    plan::{Chain, Section, Step, TargetPlan},
    region::Span,
};

/// Bytes of a value in arenas and packed weights.
pub const VALUE_BYTES: u64 = size_of::<f32>() as u64;

/// Bytes of code, tables, stacks and buffers of an edge's network process.
const NETWORK_PROCESS_BYTES: u64 = 3 << 20;
/// The same of a worker, which shares its code with the network process.
const WORKER_PROCESS_BYTES: u64 = 3 << 19;
/// The same of a gateway.
const GATEWAY_PROCESS_BYTES: u64 = 4 << 20;
/// Bytes of a decoded picture of up to a megapixel, and of its file.
const PICTURE_BYTES: u64 = 4 << 20;

/// Bytes of memory by role and kind, under the keys of [`tessera_plan::plan::Estimates::memory`]; a source has `frames`
/// frames in flight.
///
/// - `edge.arena`: one arena per worker, large enough for every chain.
/// - `edge.weights`: the stages' sections, mapped read-only, one copy for all workers; of a stage that is cut by
///   channels, the parts that the board with most of them reads as a home. A board that takes other boards' tasks, or
///   tasks of several sources, reads more of the file; the system may drop such pages again.
/// - `edge.objects`: copies of the inputs and outputs of the tasks at hand (one more than there are
///   workers), and outputs kept for other nodes.
/// - `edge.shared`: what a board keeps of boxes that several of its tasks read, of as many frames as it keeps outputs of.
/// - `edge.processes`: code, tables, stacks and buffers of the network process and the workers.
/// - `source.objects`: on an edge that is a source, additionally its frames in flight with all their outputs.
/// - `source.picture`: the picture that a source reads.
/// - `gateway.arena`, `gateway.weights`: the tail's arena and weights; `gateway.merged`: the tail's inputs;
///   `gateway.process`: code, tables, stacks and buffers.
pub fn memory(
    graph: &TaskGraph,
    t: &TargetPlan,
    workers: usize,
    frames: usize,
) -> BTreeMap<String, u64> {
    let arena = t.stages.iter().flatten().map(|c| c.arena_floats).max();
    let tail: Vec<&Section> = t.sections.iter().filter(|s| s.name == "tail").collect();
    let packed = |list: &[&Section]| -> u64 {
        VALUE_BYTES * list.iter().map(|s| s.floats as u64).sum::<u64>()
    };
    let arenas = VALUE_BYTES * arena.unwrap_or(0) as u64 * workers as u64;
    [
        ("edge.arena", arenas),
        ("edge.weights", edge_weights(graph, t)),
        ("edge.objects", objects(graph, 0, workers)),
        ("edge.shared", shared(graph)),
        ("edge.processes", edge_processes(workers)),
        ("source.objects", objects(graph, frames, workers)),
        ("source.picture", PICTURE_BYTES),
        ("gateway.arena", VALUE_BYTES * t.tail.arena_floats as u64),
        ("gateway.weights", packed(&tail)),
        ("gateway.merged", merged(graph)),
        ("gateway.process", GATEWAY_PROCESS_BYTES),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_string(), v))
    .collect()
}

/// Bytes of boxes that a board keeps for others of its tasks.
pub fn shared(graph: &TaskGraph) -> u64 {
    (KEPT_FRAMES * graph.shared_bytes()) as u64
}

/// Bytes of the stages' weights that a board reads at most.
fn edge_weights(graph: &TaskGraph, t: &TargetPlan) -> u64 {
    let mut whole = 0;
    let mut of_homes: BTreeMap<u16, u64> = BTreeMap::new();
    for (number, (chains, section)) in t.stages.iter().zip(&t.sections).enumerate() {
        if !chains
            .iter()
            .flat_map(|c| &c.steps)
            .any(|s| s.filters.is_some())
        {
            whole += section.floats as u64;
            continue;
        }
        // Every tile of such a stage has a chain of its own.
        let tasks = graph
            .tasks
            .iter()
            .filter(|t| usize::from(t.stage) == number);
        let mut of_stage: BTreeMap<u16, u64> = BTreeMap::new();
        for (task, chain) in tasks.zip(chains) {
            *of_stage.entry(task.home).or_insert(0) += part_floats(chain);
        }
        for (home, floats) in of_stage {
            *of_homes.entry(home).or_insert(0) += floats.min(section.floats as u64);
        }
    }
    VALUE_BYTES * (whole + of_homes.into_values().max().unwrap_or(0))
}

/// Values of the packed blocks that a chain reads, and of the pages around them.
pub fn part_floats(chain: &Chain) -> u64 {
    let read = |s: &Step| {
        let k = s.conv.as_ref()?;
        let block = block_floats(k.nr, k.size * k.size * k.cin, s.weights);
        let filters = s.filters.map_or(k.y_stride, Span::len);
        Some((filters.div_ceil(k.nr) * block + 2 * PAGE_FLOATS) as u64)
    };
    chain.steps.iter().filter_map(read).sum()
}

/// Bytes of an edge's processes that do not depend on the plan.
pub const fn edge_processes(workers: usize) -> u64 {
    NETWORK_PROCESS_BYTES + workers as u64 * WORKER_PROCESS_BYTES
}

/// The same of a source, with a picture.
pub const fn source_processes(workers: usize) -> u64 {
    edge_processes(workers) + PICTURE_BYTES
}

/// The same, with the edge of `gateway_workers` workers on the gateway's board, if there are any: `gateway.edge.arena`,
/// `gateway.edge.weights`, `gateway.edge.objects`, `gateway.edge.shared`,
/// `gateway.edge.processes`.
pub fn with_gateway(
    graph: &TaskGraph,
    t: &TargetPlan,
    workers: usize,
    gateway_workers: usize,
    frames: usize,
) -> BTreeMap<String, u64> {
    let mut all = memory(graph, t, workers, frames);
    if gateway_workers > 0 {
        let on_gateway = memory(graph, t, gateway_workers, frames).into_iter();
        let on_gateway = on_gateway.filter(|(k, _)| k.starts_with("edge."));
        all.extend(on_gateway.map(|(k, v)| (format!("gateway.{k}"), v)));
    }
    all
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
    let parts = [
        "edge.arena",
        "edge.weights",
        "edge.shared",
        "edge.processes",
        "source.objects",
        "source.picture",
    ];
    sum(memory, &parts)
}

/// Bytes that an edge needs when the edge is no source of frames.
pub fn edge_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    let parts = [
        "edge.arena",
        "edge.weights",
        "edge.shared",
        "edge.processes",
        "edge.objects",
    ];
    sum(memory, &parts)
}

/// Bytes that the edge on the gateway's board needs; 0 without one.
pub fn gateway_edge_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    let keys = [
        "gateway.edge.arena",
        "gateway.edge.weights",
        "gateway.edge.objects",
        "gateway.edge.shared",
        "gateway.edge.processes",
    ];
    sum(memory, &keys)
}

/// Bytes that the gateway needs for tasks of `graph`, with a tail whose arena and weights have `tail` bytes.
pub fn gateway_least(graph: &TaskGraph, tail: u64) -> u64 {
    tail + merged(graph) + GATEWAY_PROCESS_BYTES
}

/// Bytes of the tail's inputs. Each merged tensor has memory of its own.
fn merged(graph: &TaskGraph) -> u64 {
    let slots = gateway_slots(graph, GATEWAY_FRAMES).into_iter();
    slots.map(|s| (s.bytes * s.count) as u64).sum()
}

/// Bytes that the gateway needs: its process, and arena, weights and merged inputs of the tail.
pub fn gateway_bytes(memory: &BTreeMap<String, u64>) -> u64 {
    let parts = [
        "gateway.arena",
        "gateway.weights",
        "gateway.merged",
        "gateway.process",
    ];
    sum(memory, &parts)
}

fn sum(memory: &BTreeMap<String, u64>, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|k| memory.get(*k)).sum()
}
