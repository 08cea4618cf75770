//! The frames of this node's source.

use std::collections::BTreeMap;

use super::{
    shared_boxes::SharedBoxes,
    task_table::{ResultState, TaskTable},
    verify::chosen::chosen,
};
use crate::{
    FrameMeta, FrameNumber, FrameOutcome, Micros, NodeId, NodeIncarnation, ProgramInfo, TaskId,
    Verify, retry::Retry, store::SlotId, wire::Heartbeat,
};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::region::Region;

/// An own frame in flight.
#[derive(Debug)]
pub struct OwnFrame {
    /// The meta that the shell gave.
    pub meta: FrameMeta,
    /// The slot that holds all of tensor 0.
    pub slot: SlotId,
    /// The frame's tasks.
    pub tasks: TaskTable,
    /// Outputs on this node, by task.
    pub outputs: BTreeMap<TaskId, Vec<SlotId>>,
    /// The runs that made them, by task.
    pub runs: BTreeMap<TaskId, u32>,
    /// What was fetched for other tasks of this board.
    pub shared: SharedBoxes,
    /// Number of this node's jobs that read or write the frame's slots.
    pub jobs: usize,
    /// True when the gateway accepts results.
    pub open: bool,
    /// How often the gateway had given slots to the frame, as this node heard last.
    pub opened: u16,
    /// True when there are results that this node has not sent to the gateway.
    pub fresh: bool,
    /// True when a task failed on every attempt.
    pub failed: bool,
    /// How the frame ended; set while jobs still use the frame's slots.
    pub over: Option<FrameOutcome>,
    /// For each stage, the time from the frame's capture to the end of its last task so far.
    pub stage_us: Vec<Micros>,
    /// When to repeat unanswered results to the gateway, and the pause after that.
    pub results_again: Option<Retry>,
    /// How often the frame was begun anew.
    pub attempt: u8,
    /// Set when the frame is to begin anew, without these nodes.
    pub restart: Option<Vec<NodeIncarnation>>,
    /// The nodes without which the frame was begun anew.
    pub without: Vec<NodeIncarnation>,
    /// The board because of which it was begun anew last.
    pub wrong: Option<NodeId>,
}

/// All own frames, by number.
#[derive(Debug, Default)]
pub struct OwnFrames {
    frames: BTreeMap<FrameNumber, OwnFrame>,
    next: FrameNumber,
}

impl OwnFrame {
    /// The slot of an object on this node, and the box of the tensor that the slot holds.
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
    /// Number of finished tasks whose outputs the tail reads.
    pub fn finished_for_tail(&self, info: &ProgramInfo) -> u16 {
        let of_tail = self.tasks.iter().zip(&info.tasks);
        let finished = of_tail.filter(|((_, t), spec)| spec.for_tail && t.done());
        u16::try_from(finished.count()).unwrap_or(u16::MAX)
    }

    /// Notes that a task of a stage was finished for the first time.
    pub fn note_end(&mut self, now_us: Micros, stage: u16) {
        let stage = usize::from(stage);
        if self.stage_us.len() <= stage {
            self.stage_us.resize(stage + 1, 0);
        }
        self.stage_us[stage] = now_us.saturating_sub(self.meta.captured_us);
    }

    /// Begins the frame's tasks, or begins them anew.
    pub fn table(&mut self, number: FrameNumber, verify: Verify, info: &ProgramInfo) {
        self.tasks = TaskTable::new(info);
        let frame = (number, self.attempt);
        let is_chosen = |task| chosen(verify, frame, task);
        self.tasks.choose(is_chosen, &self.without);
    }

    /// Notes that the gateway holds nothing of the frame and accepts no results until a further notice.
    pub fn close(&mut self, info: &ProgramInfo) {
        self.open = false;
        self.fresh = true;
        self.results_again = None;
        for (_, t) in self.tasks.iter_mut() {
            t.result = ResultState::Unsent;
            t.announced = None;
        }
        self.tasks.frame = ResultState::Unsent;
        self.tasks.recount(info);
        self.tasks.reconsider(info);
    }
}

impl OwnFrames {
    /// Adds a frame; returns its number.
    pub fn add(
        &mut self,
        slot: SlotId,
        meta: FrameMeta,
        verify: Verify,
        info: &ProgramInfo,
    ) -> FrameNumber {
        let number = self.next;
        let mut frame = OwnFrame {
            meta,
            slot,
            tasks: TaskTable::new(info),
            outputs: BTreeMap::new(),
            runs: BTreeMap::new(),
            shared: SharedBoxes::default(),
            jobs: 0,
            open: false,
            opened: 0,
            fresh: false,
            failed: false,
            over: None,
            stage_us: Vec::new(),
            results_again: None,
            attempt: 0,
            restart: None,
            without: Vec::new(),
            wrong: None,
        };
        frame.table(number, verify, info);
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

    /// Takes out a frame that nothing uses any more.
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

    /// Number of frames that occupy slots.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Number of the next frame, equal to the count of frames accepted so far.
    pub const fn next(&self) -> FrameNumber {
        self.next
    }

    /// First frame that may still be in flight: all earlier frames have ended.
    pub fn floor(&self) -> FrameNumber {
        self.in_flight().next().map_or(self.next, |(n, _)| n)
    }

    /// True when another frame's number still fits the window that the gateway remembers.
    pub fn fits_window(&self) -> bool {
        let flying = self.next.since(self.floor());
        flying.is_some_and(|n| n < Heartbeat::WINDOW) && self.next.0 < u32::MAX
    }
}
