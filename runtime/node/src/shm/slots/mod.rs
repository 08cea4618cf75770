//! The store of a real node: objects lie in slots of the shared segment.
//!
//! Only the network process knows which slots are in use; the segment itself holds nothing but
//! values. The store counts the loans of a slot, to a job or to a thread. Others may read a slot that is lent
//! for reading, but nobody frees or writes the slot before its loans end.

mod loan;

use std::{
    collections::VecDeque,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    arrivals,
    error::SegmentError,
    layout::{LINE_BYTES, PAGE_BYTES},
    places::place,
    segment::{Segment, ShmWords},
};
pub use loan::{ArrivingSlot, SlotLoan, SlotView};
use tessera_plan::{dataflow::SlotCount, files::statistics::SlotUsage};
use tessera_protocol::store::{SlotId, Store};

/// In a loan count: one borrower who may write.
const WRITER: u32 = u32::MAX;
/// In a loan count: one borrower who reads rows as they arrive.
const ARRIVING: u32 = WRITER - 1;

/// Most bytes of slots without content that keep their memory: slots that are taken again soon need not get it anew.
const IDLE_BYTES_MAX: usize = 1 << 18;

/// A class of slots with the same length.
#[derive(Debug)]
struct Class {
    /// Length of each slot in bytes.
    bytes: usize,
    /// Free slots; the last one is given out next, so that pages in use stay in use.
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Start of the slot, in lines from the slots' start.
    place: u32,
    class: u32,
    /// Bytes that the allocation asked for.
    bytes: usize,
    /// While rows arrive: bytes that are handed over to the borrower.
    handed_over: usize,
    /// While a job writes: the word of the entries with the number of rows that it has made, and the bytes of a row.
    mark: Option<(usize, usize)>,
    taken: bool,
    /// Whether it is in [`SegmentStore::idle`].
    idle: bool,
}

/// A [`Store`] whose slots lie in a segment.
#[derive(Debug)]
pub struct SegmentStore {
    segment: Segment,
    /// The jobs' entries, with the marks of their outputs.
    entries: ShmWords,
    classes: Vec<Class>,
    slots: Vec<Slot>,
    /// Per slot its readers, or [`WRITER`].
    loans: Arc<[AtomicU32]>,
    /// Slots without content that may have memory, the longest idle first.
    idle: VecDeque<u32>,
    /// Bytes of these slots.
    idle_bytes: usize,
    usage: SlotUsage,
}

impl SegmentStore {
    /// Makes the store of a segment that was created with the same `classes`.
    ///
    /// # Errors
    /// When the segment is too small for `classes`, was created by another process, or has a store already.
    pub fn new(segment: &Segment, classes: &[SlotCount]) -> Result<Self, SegmentError> {
        let (places, bytes) = place(classes);
        if bytes > segment.layout().slot_bytes || bytes / LINE_BYTES > u32::MAX as usize {
            return Err(SegmentError::Layout {
                what: "slot bytes",
                found: bytes,
            });
        }
        segment.manage()?;
        let mut store = Self {
            segment: segment.clone(),
            entries: segment.entries(),
            classes: Vec::new(),
            slots: Vec::with_capacity(places.len()),
            loans: (0..places.len()).map(|_| AtomicU32::new(0)).collect(),
            idle: VecDeque::new(),
            idle_bytes: 0,
            usage: SlotUsage {
                slots: places.len(),
                ..SlotUsage::default()
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
                handed_over: 0,
                mark: None,
                taken: false,
                idle: false,
            });
        }
        for c in &mut store.classes {
            c.free.reverse();
        }
        Ok(store)
    }

    /// The current usage of the slots.
    pub fn usage(&self) -> SlotUsage {
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

    /// Notes that a slot is without content, and gives the memory of those back that have been so for longest.
    fn rest(&mut self, slot: SlotId) {
        let s = &mut self.slots[slot.0 as usize];
        let length = self.classes[s.class as usize].bytes;
        if s.idle || length < PAGE_BYTES {
            return;
        }
        s.idle = true;
        self.idle.push_back(slot.0);
        self.idle_bytes += length;
        while self.idle_bytes > IDLE_BYTES_MAX
            && let Some(id) = self.idle.pop_front()
        {
            let s = &mut self.slots[id as usize];
            s.idle = false;
            let length = self.classes[s.class as usize].bytes;
            self.idle_bytes -= length;
            self.segment.discard(s.place, length);
        }
    }

    /// Notes that a slot is about to be written.
    fn wake(&mut self, slot: SlotId) {
        let s = &mut self.slots[slot.0 as usize];
        if std::mem::take(&mut s.idle) {
            self.idle_bytes -= self.classes[s.class as usize].bytes;
            self.idle.retain(|id| *id != slot.0);
        }
    }

    /// Lends a slot for reading, to any thread, until the view is dropped; `None` while the slot is
    /// lent for writing.
    ///
    /// # Panics
    /// If the slot is free.
    pub fn lend(&self, slot: SlotId) -> Option<SlotView> {
        let s = self.slot(slot);
        // Loans for writing are made through `&mut self` alone: the count does not become WRITER
        // between the look and the step, it only falls when borrowers leave.
        if self.loan(slot) >= ARRIVING - 1 {
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

    /// Lends a slot to a borrower who reads the first `bytes` bytes, and more when [`Self::hand_over`] says so; `None`
    /// while the slot has any other loan. Meanwhile the rest of the slot may be written.
    ///
    /// # Panics
    /// If the slot is free or smaller.
    pub fn lend_arriving(&mut self, slot: SlotId, bytes: usize) -> Option<ArrivingSlot> {
        let s = self.slot(slot);
        assert!(bytes <= s.bytes, "slot {} is smaller", slot.0);
        if self.loan(slot) != 0 {
            return None;
        }
        self.wake(slot);
        self.slots[slot.0 as usize].handed_over = bytes;
        self.loans[slot.0 as usize].store(ARRIVING, Ordering::Relaxed);
        Some(ArrivingSlot {
            loans: Arc::clone(&self.loans),
            slot,
            place: s.place,
            bytes: s.bytes,
        })
    }

    /// Notes that the borrower of an arriving slot may read the first `bytes` bytes: call this function before the
    /// borrower learns it. From then on nobody writes them.
    ///
    /// # Panics
    /// If the slot is free or smaller.
    pub fn hand_over(&mut self, slot: SlotId, bytes: usize) {
        let s = self.slot(slot);
        assert!(bytes <= s.bytes, "slot {} is smaller", slot.0);
        let handed_over = &mut self.slots[slot.0 as usize].handed_over;
        *handed_over = bytes.max(*handed_over);
    }

    /// Notes where the job that a slot is lent to marks the rows of `row_bytes` bytes that it has made: in this word of
    /// the entries, for as long as the slot is lent. It never writes those again.
    pub(crate) fn note_mark(&mut self, slot: SlotId, at: usize, row_bytes: usize) {
        self.slot(slot);
        self.slots[slot.0 as usize].mark = Some((at, row_bytes));
    }

    /// The segment that holds the slots.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Lends a slot for writing; `None` while the slot has any other loan.
    ///
    /// # Panics
    /// If the slot is free.
    pub fn lend_mut(&mut self, slot: SlotId) -> Option<SlotLoan> {
        let s = self.slot(slot);
        if self.loan(slot) != 0 {
            return None;
        }
        self.wake(slot);
        self.slots[slot.0 as usize].mark = None;
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
        self.rest(slot);
    }

    /// # Panics
    /// If the slot is free or lent.
    fn discard(&mut self, slot: SlotId) {
        self.slot(slot);
        assert!(self.loan(slot) == 0, "slot {} is lent", slot.0);
        self.rest(slot);
    }

    /// # Panics
    /// If the slot is free or lent to somebody who writes it.
    fn bytes(&self, slot: SlotId) -> &[u8] {
        let s = self.slot(slot);
        assert!(self.loan(slot) != WRITER, "slot {} is written", slot.0);
        let bytes = self.segment.bytes(s.place, s.bytes);
        // SAFETY: this store alone manages the segment's slots (`Segment::manage`), and slots do not
        // overlap (`place`). Bytes change through `bytes_mut` and `lend_mut`, which need `&mut
        // self`, or through an earlier loan for writing, which the check excludes.
        bytes.map_or(&[], |v| unsafe { v.as_ref() })
    }

    /// # Panics
    /// If the slot is free or lent.
    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8] {
        let s = self.slot(slot);
        assert!(self.loan(slot) == 0, "slot {} is lent", slot.0);
        self.wake(slot);
        let bytes = self.segment.bytes(s.place, s.bytes);
        // SAFETY: as in `bytes`; nobody has borrowed the slot, and nobody can while `self` is
        // borrowed mutably.
        bytes.map_or(&mut [], |mut v| unsafe { v.as_mut() })
    }

    /// # Panics
    /// If the slot is free.
    fn made_bytes(&self, slot: SlotId) -> &[u8] {
        let s = self.slot(slot);
        let mark = s.mark.filter(|_| self.loan(slot) == WRITER);
        let Some((at, row_bytes)) = mark else {
            return &[];
        };
        let rows = arrivals::look(&self.entries, at) as usize;
        let bytes = rows.saturating_mul(row_bytes).min(s.bytes);
        let bytes = self.segment.bytes(s.place, bytes);
        // SAFETY: the bytes lie in the slot. They are rows before the mark, which the slot's one borrower, a job, does not
        // write again (`Outputs`); nobody else writes the slot while it is lent, and the loan ends through `&mut` of the
        // owner of this store alone: a job's loan is dropped by `Workers::drain`, which no borrow of these bytes outlives,
        // since the machine copies them within one call.
        bytes.map_or(&[], |v| unsafe { v.as_ref() })
    }

    /// # Panics
    /// If the slot is free, or lent otherwise than to a reader of what arrives.
    fn open_bytes(&mut self, slot: SlotId) -> (usize, &mut [u8]) {
        let s = self.slot(slot);
        if self.loan(slot) != ARRIVING {
            return (0, self.bytes_mut(slot));
        }
        let from = s.handed_over;
        let bytes = self.segment.bytes(s.place, s.bytes).map(|all| {
            // SAFETY: `hand_over` and `lend_arriving` keep `from` within the slot.
            let open = unsafe { all.cast::<u8>().add(from) };
            NonNull::slice_from_raw_parts(open, s.bytes - from)
        });
        // SAFETY: the borrower reads nothing behind what was handed over, and there is one (the count was 0). Others
        // reach the slot through `self` alone, which is borrowed mutably.
        (from, bytes.map_or(&mut [], |mut v| unsafe { v.as_mut() }))
    }
}

#[cfg(test)]
mod tests;
