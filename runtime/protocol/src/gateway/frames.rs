//! Frames in flight: noted, merged, handed to the tail.

use std::collections::BTreeMap;

use crate::{
    FrameId, FrameMeta, Micros, NodeId, ProgramInfo, PullId, TaskId, peer::Peer, retry::Retry,
    store::SlotId, wire::NO_TASK,
};
use tessera_plan::dataflow::ObjectKey;

/// A frame that has no record yet.
#[derive(Debug)]
pub struct FrameInFlight {
    /// What its source said of it.
    pub announced: Announced,
    /// Counts frames as they were noted: first come, first served.
    pub turn: u64,
    /// Waiting for slots, being merged, or with the tail.
    pub state: FlightState,
    /// Finished tasks of it that the tail reads of, as its owner said last.
    pub finished: u16,
    /// How often it was given room.
    pub opened: u16,
    /// When it came nearer to its end: a task was finished, or a part merged.
    pub progress_us: Micros,
}

/// What a source said of a frame, and when.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    /// As the source gave it.
    pub meta: FrameMeta,
    /// How old the frame was, by the source's clock.
    pub age_us: Micros,
    /// When it was heard of, on this node's clock.
    pub at_us: Micros,
}

impl Announced {
    /// How old the frame is now.
    pub const fn age(&self, now_us: Micros) -> Micros {
        self.age_us
            .saturating_add(now_us.saturating_sub(self.at_us))
    }
}

/// How far a frame is.
#[derive(Debug)]
pub enum FlightState {
    /// No room for its tensors yet.
    Waiting,
    /// Its parts are being pulled.
    Open(Merge),
    /// The tail has its tensors.
    Tail(Vec<SlotId>),
}

/// A frame's tensors while they are put together.
#[derive(Debug)]
pub struct Merge {
    /// Per input of the tail the whole tensor.
    pub slots: Vec<SlotId>,
    /// Per need of the tail.
    pub needs: Vec<NeedState>,
    /// Needs that are not merged.
    pub missing: usize,
    /// Where the outputs of tasks lie ([`NO_TASK`]: where the frame does).
    pub holders: BTreeMap<TaskId, HeldResult>,
    /// Outputs that were not where they should have been.
    pub lost: BTreeMap<TaskId, MissingResult>,
}

/// Where a task's outputs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldResult {
    /// The node that holds the outputs.
    pub peer: Peer,
    /// How often the owner has had the task done again.
    pub generation: u16,
}

/// Outputs that could not be had; their owner is told until it names another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingResult {
    /// The holder that did not have them.
    pub held: HeldResult,
    /// When to say it again, and the pause after that.
    pub again: Retry,
}

/// How far a need of the tail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedState {
    /// Not asked for.
    Wanted,
    /// On its way, as this pull.
    Pulling(PullId),
    /// In its place.
    Merged,
}

/// All frames in flight.
#[derive(Debug, Default)]
pub struct FramesInFlight {
    flights: BTreeMap<FrameId, FrameInFlight>,
    turns: u64,
}

impl Merge {
    /// Nothing is there yet; `source` has the frame itself.
    pub fn new(slots: Vec<SlotId>, info: &ProgramInfo, source: Peer) -> Self {
        let held = HeldResult {
            peer: source,
            generation: 0,
        };
        Self {
            slots,
            needs: vec![NeedState::Wanted; info.tail_needs.len()],
            missing: info.tail_needs.len(),
            holders: BTreeMap::from([(NO_TASK, held)]),
            lost: BTreeMap::new(),
        }
    }

    /// Whether all that the tail needs of a task is merged.
    pub fn has(&self, info: &ProgramInfo, task: TaskId) -> bool {
        let range = info.tail_needs_of(task);
        self.needs[range].iter().all(|n| *n == NeedState::Merged)
    }

    /// The first need that can be pulled now, and from where.
    pub fn startable(&self, now_us: Micros, info: &ProgramInfo) -> Option<(usize, Peer)> {
        if self.missing == 0 {
            return None;
        }
        let needs = self.needs.iter().zip(&info.tail_needs).enumerate();
        for (k, (piece, need)) in needs {
            let task = maker_number(need.key);
            if *piece != NeedState::Wanted
                || self
                    .lost
                    .get(&task)
                    .is_some_and(|l| !l.again.is_due(now_us))
            {
                continue;
            }
            if let Some(held) = self.holders.get(&task) {
                return Some((k, held.peer));
            }
        }
        None
    }
}

/// What [`Merge::holders`] knows a part's maker by.
pub fn maker_number(key: ObjectKey) -> TaskId {
    key.task().unwrap_or(NO_TASK)
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

    /// Notes a frame; says whether it is news.
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
            progress_us: now_us,
        };
        self.flights.insert(id, flight);
        true
    }

    /// A frame is over.
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

    /// Frames that have their tensors.
    pub fn open(&self) -> usize {
        let waits = |f: &&FrameInFlight| matches!(f.state, FlightState::Waiting);
        self.flights.len() - self.flights.values().filter(waits).count()
    }

    /// The frame that is to have room next, and whether it stands still: of those that move first, then
    /// of the source with the fewest frames that have room, then the one that has waited longest.
    pub fn next_to_open(&self, now_us: Micros, stall: Stall) -> Option<(FrameId, bool)> {
        let rooms = self.rooms();
        let waiting = self
            .iter()
            .filter(|(_, f)| matches!(f.state, FlightState::Waiting));
        let order = |id: FrameId, f: &FrameInFlight| {
            let of_source = rooms.get(&id.source).copied().unwrap_or(0);
            (stall.of(now_us, f), of_source, f.turn)
        };
        let next = waiting.min_by_key(|(id, f)| order(*id, f));
        next.map(|(id, f)| (id, stall.of(now_us, f)))
    }

    /// The frame that gives its room away: one that stands still, of the source that has most.
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

    /// Takes an open frame's room: what was merged of it. It waits behind all others from now on.
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

    /// Frames per source that have their tensors.
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

/// When a frame counts as standing still.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// Microseconds without progress.
    pub after_us: u64,
    /// Tasks that the tail reads of: when all are finished, the gateway alone has work left.
    pub for_tail: usize,
}

impl Stall {
    const fn is_over(self, now_us: Micros, progress_us: Micros) -> bool {
        now_us.saturating_sub(progress_us) > self.after_us
    }

    /// Whether a waiting frame stands still at its owner.
    fn of(self, now_us: Micros, f: &FrameInFlight) -> bool {
        usize::from(f.finished) < self.for_tail && self.is_over(now_us, f.progress_us)
    }
}
