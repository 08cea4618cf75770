//! What a plan is expected to cost: bytes exactly, seconds roughly.

use std::collections::BTreeMap;

use crate::{
    cost::{self, Work},
    ftp::cuts::per_pixel,
    graph::{Graph, TensorIx},
    options::PlanOptions,
    plan::{Estimates, Plan, Stage},
};

const F32: u64 = 4;

/// Tasks of a stage, as the schedule sees them.
pub fn works(stage: &Stage) -> Vec<Work> {
    let bytes = |r: &[crate::region::Region]| F32 * r.iter().map(|r| r.len() as u64).sum::<u64>();
    stage
        .tiles
        .iter()
        .map(|t| Work {
            macs: t.macs,
            input_bytes: bytes(&t.inputs),
            output_bytes: bytes(&t.outputs),
        })
        .collect()
}

/// Multiply-adds of layers `first..end`, untiled.
pub fn untiled_macs(graph: &Graph, first: usize, end: usize) -> u64 {
    (0..graph.nodes.len())
        .filter(|n| (first..end).contains(&graph.nodes[*n].layer))
        .map(|n| per_pixel(graph, n) * (graph.nodes[n].shape.h * graph.nodes[n].shape.w) as u64)
        .sum()
}

/// Estimates for the first target of the plan.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
pub fn estimate(graph: &Graph, plan: &Plan, o: &PlanOptions) -> Estimates {
    let d = &plan.dataflow;
    let tiled: u64 = d.stages.iter().flat_map(|s| &s.tiles).map(|t| t.macs).sum();
    let untiled = untiled_macs(graph, 0, d.tail.first_layer);
    let mut e = Estimates {
        edges: o.edges,
        redundancy: if untiled == 0 {
            1.0
        } else {
            tiled as f64 / untiled as f64
        },
        ..Estimates::default()
    };
    let tensor_bytes = |t: TensorIx| F32 * graph.shape(t).len() as u64;
    let frame = tensor_bytes(TensorIx::INPUT);
    let results: u64 = d.tail.inputs.iter().map(|t| tensor_bytes(*t)).sum();
    let put = |map: &mut BTreeMap<String, u64>, k: &str, v: u64| {
        map.insert(k.to_string(), v);
    };
    for (i, s) in d.stages.iter().enumerate() {
        let inputs: u64 = works(s).iter().map(|w| w.input_bytes).sum();
        put(&mut e.traffic, &format!("stage{i}.inputs"), inputs);
    }
    put(&mut e.traffic, "results", results);
    let first = d
        .stages
        .first()
        .map_or(0, |s| works(s).iter().map(|w| w.input_bytes).sum());
    put(&mut e.traffic, "work_sharing", frame + first + results);

    if let Some(t) = plan.target.values().next() {
        let chains = t.stages.iter().flatten();
        let arena = F32
            * chains
                .clone()
                .map(|c| c.arena_floats as u64)
                .max()
                .unwrap_or(0);
        let (tail, edge): (Vec<_>, Vec<_>) = t.sections.iter().partition(|s| s.name == "tail");
        let floats =
            |s: &[&crate::plan::Section]| F32 * s.iter().map(|s| s.floats as u64).sum::<u64>();
        let objects = d
            .stages
            .iter()
            .flat_map(works)
            .map(|w| w.input_bytes + w.output_bytes)
            .max()
            .unwrap_or(0);
        put(&mut e.memory, "edge.arena_per_worker", arena);
        put(&mut e.memory, "edge.weights", floats(&edge));
        put(
            &mut e.memory,
            "edge.objects",
            objects * (o.workers as u64 + 1),
        );
        put(&mut e.memory, "source.frame", frame);
        put(
            &mut e.memory,
            "gateway.arena",
            F32 * t.tail.arena_floats as u64,
        );
        put(&mut e.memory, "gateway.weights", floats(&tail));
        put(&mut e.memory, "gateway.merged", results);
    }
    let mut stages_s = 0.0;
    for s in &d.stages {
        stages_s += cost::stage_s(&works(s), o.edges, o.workers);
    }
    let tail_macs = untiled_macs(graph, d.tail.first_layer, d.tail.end_layer);
    let tail_s = cost::compute_s(tail_macs, cost::GATEWAY_CORES)
        + if d.stages.is_empty() {
            cost::link_s(frame)
        } else {
            0.0
        };
    e.seconds.insert("stages".into(), round(stages_s));
    e.seconds.insert("tail".into(), round(tail_s));
    e.seconds.insert("frame".into(), round(stages_s + tail_s));
    e
}

/// Bytes that an edge needs: a worker's arena each, weights, objects, and the frame at a source.
pub fn edge_bytes(e: &Estimates, workers: usize) -> u64 {
    let get = |k: &str| e.memory.get(k).copied().unwrap_or(0);
    get("edge.arena_per_worker") * workers as u64
        + get("edge.weights")
        + get("edge.objects")
        + get("source.frame")
}

/// Three digits: estimates do not pretend to more, and plans stay readable.
fn round(s: f64) -> f64 {
    (s * 1000.0).round() / 1000.0
}
