//! Frames in flight, from the first heartbeat that lists them to the record.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    FrameId, FrameMeta, Micros, NodeId, ProgramInfo, PullId, TaskId, peer::Peer, retry::Retry,
    store::SlotId, wire::NO_TASK,
};
use tessera_plan::{
    dataflow::{Need, ObjectKey},
    region::Region,
};

/// A frame that has no record yet.
#[derive(Debug)]
pub struct FrameInFlight {
    /// The source's description of the frame.
    pub announced: Announced,
    /// The frame's place in the order of arrival: first come, first served.
    pub turn: u64,
    /// The frame's stage.
    pub state: FlightState,
    /// Number of finished tasks whose outputs the tail reads, as the owner reported last.
    pub finished: u16,
    /// How often the gateway has given slots to the frame.
    pub opened: u16,
    /// How often its source has begun the frame anew.
    pub attempt: u8,
    /// When the frame last made progress: a task was finished, or a part merged.
    pub progress_us: Micros,
}

/// The source's description of a frame, and when the gateway heard of the frame.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    /// The meta that the source gave.
    pub meta: FrameMeta,
    /// The frame's age at the announcement, by the source's clock, in microseconds.
    pub age_us: Micros,
    /// When the announcement arrived, on this node's clock, in microseconds.
    pub at_us: Micros,
    /// The board because of which the frame was begun anew last.
    pub wrong: Option<NodeId>,
}

impl Announced {
    /// The frame's present age, in microseconds.
    pub const fn age(&self, now_us: Micros) -> Micros {
        self.age_us
            .saturating_add(now_us.saturating_sub(self.at_us))
    }
}

/// The stage of a frame at the gateway.
#[derive(Debug)]
pub enum FlightState {
    /// The frame has no slots for its tensors yet.
    Waiting,
    /// The gateway pulls the frame's parts.
    Open(Merge),
    /// The tail reads the frame's tensors.
    Tail(Vec<SlotId>),
}

/// A frame's tensors during the merge.
#[derive(Debug)]
pub struct Merge {
    /// For each input of the tail, the slot of the whole tensor; then, for each box that the gateway passes on, a slot.
    pub slots: Vec<SlotId>,
    /// The state of each box that the gateway fetches, by [`gateway_need`](tessera_plan::dataflow::TaskGraph::gateway_need).
    pub needs: Vec<NeedState>,
    /// Number of the tail's needs not merged yet.
    pub missing: usize,
    /// Holders of the outputs of tasks ([`NO_TASK`]: the holder of the frame).
    pub holders: BTreeMap<TaskId, HeldResult>,
    /// Outputs that the named holders did not have.
    pub lost: BTreeMap<TaskId, MissingResult>,
}

/// The holder of a task's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldResult {
    /// The node that holds the outputs.
    pub peer: Peer,
    /// How often the owner has had the task done again.
    pub generation: u16,
    /// True while the node is only known to make the outputs.
    pub early: bool,
}

/// Outputs that a holder did not have; the gateway tells the owner until the owner names another holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingResult {
    /// The holder that did not have the outputs.
    pub held: HeldResult,
    /// When to tell the owner again, and the pause after that.
    pub again: Retry,
}

/// The state of a need of the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedState {
    /// No pull runs for the need.
    Wanted,
    /// This pull fetches the need.
    Pulling(PullId),
    /// The need lies in its tensor, and the owner has not said yet that its maker has finished the task.
    Fetched,
    /// The need is merged into its tensor.
    Merged,
}

/// All frames in flight.
#[derive(Debug, Default)]
pub struct FramesInFlight {
    flights: BTreeMap<FrameId, FrameInFlight>,
    turns: u64,
}

impl Merge {
    /// A merge without any parts; `source` holds the frame itself.
    pub fn new(slots: Vec<SlotId>, info: &ProgramInfo, source: Peer) -> Self {
        let held = HeldResult {
            peer: source,
            generation: 0,
            early: false,
        };
        Self {
            slots,
            needs: vec![NeedState::Wanted; info.gateway_needs()],
            missing: info.tail_needs.len(),
            holders: BTreeMap::from([(NO_TASK, held)]),
            lost: BTreeMap::new(),
        }
    }

    /// True when all that the gateway fetches of a task's outputs ([`NO_TASK`]: of the frame) is merged.
    pub fn has(&self, info: &ProgramInfo, task: TaskId) -> bool {
        let mut needs = info.gateway_needs_of(maker(task));
        needs.all(|k| self.needs[k] == NeedState::Merged)
    }

    /// The slot that holds a box of an object, for nodes that fetch it from the gateway; and the box of that slot.
    pub fn find(
        &self,
        info: &ProgramInfo,
        key: ObjectKey,
        region: Region,
    ) -> Option<(SlotId, Region)> {
        let need = Need {
            input: 0,
            key,
            region,
        };
        let relay = info.relay_of(&need)?;
        let merged = self.needs.get(info.tail_needs.len() + relay) == Some(&NeedState::Merged);
        let slot = *self.slots.get(info.tail_inputs.len() + relay)?;
        merged.then(|| (slot, info.relayed[relay].region))
    }

    /// Number of pulls from nodes that are only known to make what is pulled.
    pub fn early_pulls(&self, info: &ProgramInfo) -> usize {
        let early = |(k, piece): &(usize, &NeedState)| {
            let held = self.holders.get(&maker_number(info.gateway_need(*k).key));
            matches!(piece, NeedState::Pulling(_)) && held.is_some_and(|h| h.early)
        };
        self.needs.iter().enumerate().filter(early).count()
    }

    /// The first need that can be pulled now, and its holder: of finished tasks, or of tasks that are being made.
    pub fn startable(
        &self,
        now_us: Micros,
        info: &ProgramInfo,
        early: bool,
    ) -> Option<(usize, Peer)> {
        if self.missing == 0 {
            return None;
        }
        for (k, piece) in self.needs.iter().enumerate() {
            let task = maker_number(info.gateway_need(k).key);
            if *piece != NeedState::Wanted
                || self
                    .lost
                    .get(&task)
                    .is_some_and(|l| !l.again.is_due(now_us))
            {
                continue;
            }
            if let Some(held) = self.holders.get(&task).filter(|h| h.early == early) {
                return Some((k, held.peer));
            }
        }
        None
    }
}

/// The key of an object's maker in [`Merge::holders`].
pub fn maker_number(key: ObjectKey) -> TaskId {
    key.task().unwrap_or(NO_TASK)
}

/// The maker that a key of [`Merge::holders`] stands for; `None` for the frame.
pub fn maker(task: TaskId) -> Option<TaskId> {
    (task != NO_TASK).then_some(task)
}

impl FramesInFlight {
    /// A frame by id.
    pub fn get(&self, id: FrameId) -> Option<&FrameInFlight> {
        self.flights.get(&id)
    }

    /// A frame by id.
    pub fn get_mut(&mut self, id: FrameId) -> Option<&mut FrameInFlight> {
        self.flights.get_mut(&id)
    }

    /// Notes a frame; returns true when the frame is new.
    pub fn note(&mut self, id: FrameId, announced: Announced, finished: u16) -> bool {
        let now_us = announced.at_us;
        if let Some(flight) = self.flights.get_mut(&id) {
            if flight.finished != finished {
                flight.finished = finished;
                flight.progress_us = now_us;
            }
            return false;
        }
        self.turns += 1;
        let flight = FrameInFlight {
            announced,
            turn: self.turns,
            state: FlightState::Waiting,
            finished,
            opened: 0,
            attempt: 0,
            progress_us: now_us,
        };
        self.flights.insert(id, flight);
        true
    }

    /// Takes out a frame that is over.
    pub fn remove(&mut self, id: FrameId) -> Option<FrameInFlight> {
        self.flights.remove(&id)
    }

    /// All frames, by id.
    pub fn iter(&self) -> impl Iterator<Item = (FrameId, &FrameInFlight)> {
        self.flights.iter().map(|(&id, f)| (id, f))
    }

    /// All frames, by id.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (FrameId, &mut FrameInFlight)> {
        self.flights.iter_mut().map(|(&id, f)| (id, f))
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Number of frames that have slots for their tensors.
    pub fn open(&self) -> usize {
        let waits = |f: &&FrameInFlight| matches!(f.state, FlightState::Waiting);
        self.flights.len() - self.flights.values().filter(waits).count()
    }

    /// The next frame to receive slots, and whether the frame stands still. Moving frames come first, then
    /// frames of the source with the fewest open frames, then the frame that has waited longest.
    /// A source with `most` open frames gets no further one.
    pub fn next_to_open(
        &self,
        now_us: Micros,
        stall: Stall,
        most: usize,
    ) -> Option<(FrameId, bool)> {
        let rooms = self.rooms();
        let waiting = self.iter().filter(|(id, f)| {
            let open = rooms.get(&id.source).copied().unwrap_or(0);
            matches!(f.state, FlightState::Waiting) && open < most
        });
        let resting = self.resting(now_us, stall);
        let still = |id: FrameId, f: &FrameInFlight| {
            if stall.shared {
                resting.contains(&id.source)
            } else {
                stall.of(now_us, f)
            }
        };
        let order = |id: FrameId, f: &FrameInFlight| {
            let of_source = rooms.get(&id.source).copied().unwrap_or(0);
            (still(id, f), of_source, f.turn)
        };
        let next = waiting.min_by_key(|(id, f)| order(*id, f));
        next.map(|(id, f)| (id, still(id, f)))
    }

    /// Sources of frames that stood still with slots, and wait to be tried again.
    fn resting(&self, now_us: Micros, stall: Stall) -> BTreeSet<NodeId> {
        let waits = |f: &FrameInFlight| matches!(f.state, FlightState::Waiting);
        let rests = |f: &FrameInFlight| waits(f) && stall.shared && stall.rests(now_us, f);
        let all = self.iter().filter(|(_, f)| rests(f));
        all.map(|(id, _)| id.source).collect()
    }

    /// The frame that gives up its slots: one that stands still, of the source that has the most open frames.
    pub fn gives_way(&self, now_us: Micros, stall: Stall) -> Option<FrameId> {
        let rooms = self.rooms();
        let still = self.iter().filter(|(_, f)| {
            matches!(f.state, FlightState::Open(_)) && stall.is_over(now_us, f.progress_us)
        });
        let order = |id: FrameId, f: &FrameInFlight| {
            let of_source = rooms.get(&id.source).copied().unwrap_or(0);
            (of_source, std::cmp::Reverse(f.progress_us), f.turn)
        };
        still.max_by_key(|(id, f)| order(*id, f)).map(|(id, _)| id)
    }

    /// Takes the slots and the merged parts of an open frame. The frame then waits behind all others.
    pub fn close(&mut self, id: FrameId) -> Option<Merge> {
        self.turns += 1;
        let flight = self.flights.get_mut(&id)?;
        flight.turn = self.turns;
        match std::mem::replace(&mut flight.state, FlightState::Waiting) {
            FlightState::Open(merge) => Some(merge),
            other => {
                flight.state = other;
                None
            }
        }
    }

    /// Number of frames with slots, per source.
    fn rooms(&self) -> BTreeMap<NodeId, usize> {
        let mut rooms = BTreeMap::new();
        for (id, f) in self.iter() {
            if !matches!(f.state, FlightState::Waiting) {
                *rooms.entry(id.source).or_insert(0) += 1;
            }
        }
        rooms
    }
}

/// The rule for when a frame counts as standing still.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// Microseconds without progress.
    pub after_us: u64,
    /// Number of tasks whose outputs the tail reads: when all are finished, only the gateway has work left.
    pub for_tail: usize,
    /// True with work sharing: a frame that waits for slots cannot make progress at its owner.
    pub shared: bool,
}

impl Stall {
    const fn is_over(self, now_us: Micros, progress_us: Micros) -> bool {
        now_us.saturating_sub(progress_us) > self.after_us
    }

    /// True when a frame that stood still with slots is not to be tried again yet, with work sharing: some times as long as it
    /// stood still. Whether a frame without slots would move, nobody knows there.
    fn rests(self, now_us: Micros, f: &FrameInFlight) -> bool {
        let times = if f.opened > 1 { 16 } else { 4 };
        let rest_us = self.after_us.saturating_mul(times);
        f.opened > 0 && now_us.saturating_sub(f.progress_us) <= rest_us
    }

    /// True when a waiting frame stands still at its owner.
    fn of(self, now_us: Micros, f: &FrameInFlight) -> bool {
        usize::from(f.finished) < self.for_tail && self.is_over(now_us, f.progress_us)
    }
}
