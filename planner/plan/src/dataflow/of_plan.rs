//! Task graphs of plans, and of stages that are not a plan yet.

use super::{DataflowError, Port, TaskGraph, TaskInfo, TensorInfo};
use crate::{
    graph::TensorIx,
    plan::{Dataflow, Stage, Tensor},
    region::Region,
};

impl TaskGraph {
    /// The task graph of a plan's dataflow.
    ///
    /// # Errors
    /// As [`Self::new`]; a dataflow that passed [`crate::check`] gives none for its form, but may exceed a
    /// bound.
    pub fn of(d: &Dataflow) -> Result<Self, DataflowError> {
        Self::of_stages(&d.tensors, &d.stages, &d.tail.inputs)
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
            let at = tensors.iter().position(|t| t.id == id);
            at.map_or(u16::MAX, |i| i as u16)
        };
        let ports = |ids: &[TensorIx], regions: &[Region]| {
            let each = ids.iter().zip(regions);
            each.map(|(id, region)| Port {
                tensor: index(*id),
                region: *region,
            })
            .collect()
        };
        let mut tasks = Vec::new();
        for (s, stage) in stages.into_iter().enumerate() {
            tasks.extend(stage.tiles.iter().map(|tile| TaskInfo {
                stage: s as u16,
                home: tile.home,
                inputs: ports(&stage.inputs, &tile.inputs),
                outputs: ports(&stage.outputs, &tile.outputs),
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
}
