//! What the planner promises is what the runtime can do, and takes: bounds and memory.

use std::path::Path;

use anyhow::{Context, Result};
use tessera_planner::{
    graph::Darknet,
    make, memory,
    options::PlanOptions,
    plan::{Plan, Tile},
};
use tessera_runtime::{
    program::Port,
    proto::{EdgeConfig, Epoch, GatewayConfig, NodeId, ProgramInfo, TaskInfo},
    region::Region,
    shm::Layout,
};
use tessera_tests::model;

/// Frames' worth of outputs that an edge keeps, as `node::edge` asks for them.
const KEPT: usize = 2;

/// A plan as the emitted crate hands it to the runtime.
fn info(plan: &Plan) -> Result<ProgramInfo> {
    let d = &plan.dataflow;
    let region = |r: &tessera_planner::region::Region| -> Result<Region> {
        let span = |s: tessera_planner::region::Span| -> Result<[u32; 2]> {
            Ok([u32::try_from(s.lo)?, u32::try_from(s.hi)?])
        };
        Ok(Region {
            y: span(r.y)?,
            x: span(r.x)?,
            c: span(r.c)?,
        })
    };
    let number = |id| -> Result<u16> {
        let at = d.tensors.iter().position(|t| t.id == id);
        Ok(u16::try_from(at.context("a tensor that is not listed")?)?)
    };
    let tensors = d
        .tensors
        .iter()
        .map(|t| region(&tessera_planner::region::Region::whole(t.shape)))
        .collect::<Result<_>>()?;
    let mut tasks = Vec::new();
    for (stage, s) in d.stages.iter().enumerate() {
        let ports = |ids: &[_], regions: &[_]| -> Result<Vec<Port>> {
            let port = |(id, r): (&_, &_)| -> Result<Port> {
                Ok(Port {
                    tensor: number(*id)?,
                    region: region(r)?,
                })
            };
            ids.iter().zip(regions).map(port).collect()
        };
        for Tile {
            inputs, outputs, ..
        } in &s.tiles
        {
            tasks.push(TaskInfo {
                stage: u16::try_from(stage)?,
                inputs: ports(&s.inputs, inputs)?,
                outputs: ports(&s.outputs, outputs)?,
                ..TaskInfo::default()
            });
        }
    }
    let tail = d
        .tail
        .inputs
        .iter()
        .map(|t| number(*t))
        .collect::<Result<_>>()?;
    Ok(ProgramInfo::new([0; 32], [0; 32], tensors, tasks, tail)?)
}

#[test]
fn bounds_agree() {
    const { assert!(make::TASKS_MAX <= ProgramInfo::MAX_TASKS) };
    const { assert!(make::PIECES_MAX <= ProgramInfo::MAX_PIECES) };
    const { assert!(make::TENSOR_VALUES_MAX <= ProgramInfo::MAX_FLOATS) };
}

#[test]
fn memory_is_what_nodes_set_aside() -> Result<()> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    for (name, cuts, grid, workers) in [
        ("yolov2", &[16][..], [5, 5], 1),
        ("yolov2", &[4, 8, 12, 16], [3, 2], 2),
        ("yolov3-tiny", &[8], [3, 3], 1),
        ("yolov4-tiny", &[3, 11, 19], [2, 3], 4),
        ("demo/demo", &[4, 10], [2, 2], 1),
    ] {
        let text = std::fs::read_to_string(models.join(name).with_extension("cfg"))?;
        let graph = model::graph("net", &text, Darknet::Alexey)?;
        let options = PlanOptions {
            grids: vec![grid],
            cuts: cuts.to_vec(),
            workers,
            ..PlanOptions::default()
        };
        let plan = make::plan(&tessera_planner::weights::without(graph), &options)?;
        let info = info(&plan)?;
        let expected = |key: &str| plan.estimates.memory.get(key).copied().unwrap_or(0);
        let gateway = ([127, 0, 0, 1], 9).into();
        let usual = EdgeConfig::new(NodeId(1), Epoch(1), gateway, workers);
        assert_eq!(usual.max_frames, memory::FRAMES_IN_FLIGHT);
        for (key, max_frames) in [("edge.objects", 0), ("source.objects", usual.max_frames)] {
            let config = EdgeConfig {
                max_frames,
                ..usual
            };
            let slots = config.slots(&info, KEPT);
            let layout = Layout::new(&info, &slots, config.max_jobs, workers);
            assert_eq!(
                layout.slot_bytes as u64,
                expected(key),
                "{name} {grid:?} {key}"
            );
        }
        let slots = GatewayConfig::new(Epoch(1)).slots(&info);
        let bytes: usize = slots.iter().map(|(floats, n)| 4 * floats * n).sum();
        assert_eq!(bytes as u64, expected("gateway.merged"), "{name}");
    }
    Ok(())
}
