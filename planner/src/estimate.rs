//! What a plan is expected to cost: bytes exactly, seconds roughly.

use std::collections::BTreeMap;

use crate::{
    cost::{self, Cluster, Job, Outcome},
    ftp::cuts::per_pixel,
    memory,
    options::PlanOptions,
};
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Dataflow, Estimates, Plan, Stage},
    region::Region,
};

const F32: u64 = 4;

/// Bytes of regions, float32.
pub fn bytes(regions: &[Region]) -> u64 {
    F32 * regions.iter().map(|r| r.len() as u64).sum::<u64>()
}

/// Bytes that all tiles of a stage read together.
pub fn input_bytes(stage: &Stage) -> u64 {
    stage.tiles.iter().map(|t| bytes(&t.inputs)).sum()
}

/// Multiply-adds of layers `first..end`, untiled.
pub fn untiled_macs(graph: &Graph, first: usize, end: usize) -> u64 {
    (0..graph.nodes.len())
        .filter(|n| (first..end).contains(&graph.nodes[*n].layer))
        .map(|n| per_pixel(graph, n) * (graph.nodes[n].shape.h * graph.nodes[n].shape.w) as u64)
        .sum()
}

/// Multiply-adds of all tiles relative to layers `0..offload` untiled.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
pub fn redundancy(graph: &Graph, stages: &[Stage], offload: usize) -> f64 {
    let tiled: u64 = stages.iter().flat_map(|s| &s.tiles).map(|t| t.macs).sum();
    let untiled = untiled_macs(graph, 0, offload);
    if untiled == 0 {
        1.0
    } else {
        tiled as f64 / untiled as f64
    }
}

/// Expected seconds of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seconds {
    /// The schedule of the stages.
    pub outcome: Outcome,
    /// From the last result's arrival to the network's outputs.
    pub tail: f64,
}

impl Seconds {
    /// From the frame's arrival at its source to the network's outputs.
    pub fn frame(&self) -> f64 {
        self.outcome.seconds + self.tail
    }
}

/// Expected seconds of `jobs`, and of the tail behind them that reads `results`.
pub fn seconds(
    graph: &Graph,
    jobs: &[Job],
    offload: usize,
    results: &[TensorIx],
    cluster: Cluster,
) -> Seconds {
    let outcome = cost::schedule(jobs, cluster);
    let macs = untiled_macs(graph, offload, graph.layers.len());
    let frame = if results.contains(&TensorIx::INPUT) {
        F32 * graph.input.len() as u64
    } else {
        0
    };
    Seconds {
        outcome,
        tail: cost::link_s(frame) + cost::compute_s(macs, cost::GATEWAY_CORES),
    }
}

/// Estimates for the first target of the plan.
pub fn estimate(graph: &Graph, plan: &Plan, o: &PlanOptions) -> Estimates {
    let d = &plan.dataflow;
    let cluster = Cluster::of(o);
    let jobs = cost::jobs(&d.stages, &d.tail.inputs);
    let s = seconds(graph, &jobs, d.tail.first_layer, &d.tail.inputs, cluster);
    let rounded = [
        ("stages", s.outcome.seconds),
        ("tail", s.tail),
        ("frame", s.frame()),
        ("cores_busy", s.outcome.busy_s),
        ("channel_busy", s.outcome.channel_s),
    ];
    Estimates {
        edges: o.edges,
        workers: o.workers,
        redundancy: redundancy(graph, &d.stages, d.tail.first_layer),
        traffic: traffic(graph, d, &s.outcome),
        memory: plan
            .target
            .values()
            .next()
            .map(|t| memory::memory(d, t, &jobs, o.workers))
            .unwrap_or_default(),
        seconds: rounded
            .into_iter()
            .map(|(k, v)| (k.to_string(), round(v)))
            .collect(),
        why: Vec::new(),
    }
}

/// Bytes per frame, under the keys of [`Estimates::traffic`].
fn traffic(graph: &Graph, d: &Dataflow, expected: &Outcome) -> BTreeMap<String, u64> {
    let tensor_bytes = |t: TensorIx| F32 * graph.shape(t).len() as u64;
    let results: u64 = d.tail.inputs.iter().map(|t| tensor_bytes(*t)).sum();
    let mut map: BTreeMap<String, u64> = d
        .stages
        .iter()
        .enumerate()
        .map(|(i, s)| (format!("stage{i}.inputs"), input_bytes(s)))
        .collect();
    let first = d.stages.first().map_or(0, input_bytes);
    let mut put = |k: &str, v: u64| map.insert(k.to_string(), v);
    put("results", results);
    put(
        "work_sharing",
        tensor_bytes(TensorIx::INPUT) + first + results,
    );
    put("expected.frame", expected.frame_bytes);
    put("expected.halos", expected.halo_bytes);
    put("expected.results", results);
    put(
        "expected.total",
        expected.frame_bytes + expected.halo_bytes + results,
    );
    map
}

/// Three digits: estimates do not pretend to more, and plans stay readable.
fn round(s: f64) -> f64 {
    (s * 1000.0).round() / 1000.0
}
