//! The memory that a plan states is what its nodes set aside: slots of edges, objects of a gateway.

use std::path::Path;

use anyhow::Result;
use tessera_node::shm::Layout;
use tessera_plan::{dataflow::TaskGraph, graph::Darknet, limits::KEPT_FRAMES, plan::Plan};
use tessera_planner::{
    boards::Board,
    make,
    options::{PlanOptions, Target},
};
use tessera_protocol::{EdgeConfig, GatewayConfig, Incarnation, NodeId, ProgramInfo};
use tessera_tests::model;

/// A plan as the emitted crate hands it to the runtime.
fn info(plan: &Plan) -> Result<ProgramInfo> {
    Ok(ProgramInfo {
        plan_hash: [0; 32],
        model_digest: [0; 32],
        placement: plan.dataflow.placement,
        boards: 1,
        graph: TaskGraph::of(&plan.dataflow)?,
    })
}

#[test]
fn stated_memory_is_what_nodes_set_aside() -> Result<()> {
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
        // A task per core: the count of workers is the test's.
        let board = Board {
            cores: workers,
            team: 1,
            ..Board::new(Target::Portable)
        };
        let options = PlanOptions {
            grids: vec![grid],
            cuts: cuts.to_vec(),
            ..PlanOptions::of(2, &board)
        };
        let plan = make::plan(&tessera_planner::weights::without(graph), &options)?;
        let info = info(&plan)?;
        let expected = |key: &str| plan.estimates.memory.get(key).copied().unwrap_or(0);
        let gateway = ([127, 0, 0, 1], 9).into();
        let usual = EdgeConfig::new(NodeId(1), Incarnation(1), gateway, workers);
        for (key, frames_max) in [("edge.objects", 0), ("source.objects", usual.frames_max)] {
            let config = EdgeConfig {
                frames_max,
                ..usual
            };
            let slots = config.slots(&info, KEPT_FRAMES);
            let layout = Layout::new(&info, &slots, config.jobs_max, workers);
            assert_eq!(
                layout.slot_bytes as u64,
                expected(key),
                "{name} {grid:?} {key}"
            );
        }
        let slots = GatewayConfig::new(Incarnation(1)).slots(&info);
        let bytes: usize = slots.iter().map(|s| s.bytes * s.count).sum();
        assert_eq!(bytes as u64, expected("gateway.merged"), "{name}");
    }
    Ok(())
}
