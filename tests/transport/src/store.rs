//! Slots on the heap.

use tessera_protocol::store::{SlotId, Store};

/// A store without a bound: the harness allocates everything before it measures.
#[derive(Debug, Default)]
pub struct Slots(Vec<Vec<u8>>);

impl Slots {
    /// A slot with these bytes.
    pub fn put(&mut self, bytes: Vec<u8>) -> SlotId {
        self.0.push(bytes);
        SlotId((self.0.len() - 1) as u32)
    }
}

impl Store for Slots {
    fn alloc(&mut self, bytes: usize) -> Option<SlotId> {
        Some(self.put(vec![0; bytes]))
    }

    fn free(&mut self, _: SlotId) {}

    fn bytes(&self, slot: SlotId) -> &[u8] {
        &self.0[slot.0 as usize]
    }

    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8] {
        &mut self.0[slot.0 as usize]
    }
}
