//! What is fetched: boxes of a YOLOv2 plan, with their real places inside their objects.

use std::path::Path;

use anyhow::{Context, Result, bail};
use tessera_plan::{
    dataflow::ObjectKey, graph::Darknet, placement::Placement, plan::Split, region::Region,
};
use tessera_planner::{
    boards::Board,
    cfg, make,
    options::{PlanOptions, Target},
    weights,
};
use tessera_protocol::{FrameId, FrameNumber, Incarnation, NodeId, ObjectId, ProgramInfo};
use tessera_simulate::SimulatedCluster;

/// One box that a node fetches from another.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// The node that fetches.
    pub receiver: usize,
    /// The node that has the object.
    pub holder: usize,
    /// The object.
    pub object: ObjectId,
    /// The box.
    pub region: Region,
    /// Size of the packed box.
    pub bytes: usize,
}

/// Who fetches from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Shape {
    /// So many boards fetch their tiles' inputs from one source.
    Scatter(usize),
    /// One gateway fetches all finished tiles from so many boards.
    Gather(usize),
}

/// All that is fetched in one run.
#[derive(Clone, Debug)]
pub struct Load {
    /// The plan's program.
    pub info: ProgramInfo,
    /// Number of nodes.
    pub nodes: usize,
    /// The fetches, in the order in which each receiver begins them.
    pub fetches: Vec<Fetch>,
    /// Most fetches of a receiver at a time.
    pub parallel: usize,
}

/// Tiles of the plan per axis.
const GRID: [usize; 2] = [3, 3];
/// Fused layers of the plan.
const LAYERS: usize = 16;

/// The program of YOLOv2's first 16 layers on 3 x 3 tiles: frames as bytes, outputs in half precision.
///
/// # Errors
/// When the model or the plan cannot be made.
pub fn program() -> Result<ProgramInfo> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/yolov2.cfg");
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let (graph, said) = cfg::read(&text, "yolov2", Darknet::Alexey);
    let Some(graph) = graph else {
        bail!("yolov2.cfg: {} diagnostics", said.len());
    };
    let model = weights::without(graph);
    let options = PlanOptions {
        cuts: vec![LAYERS],
        grids: vec![GRID],
        split: Split::Equal,
        placement: Placement::Steal,
        ..PlanOptions::of(6, &Board::new(Target::Armv7))
    };
    let plan = make::plan(&model, &options)?;
    Ok(SimulatedCluster::new(&model.graph, &plan, &options)?.info)
}

impl Load {
    /// The fetches of `frames` frames.
    pub fn new(info: &ProgramInfo, shape: Shape, frames: u32) -> Self {
        let mut fetches = Vec::new();
        let tasks: Vec<_> = info.tasks.iter().enumerate().collect();
        for frame in 0..frames {
            let object = |key| ObjectId {
                frame: FrameId {
                    source: NodeId(1),
                    incarnation: Incarnation(1),
                    number: FrameNumber(frame),
                },
                key,
            };
            match shape {
                Shape::Scatter(boards) => {
                    let needs = tasks.iter().flat_map(|(_, t)| &t.needs);
                    let needs = needs.filter(|n| n.key == ObjectKey::Frame).enumerate();
                    fetches.extend(needs.map(|(k, need)| Fetch {
                        receiver: 1 + k % boards,
                        holder: 0,
                        object: object(need.key),
                        region: need.region,
                        bytes: info.need_bytes(need),
                    }));
                }
                Shape::Gather(senders) => {
                    fetches.extend(info.tail_needs.iter().enumerate().map(|(k, need)| Fetch {
                        receiver: 0,
                        holder: 1 + k % senders,
                        object: object(need.key),
                        region: need.region,
                        bytes: info.need_bytes(need),
                    }));
                }
            }
        }
        let (nodes, parallel) = match shape {
            // A board fetches for its next task while it computes.
            Shape::Scatter(boards) => (boards + 1, 2),
            // The gateway takes what there is of a frame and of the next one.
            Shape::Gather(senders) => (senders + 1, 2 * senders),
        };
        Self {
            info: info.clone(),
            nodes,
            fetches,
            parallel,
        }
    }

    /// All payload bytes.
    pub fn bytes(&self) -> usize {
        self.fetches.iter().map(|f| f.bytes).sum()
    }

    /// Nodes from which `node` fetches.
    pub fn holders_of(&self, node: usize) -> Vec<usize> {
        let of = self.fetches.iter().filter(|f| f.receiver == node);
        let mut holders: Vec<usize> = of.map(|f| f.holder).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// Indices of the fetches of a node.
    pub fn fetches_of(&self, node: usize) -> Vec<u32> {
        let all = (0u32..).zip(&self.fetches);
        all.filter(|(_, f)| f.receiver == node)
            .map(|(k, _)| k)
            .collect()
    }

    /// Boxes that `node` holds, each object once.
    pub fn objects_of(&self, node: usize) -> Vec<(ObjectId, Region)> {
        let mut objects: Vec<(ObjectId, Region)> = Vec::new();
        for f in self.fetches.iter().filter(|f| f.holder == node) {
            let known = objects.iter().any(|(o, _)| *o == f.object);
            let whole = self.info.region(f.object.key).filter(|_| !known);
            objects.extend(whole.map(|region| (f.object, region)));
        }
        objects
    }
}
