//! Outputs of stolen tasks, kept for others until their frame is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::{FrameId, NodeId, ProgramInfo, store::SlotId};
use tessera_plan::dataflow::Part;
use tessera_plan::region::Region;

/// What is here of another node's frame.
#[derive(Debug, Default)]
pub struct Guest {
    /// Outputs, by task.
    pub outputs: BTreeMap<u32, Vec<SlotId>>,
    /// Jobs of this node that read or write its slots.
    pub jobs: usize,
    /// Whether the frame has ended.
    pub over: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Guests {
    guests: BTreeMap<FrameId, Guest>,
}

impl Guest {
    /// Where a part lies here, and which box of its tensor it is.
    pub fn find(&self, info: &ProgramInfo, part: Part) -> Option<(SlotId, Region)> {
        let Part::Output { task, output } = part else {
            return None;
        };
        let slot = *self.outputs.get(&task)?.get(usize::from(output))?;
        Some((slot, info.region(part)?))
    }
}

impl Guests {
    /// A frame's guest.
    pub fn get(&self, frame: FrameId) -> Option<&Guest> {
        self.guests.get(&frame)
    }

    /// A frame's guest.
    pub fn get_mut(&mut self, frame: FrameId) -> Option<&mut Guest> {
        self.guests.get_mut(&frame)
    }

    /// A frame's guest, made if need be.
    pub fn entry(&mut self, frame: FrameId) -> &mut Guest {
        self.guests.entry(frame).or_default()
    }

    /// Takes out what is of no use any more: over and quiet, or without outputs and jobs.
    pub fn sweep(&mut self, frame: FrameId) -> Vec<SlotId> {
        let idle = |g: &Guest| g.jobs == 0 && (g.over || g.outputs.is_empty());
        if !self.guests.get(&frame).is_some_and(idle) {
            return Vec::new();
        }
        let gone = self.guests.remove(&frame).unwrap_or_default();
        gone.outputs.into_values().flatten().collect()
    }

    /// All frames.
    pub fn frames(&self) -> impl Iterator<Item = FrameId> {
        self.guests.keys().copied()
    }

    /// The owners of all frames.
    pub fn owners(&self) -> BTreeSet<NodeId> {
        self.guests.keys().map(|f| f.source).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.guests.is_empty()
    }
}
