//! Where objects lie: slots of bytes.
//!
//! The state machines name slots and never hold pointers. In production slots lie in the shared
//! segment (`tessera-node`'s `shm`); in the simulator and in tests they lie on the heap.

/// A slot of a [`Store`]. Meaningless to other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// A bounded pool of slots.
pub trait Store {
    /// A slot for `bytes` bytes (0 is allowed), aligned to 64, content undefined; `None` when the pool is full.
    fn alloc(&mut self, bytes: usize) -> Option<SlotId>;

    /// Gives a slot back.
    fn free(&mut self, slot: SlotId);

    /// The slot's bytes, as many as were asked for: little-endian values of the object's element type.
    fn bytes(&self, slot: SlotId) -> &[u8];

    /// The slot's bytes, to be written. The caller owns the slot: no task reads or writes it now.
    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8];
}
