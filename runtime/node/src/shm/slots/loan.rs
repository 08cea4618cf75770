//! Slots that are lent: counted, so that nobody frees or writes what somebody reads.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::shm::segment::Segment;
use tessera_protocol::store::SlotId;

/// A slot lent for reading, to any thread. Gives it back when dropped.
#[derive(Debug)]
pub struct SlotView {
    pub(super) segment: Segment,
    pub(super) loans: Arc<[AtomicU32]>,
    pub(super) slot: SlotId,
    pub(super) place: u32,
    pub(super) bytes: usize,
}

/// A slot lent for writing. Gives it back when dropped.
#[derive(Debug)]
pub struct SlotLoan {
    pub(super) segment: Segment,
    pub(super) loans: Arc<[AtomicU32]>,
    pub(super) slot: SlotId,
    pub(super) place: u32,
    pub(super) bytes: usize,
}

impl SlotView {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.segment.bytes(self.place, self.bytes);
        // SAFETY: while this view is counted the store neither frees the slot nor lends it for
        // writing nor writes it (all three assert that the count is zero), and loans for writing
        // were excluded when the view was made.
        bytes.map_or(&[], |b| unsafe { b.as_ref() })
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

    /// Number of bytes.
    pub fn length(&self) -> usize {
        self.bytes
    }

    /// The bytes, to be written by this process. A loan whose place another process was told is
    /// kept for that process alone.
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
