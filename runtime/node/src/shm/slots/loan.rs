//! Loans of slots. The store counts loans, so that no code frees or writes a slot that other code reads.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::shm::segment::Segment;
use tessera_protocol::store::SlotId;

/// A slot lent for reading, to any thread. Dropping the view returns the slot.
#[derive(Debug)]
pub struct SlotView {
    pub(super) segment: Segment,
    pub(super) loans: Arc<[AtomicU32]>,
    pub(super) slot: SlotId,
    pub(super) place: u32,
    pub(super) bytes: usize,
}

/// A slot lent for writing. Dropping the loan returns the slot.
#[derive(Debug)]
pub struct SlotLoan {
    pub(super) segment: Segment,
    pub(super) loans: Arc<[AtomicU32]>,
    pub(super) slot: SlotId,
    pub(super) place: u32,
    pub(super) bytes: usize,
}

/// A slot lent to a reader of its rows, which may still be arriving. Dropping the loan returns the slot.
#[derive(Debug)]
pub struct ArrivingSlot {
    pub(super) loans: Arc<[AtomicU32]>,
    pub(super) slot: SlotId,
    pub(super) place: u32,
    pub(super) bytes: usize,
}

impl ArrivingSlot {
    /// The slot.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// Start of the slot, in 64-byte lines from the slots' start.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Length of the slot in bytes.
    pub fn length(&self) -> usize {
        self.bytes
    }
}

impl Drop for ArrivingSlot {
    fn drop(&mut self) {
        // SYNC POINT "returned", release side.
        self.loans[self.slot.0 as usize].store(0, Ordering::Release);
    }
}

impl SlotView {
    /// The slot's bytes, as many as were allocated.
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.segment.bytes(self.place, self.bytes);
        // SAFETY: while this view is counted the store neither frees the slot nor lends it for
        // writing nor writes it (all three assert that the count is zero), and loans for writing
        // were excluded when the view was made.
        bytes.map_or(&[], |b| unsafe { b.as_ref() })
    }

    /// Start of the slot, in 64-byte lines from the slots' start.
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
    /// Start of the slot, in 64-byte lines from the slots' start.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Length of the slot in bytes.
    pub fn length(&self) -> usize {
        self.bytes
    }

    /// The slot's bytes, for this process to write. Once another process knows the loan's place, the loan
    /// is for that process alone.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.segment.bytes(self.place, self.bytes);
        // SAFETY: while the slot is lent for writing, the store neither frees it nor lends it again
        // nor touches its bytes; there is one loan, and it is borrowed mutably. Workers write only
        // slots whose loans `Workers` holds, which never calls this.
        bytes.map_or(&mut [], |mut b| unsafe { b.as_mut() })
    }
}

impl Drop for SlotLoan {
    fn drop(&mut self) {
        // SYNC POINT "returned", release side.
        self.loans[self.slot.0 as usize].store(0, Ordering::Release);
    }
}
