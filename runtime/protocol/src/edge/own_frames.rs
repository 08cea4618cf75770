//! Frames of this node's source.

use std::collections::BTreeMap;

use super::task_table::{ResultState, TaskTable};
use crate::{
    FrameMeta, FrameNumber, FrameOutcome, ProgramInfo, TaskId, retry::Retry, store::SlotId,
    wire::Heartbeat,
};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::region::Region;

/// A frame in flight.
#[derive(Debug)]
pub struct OwnFrame {
    /// As the shell gave it.
    pub meta: FrameMeta,
    /// All of tensor 0.
    pub slot: SlotId,
    /// Its tasks.
    pub tasks: TaskTable,
    /// Outputs that lie here, by task.
    pub outputs: BTreeMap<TaskId, Vec<SlotId>>,
    /// Jobs of this node that read or write its slots.
    pub jobs: usize,
    /// Whether the gateway takes results.
    pub open: bool,
    /// How often the gateway had made room for the frame when this node last heard of it.
    pub opened: u16,
    /// Whether there are results that the gateway was not result of.
    pub fresh: bool,
    /// Whether a task failed on every attempt.
    pub failed: bool,
    /// How it ended, while jobs still use its slots.
    pub over: Option<FrameOutcome>,
    /// When to tell the gateway again of results it has not answered, and the pause after that.
    pub results_again: Option<Retry>,
}

/// All own frames, by number.
#[derive(Debug, Default)]
pub struct OwnFrames {
    frames: BTreeMap<FrameNumber, OwnFrame>,
    next: FrameNumber,
}

impl OwnFrame {
    /// Where a part lies here, and which box of its tensor it is.
    pub fn find(&self, info: &ProgramInfo, key: ObjectKey) -> Option<(SlotId, Region)> {
        let slot = match key {
            ObjectKey::Frame => self.slot,
            ObjectKey::Output { task, output } => {
                *self.outputs.get(&task)?.get(usize::from(output))?
            }
        };
        Some((slot, info.region(key)?))
    }
}

impl OwnFrame {
    /// Finished tasks that the tail reads of.
    pub fn finished_for_tail(&self, info: &ProgramInfo) -> u16 {
        let of_tail = self.tasks.iter().zip(&info.tasks);
        let finished = of_tail.filter(|((_, t), spec)| spec.for_tail && t.done());
        u16::try_from(finished.count()).unwrap_or(u16::MAX)
    }

    /// The gateway has nothing of it any more, and takes no results before it says so.
    pub fn close(&mut self, info: &ProgramInfo) {
        self.open = false;
        self.fresh = true;
        self.results_again = None;
        for (_, t) in self.tasks.iter_mut() {
            t.result = ResultState::Unsent;
        }
        self.tasks.reconsider(info);
    }
}

impl OwnFrames {
    /// A new frame; gives its number.
    pub fn add(&mut self, slot: SlotId, meta: FrameMeta, info: &ProgramInfo) -> FrameNumber {
        let number = self.next;
        let frame = OwnFrame {
            meta,
            slot,
            tasks: TaskTable::new(info),
            outputs: BTreeMap::new(),
            jobs: 0,
            open: false,
            opened: 0,
            fresh: false,
            failed: false,
            over: None,
            results_again: None,
        };
        self.frames.insert(number, frame);
        self.next.0 += 1;
        number
    }

    /// A frame that is not over.
    pub fn live(&self, number: FrameNumber) -> Option<&OwnFrame> {
        self.frames.get(&number).filter(|f| f.over.is_none())
    }

    /// A frame that is not over.
    pub fn live_mut(&mut self, number: FrameNumber) -> Option<&mut OwnFrame> {
        self.frames.get_mut(&number).filter(|f| f.over.is_none())
    }

    /// A frame, over or not.
    pub fn get_mut(&mut self, number: FrameNumber) -> Option<&mut OwnFrame> {
        self.frames.get_mut(&number)
    }

    /// A frame that nothing uses any more.
    pub fn remove(&mut self, number: FrameNumber) -> Option<OwnFrame> {
        self.frames.remove(&number)
    }

    /// Frames that are not over, oldest first.
    pub fn in_flight(&self) -> impl Iterator<Item = (FrameNumber, &OwnFrame)> {
        let all = self.frames.iter().map(|(&n, f)| (n, f));
        all.filter(|(_, f)| f.over.is_none())
    }

    /// Frames that are not over, oldest first.
    pub fn in_flight_mut(&mut self) -> impl Iterator<Item = (FrameNumber, &mut OwnFrame)> {
        let all = self.frames.iter_mut().map(|(&n, f)| (n, f));
        all.filter(|(_, f)| f.over.is_none())
    }

    /// Frames that take room.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Frames taken up so far.
    pub const fn next(&self) -> FrameNumber {
        self.next
    }

    /// All frames before it have ended.
    pub fn floor(&self) -> FrameNumber {
        self.in_flight().next().map_or(self.next, |(n, _)| n)
    }

    /// Whether another frame's number still fits the window that the gateway remembers.
    pub fn fits_window(&self) -> bool {
        let flying = self.next.since(self.floor());
        flying.is_some_and(|n| n < Heartbeat::WINDOW) && self.next.0 < u32::MAX
    }
}
