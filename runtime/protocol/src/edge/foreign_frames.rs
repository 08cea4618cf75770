//! Outputs of stolen tasks, kept for other nodes until the tasks' frame is over.

use std::collections::{BTreeMap, BTreeSet};

use super::shared_boxes::SharedBoxes;
use crate::{FrameId, NodeId, ProgramInfo, TaskId, store::SlotId};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::region::Region;

/// Objects of another node's frame on this node.
#[derive(Debug, Default)]
pub struct ForeignFrame {
    /// Outputs on this node, by task.
    pub outputs: BTreeMap<TaskId, Vec<SlotId>>,
    /// The runs that made them, by task.
    pub runs: BTreeMap<TaskId, u32>,
    /// What was fetched for other tasks of this board.
    pub shared: SharedBoxes,
    /// Number of this node's jobs that read or write the frame's slots.
    pub jobs: usize,
    /// True when the frame has ended.
    pub over: bool,
    /// The attempt at the frame that all of this belongs to.
    pub attempt: u8,
    /// The latest heartbeat that this node had sent when it first heard of the frame.
    pub since: u32,
}

/// All frames of other nodes with objects or jobs on this node.
#[derive(Debug, Default)]
pub struct ForeignFrames {
    foreign: BTreeMap<FrameId, ForeignFrame>,
}

impl ForeignFrame {
    /// The slot of an object on this node, and the box of the tensor that the slot holds.
    pub fn find(&self, info: &ProgramInfo, key: ObjectKey) -> Option<(SlotId, Region)> {
        let ObjectKey::Output { task, output } = key else {
            return None;
        };
        let slot = *self.outputs.get(&task)?.get(usize::from(output))?;
        Some((slot, info.region(key)?))
    }
}

impl ForeignFrames {
    /// The entry of a frame.
    pub fn get(&self, frame: FrameId) -> Option<&ForeignFrame> {
        self.foreign.get(&frame)
    }

    /// The entry of a frame.
    pub fn get_mut(&mut self, frame: FrameId) -> Option<&mut ForeignFrame> {
        self.foreign.get_mut(&frame)
    }

    /// The entry of a frame, created if missing; `heartbeat` is the latest heartbeat that this node has sent.
    pub fn entry(&mut self, frame: FrameId, heartbeat: u32) -> &mut ForeignFrame {
        self.foreign.entry(frame).or_insert_with(|| ForeignFrame {
            since: heartbeat,
            ..ForeignFrame::default()
        })
    }

    /// Removes the entry and returns its slots, if no job uses the frame and the frame is over or has no outputs.
    pub fn sweep(&mut self, frame: FrameId) -> Vec<SlotId> {
        let idle = |g: &ForeignFrame| g.jobs == 0 && (g.over || g.outputs.is_empty());
        if !self.foreign.get(&frame).is_some_and(idle) {
            return Vec::new();
        }
        let gone = self.foreign.remove(&frame).unwrap_or_default();
        gone.outputs.into_values().flatten().collect()
    }

    /// All frames.
    pub fn iter(&self) -> impl Iterator<Item = (FrameId, &ForeignFrame)> {
        self.foreign.iter().map(|(&id, f)| (id, f))
    }

    /// The owners of all frames.
    pub fn owners(&self) -> BTreeSet<NodeId> {
        self.foreign.keys().map(|f| f.source).collect()
    }

    /// True when there are no frames.
    pub fn is_empty(&self) -> bool {
        self.foreign.is_empty()
    }
}
