//! Task graphs of plans, and of stages that are not a plan yet.

use std::sync::Arc;

use super::{DataflowError, Port, Progress, TaskGraph, TaskInfo, TensorInfo};
use crate::{
    graph::TensorIx,
    placement::Placement,
    plan::{Chain, Dataflow, Plan, Stage, Tensor},
    region::Region,
};

impl TaskGraph {
    /// The task graph of a plan's dataflow.
    ///
    /// # Errors
    /// As [`Self::new`]; a dataflow that passed [`crate::check`] gives none for its form, but may exceed a
    /// bound.
    pub fn of(d: &Dataflow) -> Result<Self, DataflowError> {
        let graph = Self::of_stages(&d.tensors, &d.stages, &d.tail.inputs)?;
        Ok(if d.placement == Placement::Share {
            graph.shared()
        } else {
            graph
        })
    }

    /// The task graph of stages before they are a plan's, and of a tail that reads `tail_inputs`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_stages<'a>(
        tensors: &[Tensor],
        stages: impl IntoIterator<Item = &'a Stage>,
        tail_inputs: &[TensorIx],
    ) -> Result<Self, DataflowError> {
        let index = |id| {
            let at = tensors.iter().position(|t| t.id == id && !t.is_strip());
            at.map_or(u16::MAX, |i| i as u16)
        };
        let ports = |ids: &[TensorIx], regions: &[Region], strips: &[usize]| {
            let each = ids.iter().zip(regions);
            each.map(|(id, region)| Port {
                tensor: index(*id),
                region: *region,
            })
            .chain(strips.iter().map(|t| Port {
                tensor: u16::try_from(*t).unwrap_or(u16::MAX),
                region: (tensors.get(*t)).map_or(Region::EMPTY, |t| Region::whole(t.shape)),
            }))
            .collect()
        };
        let mut tasks = Vec::new();
        for (s, stage) in stages.into_iter().enumerate() {
            tasks.extend(stage.tiles.iter().map(|tile| TaskInfo {
                stage: s as u16,
                home: tile.home,
                inputs: ports(&stage.inputs, &tile.inputs, &tile.takes),
                outputs: ports(&stage.outputs, &tile.outputs, &tile.gives),
                macs: tile.macs,
                ..TaskInfo::default()
            }));
        }
        let tail = tail_inputs.iter().map(|t| index(*t)).collect();
        let tensors = tensors.iter().map(|t| TensorInfo {
            region: Region::whole(t.shape),
            element: t.element,
        });
        Self::new(tensors.collect(), tasks, tail)
    }

    /// The task graph of a plan, with the progress of one target's chains. Those of other targets differ by the heights
    /// of a few row blocks.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn with_progress(plan: &Plan) -> Result<Self, DataflowError> {
        let mut graph = Self::of(&plan.dataflow)?;
        if let Some(target) = plan.target.values().next() {
            graph.set_progress(&plan.dataflow, &target.stages);
        }
        Ok(graph)
    }

    /// Gives tasks the progress of their classes' chains, of every stage of `d`.
    pub fn set_progress(&mut self, d: &Dataflow, chains: &[Vec<Chain>]) {
        let mut tasks = self.tasks.iter_mut();
        for (stage, chains) in d.stages.iter().zip(chains) {
            let progress: Vec<Arc<Progress>> =
                chains.iter().map(|c| Arc::new(Progress::of(c))).collect();
            for (tile, task) in stage.tiles.iter().zip(&mut tasks) {
                task.progress = progress.get(tile.class).cloned();
            }
        }
    }
}
