//! Outputs of stolen tasks, kept for others until their frame is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::{FrameId, NodeId, ProgramInfo, TaskId, store::SlotId};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::region::Region;

/// What is here of another node's frame.
#[derive(Debug, Default)]
pub struct ForeignFrame {
    /// Outputs, by task.
    pub outputs: BTreeMap<TaskId, Vec<SlotId>>,
    /// Jobs of this node that read or write its slots.
    pub jobs: usize,
    /// Whether the frame has ended.
    pub over: bool,
    /// The latest heartbeat that this node had sent when it came to know the frame.
    pub since: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub struct ForeignFrames {
    foreign: BTreeMap<FrameId, ForeignFrame>,
}

impl ForeignFrame {
    /// Where a part lies here, and which box of its tensor it is.
    pub fn find(&self, info: &ProgramInfo, key: ObjectKey) -> Option<(SlotId, Region)> {
        let ObjectKey::Output { task, output } = key else {
            return None;
        };
        let slot = *self.outputs.get(&task)?.get(usize::from(output))?;
        Some((slot, info.region(key)?))
    }
}

impl ForeignFrames {
    /// A frame's foreign.
    pub fn get(&self, frame: FrameId) -> Option<&ForeignFrame> {
        self.foreign.get(&frame)
    }

    /// A frame's foreign.
    pub fn get_mut(&mut self, frame: FrameId) -> Option<&mut ForeignFrame> {
        self.foreign.get_mut(&frame)
    }

    /// A frame's foreign, made if need be; `heartbeat` is the latest that this node has sent.
    pub fn entry(&mut self, frame: FrameId, heartbeat: u32) -> &mut ForeignFrame {
        self.foreign.entry(frame).or_insert_with(|| ForeignFrame {
            since: heartbeat,
            ..ForeignFrame::default()
        })
    }

    /// Takes out what is of no use any more: over and quiet, or without outputs and jobs.
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

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.foreign.is_empty()
    }
}
