//! Helpers of the unit tests: the simulator's program and store, with the types of this build of the crate.
//!
//! The simulator links the crate itself and not the test build, so ids and traits are distinct types
//! here.

use tessera_plan::{element::ElementType, region::Region};
use tessera_sim::{WatchedStore, program, store as watched, store::Store as _};

use super::{Placement, ProgramInfo};
use crate::store::{SlotId, Store};

/// A box of rows and columns, all of `c` channels.
pub fn region(y: [usize; 2], x: [usize; 2], c: usize) -> Region {
    Region::new(y, x, [0, c])
}

/// [`program::two_stages`] of f32 tensors.
pub fn two_stages(n: usize) -> ProgramInfo {
    two_stages_of(n, ElementType::F32)
}

/// [`program::two_stages`] of tensors of one element type.
pub fn two_stages_of(n: usize, element: ElementType) -> ProgramInfo {
    ProgramInfo {
        plan_hash: [7; 32],
        model_digest: [9; 32],
        placement: Placement::Steal,
        boards: 1,
        graph: program::two_stages(n, [element; 3]),
    }
}

/// The simulator's store, without bounds.
#[derive(Debug)]
pub struct TestStore(WatchedStore);

impl Default for TestStore {
    fn default() -> Self {
        Self(WatchedStore::unbounded())
    }
}

impl TestStore {
    /// Lends a slot to a job that makes it; its bytes stay as they are.
    pub fn begin(&mut self, slot: SlotId) {
        self.0.lock_write(watched::SlotId(slot.0));
    }

    /// Notes that the job has made so many bytes.
    pub fn make(&mut self, slot: SlotId, bytes: usize) {
        self.0.make(watched::SlotId(slot.0), bytes);
    }

    /// Ends the job.
    pub fn end(&mut self, slot: SlotId) {
        self.0.unlock_write(watched::SlotId(slot.0));
    }
}

impl Store for TestStore {
    fn alloc(&mut self, bytes: usize) -> Option<SlotId> {
        self.0.alloc(bytes).map(|slot| SlotId(slot.0))
    }

    fn free(&mut self, slot: SlotId) {
        self.0.free(watched::SlotId(slot.0));
    }

    fn bytes(&self, slot: SlotId) -> &[u8] {
        self.0.bytes(watched::SlotId(slot.0))
    }

    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8] {
        self.0.bytes_mut(watched::SlotId(slot.0))
    }

    fn made_bytes(&self, slot: SlotId) -> &[u8] {
        self.0.made_bytes(watched::SlotId(slot.0))
    }

    fn open_bytes(&mut self, slot: SlotId) -> (usize, &mut [u8]) {
        self.0.open_bytes(watched::SlotId(slot.0))
    }
}
