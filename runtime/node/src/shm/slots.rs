//! Slots of the shared segment: where objects lie on a real node.
//!
//! Which slots are taken is known to the network process alone; the segment holds nothing but
//! values. A slot that is lent, to a job or to a thread, is counted: it can be read while others
//! read it, and neither freed nor written before they are done.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::{
    layout::{LINE, PAGE},
    segment::{Segment, SegmentError},
};
use tessera_plan::dataflow::SlotCount;
use tessera_protocol::store::{SlotId, Store};

/// In a loan count: one borrower who may write.
const WRITER: u32 = u32::MAX;

/// A class of equally long slots.
#[derive(Debug)]
struct Class {
    /// Bytes that fit.
    bytes: usize,
    /// Free slots; the last one is given out next, so that pages in use stay in use.
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Lines from the slots' start.
    place: u32,
    class: u32,
    /// Bytes asked for.
    bytes: usize,
    taken: bool,
}

/// How full a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Slots there are.
    pub slots: usize,
    /// Slots taken.
    pub taken: usize,
    /// Bytes of what lies in them.
    pub bytes: usize,
    /// Most bytes at any time.
    pub peak_bytes: usize,
    /// Times that no slot was free.
    pub full: u64,
}

/// The slots of a segment: a [`Store`].
#[derive(Debug)]
pub struct SegmentStore {
    segment: Segment,
    classes: Vec<Class>,
    slots: Vec<Slot>,
    /// Per slot its readers, or [`WRITER`].
    loans: Arc<[AtomicU32]>,
    usage: Usage,
}

/// A slot lent for reading, to any thread. Gives it back when dropped.
#[derive(Debug)]
pub struct SlotView {
    segment: Segment,
    loans: Arc<[AtomicU32]>,
    slot: SlotId,
    place: u32,
    bytes: usize,
}

/// A slot lent for writing. Gives it back when dropped.
#[derive(Debug)]
pub struct SlotLoan {
    segment: Segment,
    loans: Arc<[AtomicU32]>,
    slot: SlotId,
    place: u32,
    bytes: usize,
}

/// Where the slots of `classes` begin, in lines, with their bytes, ascending; and how many bytes all
/// take. Slots of a page or more begin on pages, others on lines.
pub(super) fn place(classes: &[SlotCount]) -> (Vec<(usize, usize)>, usize) {
    let mut sorted: Vec<(usize, usize)> = classes.iter().map(|c| (c.bytes, c.count)).collect();
    sorted.sort_unstable();
    let mut places = Vec::new();
    let mut end = 0usize;
    for (bytes, count) in sorted {
        let align = if bytes >= PAGE { PAGE } else { LINE };
        let stride = bytes
            .checked_next_multiple_of(align)
            .unwrap_or(usize::MAX)
            .max(LINE);
        for _ in 0..count {
            let start = end.checked_next_multiple_of(align).unwrap_or(usize::MAX);
            places.push((start / LINE, bytes));
            end = start.saturating_add(stride);
        }
    }
    (places, end)
}

impl SegmentStore {
    /// The slots of a segment that was created with the same `classes`.
    ///
    /// # Errors
    /// When the segment is too small for them, was not created by this process, or has a store.
    pub fn new(segment: &Segment, classes: &[SlotCount]) -> Result<Self, SegmentError> {
        let (places, bytes) = place(classes);
        if bytes > segment.layout().slot_bytes || bytes / LINE > u32::MAX as usize {
            return Err(SegmentError::Layout {
                what: "slot bytes",
                found: bytes,
            });
        }
        segment.manage()?;
        let mut store = Self {
            segment: segment.clone(),
            classes: Vec::new(),
            slots: Vec::with_capacity(places.len()),
            loans: (0..places.len()).map(|_| AtomicU32::new(0)).collect(),
            usage: Usage {
                slots: places.len(),
                ..Usage::default()
            },
        };
        for (at, bytes) in places {
            if store.classes.last().is_none_or(|c| c.bytes != bytes) {
                let free = Vec::new();
                store.classes.push(Class { bytes, free });
            }
            let class = store.classes.len() - 1;
            store.classes[class].free.push(store.slots.len() as u32);
            store.slots.push(Slot {
                place: at as u32,
                class: class as u32,
                bytes: 0,
                taken: false,
            });
        }
        for c in &mut store.classes {
            c.free.reverse();
        }
        Ok(store)
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    fn slot(&self, slot: SlotId) -> Slot {
        let s = self.slots[slot.0 as usize];
        assert!(s.taken, "slot {} is free", slot.0);
        s
    }

    fn loan(&self, slot: SlotId) -> u32 {
        // SYNC POINT "returned", acquire side: what the borrower did is over and visible.
        self.loans[slot.0 as usize].load(Ordering::Acquire)
    }

    /// The slot's values.
    ///
    /// # Panics
    /// If the slot is free or lent to somebody who writes it.
    pub fn floats(&self, slot: SlotId) -> &[f32] {
        let s = self.slot(slot);
        assert!(self.loan(slot) != WRITER, "slot {} is written", slot.0);
        let values = self.segment.floats(s.place, s.bytes / 4);
        // SAFETY: this store alone manages the segment's slots (`Segment::manage`), and slots do not
        // overlap (`place`). Values change through `floats_mut` and `lend_mut`, which need `&mut
        // self`, or through an earlier loan for writing, which the check excludes.
        values.map_or(&[], |v| unsafe { v.as_ref() })
    }

    /// The slot's values, to be written.
    ///
    /// # Panics
    /// If the slot is free or lent.
    pub fn floats_mut(&mut self, slot: SlotId) -> &mut [f32] {
        let s = self.slot(slot);
        assert!(self.loan(slot) == 0, "slot {} is lent", slot.0);
        let values = self.segment.floats(s.place, s.bytes / 4);
        // SAFETY: as in `floats`; nobody has borrowed the slot, and nobody can while `self` is
        // borrowed mutably.
        values.map_or(&mut [], |mut v| unsafe { v.as_mut() })
    }

    /// Lends the slot to be read, by any thread, until the view is dropped; `None` while somebody
    /// has it to write.
    ///
    /// # Panics
    /// If the slot is free.
    pub fn lend(&self, slot: SlotId) -> Option<SlotView> {
        let s = self.slot(slot);
        // Loans for writing are made through `&mut self` alone: the count does not become WRITER
        // between the look and the step, it only falls when borrowers leave.
        if self.loan(slot) >= WRITER - 1 {
            return None;
        }
        self.loans[slot.0 as usize].fetch_add(1, Ordering::Relaxed);
        Some(SlotView {
            segment: self.segment.clone(),
            loans: Arc::clone(&self.loans),
            slot,
            place: s.place,
            bytes: s.bytes,
        })
    }

    /// The segment they lie in.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Lends the slot to be written; `None` while anybody else has it.
    ///
    /// # Panics
    /// If the slot is free.
    pub fn lend_mut(&mut self, slot: SlotId) -> Option<SlotLoan> {
        let s = self.slot(slot);
        if self.loan(slot) != 0 {
            return None;
        }
        self.loans[slot.0 as usize].store(WRITER, Ordering::Relaxed);
        Some(SlotLoan {
            segment: self.segment.clone(),
            loans: Arc::clone(&self.loans),
            slot,
            place: s.place,
            bytes: s.bytes,
        })
    }
}

impl Store for SegmentStore {
    fn alloc(&mut self, bytes: usize) -> Option<SlotId> {
        let first = self.classes.partition_point(|c| c.bytes < bytes);
        let Some(id) = self.classes[first..].iter_mut().find_map(|c| c.free.pop()) else {
            self.usage.full += 1;
            return None;
        };
        let slot = &mut self.slots[id as usize];
        (slot.taken, slot.bytes) = (true, bytes);
        self.usage.taken += 1;
        self.usage.bytes += bytes;
        self.usage.peak_bytes = self.usage.peak_bytes.max(self.usage.bytes);
        Some(SlotId(id))
    }

    /// # Panics
    /// If the slot is free or lent.
    fn free(&mut self, slot: SlotId) {
        let s = self.slot(slot);
        assert!(self.loan(slot) == 0, "slot {} is lent", slot.0);
        self.slots[slot.0 as usize].taken = false;
        self.classes[s.class as usize].free.push(slot.0);
        self.usage.taken -= 1;
        self.usage.bytes -= s.bytes;
    }

    fn bytes(&self, slot: SlotId) -> &[u8] {
        let s = self.slot(slot);
        assert!(self.loan(slot) != WRITER, "slot {} is written", slot.0);
        let bytes = self.segment.bytes(s.place, s.bytes);
        // SAFETY: as in `floats`.
        bytes.map_or(&[], |v| unsafe { v.as_ref() })
    }

    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8] {
        let s = self.slot(slot);
        assert!(self.loan(slot) == 0, "slot {} is lent", slot.0);
        let bytes = self.segment.bytes(s.place, s.bytes);
        // SAFETY: as in `floats_mut`.
        bytes.map_or(&mut [], |mut v| unsafe { v.as_mut() })
    }
}

impl SlotView {
    /// The values.
    pub fn floats(&self) -> &[f32] {
        let values = self.segment.floats(self.place, self.bytes / 4);
        // SAFETY: while this view is counted the store neither frees the slot nor lends it for
        // writing nor writes it (all three assert that the count is zero), and loans for writing
        // were excluded when the view was made.
        values.map_or(&[], |v| unsafe { v.as_ref() })
    }

    /// Where it begins, in lines from the slots' start.
    pub fn place(&self) -> u32 {
        self.place
    }
}

impl Drop for SlotView {
    fn drop(&mut self) {
        // SYNC POINT "returned", release side.
        self.loans[self.slot.0 as usize].fetch_sub(1, Ordering::Release);
    }
}

impl SlotLoan {
    /// Where it begins, in lines from the slots' start.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Number of values.
    pub fn floats(&self) -> usize {
        self.bytes / 4
    }

    /// The values, to be written by this process. A loan whose place another process was told is
    /// kept for that process alone.
    pub fn values_mut(&mut self) -> &mut [f32] {
        let values = self.segment.floats(self.place, self.bytes / 4);
        // SAFETY: while the slot is lent for writing, the store neither frees it nor lends it again
        // nor touches its values; there is one loan, and it is borrowed mutably. Workers write only
        // slots whose loans `Workers` holds, which never calls this.
        values.map_or(&mut [], |mut v| unsafe { v.as_mut() })
    }
}

impl Drop for SlotLoan {
    fn drop(&mut self) {
        // SYNC POINT "returned", release side.
        self.loans[self.slot.0 as usize].store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
