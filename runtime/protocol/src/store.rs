//! Storage of objects: slots of bytes.
//!
//! The state machines name slots and never hold pointers. In production slots lie in the shared
//! segment (`tessera-node`'s `shm`); in the simulator and in tests they lie on the heap.

/// A slot of a [`Store`]. Slot ids mean nothing to other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// A bounded pool of slots.
pub trait Store {
    /// A slot of `bytes` bytes (0 is allowed), aligned to 64 bytes, content undefined; `None` when the pool is full.
    fn alloc(&mut self, bytes: usize) -> Option<SlotId>;

    /// Returns a slot to the pool.
    fn free(&mut self, slot: SlotId);

    /// Notes that the content of a slot that its owner keeps is of no use any more, so the pool may give the memory
    /// to others until the slot is written again.
    fn discard(&mut self, slot: SlotId) {
        let _ = slot;
    }

    /// The slot's bytes, as many as requested from `alloc`: little-endian values of the object's element type.
    fn bytes(&self, slot: SlotId) -> &[u8];

    /// The slot's bytes for writing. The caller owns the slot: no task reads or writes the slot now.
    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8];

    /// What may be read of a slot that a job writes: the bytes that it has made, from the first row on, as far as that is
    /// known. Nothing of a slot whose job is over.
    fn made_bytes(&self, slot: SlotId) -> &[u8] {
        let _ = slot;
        &[]
    }

    /// What may be written of a slot whose rows a job reads as they arrive ([`crate::Job::arriving`]): the number of
    /// bytes that are handed over to the job, and the bytes behind them. Of other slots, 0 and everything, as
    /// [`Store::bytes_mut`].
    fn open_bytes(&mut self, slot: SlotId) -> (usize, &mut [u8]) {
        (0, self.bytes_mut(slot))
    }
}
