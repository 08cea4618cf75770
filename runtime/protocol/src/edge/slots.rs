//! The slots of an edge: the edge reserves slots for own frames before it keeps anything for others.
//!
//! Without a reserve two sources could wait for each other for ever: each with a store full of the other's
//! stolen outputs, and no slot for its own next task. A source would also bring no further frame while the
//! frames of a slow node, whose outputs the source keeps, do not end. A node without own frames reserves
//! nothing.

use std::collections::BTreeMap;

use tessera_plan::dataflow::{SlotCount, own_slots};

use crate::{
    EdgeConfig, ProgramInfo,
    stats::EdgeStats,
    store::{SlotId, Store},
};

/// The purpose of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotUse {
    /// Holds an own frame itself.
    Frame,
    /// Holds an own frame's outputs, or inputs pulled for a job.
    Own,
    /// Holds objects of another node's frame.
    Foreign,
}

/// Reserves slots for own frames.
#[derive(Debug)]
pub struct Slots {
    /// Number of slots to reserve, by size.
    quota: Vec<SlotCount>,
    spare: BTreeMap<usize, Vec<SlotId>>,
    /// Number of slots to reserve for frames themselves, and bytes of each slot.
    frames: SlotCount,
    spare_frames: Vec<SlotId>,
    primed: bool,
    used: BTreeMap<SlotId, (usize, SlotUse)>,
    foreign_bytes: usize,
}

impl Slots {
    /// An empty reserve; slots are reserved on first need.
    pub fn new(config: &EdgeConfig, info: &ProgramInfo) -> Self {
        let quota = if config.frames_max == 0 {
            Vec::new()
        } else {
            own_slots(info, config.frames_max, config.slot_jobs())
        };
        Self {
            quota,
            spare: BTreeMap::new(),
            frames: SlotCount {
                bytes: info.tensors.first().map_or(0, |t| t.bytes(t.region)),
                count: config.frames_max,
            },
            spare_frames: Vec::new(),
            primed: false,
            used: BTreeMap::new(),
            foreign_bytes: 0,
        }
    }

    fn prime(&mut self, store: &mut impl Store) {
        if self.primed {
            return;
        }
        self.primed = true;
        while self.spare_frames.len() < self.frames.count
            && let Some(slot) = store.alloc(self.frames.bytes)
        {
            self.spare_frames.push(slot);
        }
        for &SlotCount { bytes, count } in &self.quota {
            let spare = self.spare.entry(bytes).or_default();
            while spare.len() < count
                && let Some(slot) = store.alloc(bytes)
            {
                spare.push(slot);
            }
        }
    }

    /// Takes a slot; `None` when there is no room.
    pub fn take(
        &mut self,
        bytes: usize,
        who: SlotUse,
        store: &mut impl Store,
        stats: &mut EdgeStats,
    ) -> Option<SlotId> {
        self.prime(store);
        let spare = match who {
            SlotUse::Own => self.spare.get_mut(&bytes).and_then(Vec::pop),
            SlotUse::Foreign | SlotUse::Frame => None,
        };
        let slot = spare.or_else(|| store.alloc(bytes))?;
        self.note(slot, bytes, who, stats);
        Some(slot)
    }

    /// Takes a slot for a frame about to be brought; `None` when there is no room.
    pub fn for_frame(&mut self, store: &mut impl Store) -> Option<SlotId> {
        self.prime(store);
        let spare = self.spare_frames.pop();
        spare.or_else(|| store.alloc(self.frames.bytes))
    }

    /// Takes back the slot of a frame that has ended or that was never brought.
    pub fn frame_back(&mut self, slot: SlotId, store: &mut impl Store) {
        if self.primed && self.spare_frames.len() < self.frames.count {
            store.discard(slot);
            self.spare_frames.push(slot);
        } else {
            store.free(slot);
        }
    }

    /// Notes that no more frames will come: the frames' slots serve others.
    pub fn frames_over(&mut self, store: &mut impl Store) {
        self.frames.count = 0;
        for slot in self.spare_frames.drain(..) {
            store.free(slot);
        }
    }

    /// Takes over the slot of a new frame.
    pub fn adopt(&mut self, slot: SlotId, stats: &mut EdgeStats) {
        self.note(slot, self.frames.bytes, SlotUse::Frame, stats);
    }

    fn note(&mut self, slot: SlotId, bytes: usize, who: SlotUse, stats: &mut EdgeStats) {
        self.used.insert(slot, (bytes, who));
        if who == SlotUse::Foreign {
            self.foreign_bytes += bytes;
        }
        stats.slots += 1;
        stats.bytes += bytes as u64;
        stats.slots_peak = stats.slots_peak.max(stats.slots);
        stats.bytes_peak = stats.bytes_peak.max(stats.bytes);
    }

    /// Returns a slot to the reserve or the store.
    pub fn give(&mut self, slot: SlotId, store: &mut impl Store, stats: &mut EdgeStats) {
        let Some((bytes, who)) = self.used.remove(&slot) else {
            return;
        };
        stats.slots -= 1;
        stats.bytes -= bytes as u64;
        if who == SlotUse::Foreign {
            self.foreign_bytes -= bytes;
        }
        if who == SlotUse::Frame {
            self.frame_back(slot, store);
            return;
        }
        let quota = self
            .quota
            .iter()
            .find(|q| q.bytes == bytes)
            .map_or(0, |q| q.count);
        let spare = self.spare.entry(bytes).or_default();
        if who == SlotUse::Own && spare.len() < quota {
            store.discard(slot);
            spare.push(slot);
        } else {
            store.free(slot);
        }
    }

    /// Bytes in use for other nodes' frames.
    pub const fn foreign_bytes(&self) -> usize {
        self.foreign_bytes
    }

    /// Returns the reserve to the store when no slot is in use.
    pub fn rest(&mut self, store: &mut impl Store) {
        // A frame's slot may have been set aside although no task ever needed one.
        if self.used.is_empty() {
            self.primed = false;
            let spare = std::mem::take(&mut self.spare).into_values().flatten();
            for slot in spare.chain(self.spare_frames.drain(..)) {
                store.free(slot);
            }
        }
    }
}
