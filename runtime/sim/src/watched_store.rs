//! A [`Store`] on the heap that checks every use of its slots.

use std::collections::HashMap;

use tessera_plan::dataflow::SlotCount;
use tessera_protocol::store::{SlotId, Store};

/// Slots of fixed sizes. The store never reuses a slot number, so it finds every use of a slot after its
/// end. Slots that a job uses are locked.
///
/// # Panics
/// On a use after free, a double free, a free or a write while a job reads the slot, any touch
/// while a job writes it.
#[derive(Debug)]
pub struct WatchedStore {
    /// Sizes of slots, ascending.
    classes: Vec<Class>,
    slots: HashMap<SlotId, WatchedSlot>,
    made: u32,
    /// Whether a larger size serves when all slots of a size are in use.
    spill: bool,
    /// Most bytes in use at a time so far.
    peak_bytes: usize,
    used_bytes: usize,
    refused: u64,
    /// Whether slots begin with values that nobody wrote.
    poisoned: bool,
}

#[derive(Debug)]
struct Class {
    bytes: usize,
    free: usize,
}

#[derive(Debug)]
struct WatchedSlot {
    class: usize,
    bytes: Vec<u8>,
    readers: u32,
    writer: bool,
    /// While a job reads what arrives: bytes that are handed over to the job.
    handed_over: Option<usize>,
    /// While a job writes: bytes that it has made.
    made: usize,
}

impl WatchedStore {
    /// `classes` gives the number of slots of each size, as [`tessera_protocol::EdgeConfig::slots`] does. When all
    /// slots of a size are in use, larger slots serve if `spill` is set, as in the shared segment; else
    /// [`Store::alloc`] refuses.
    pub fn new(classes: &[SlotCount], spill: bool) -> Self {
        let mut classes: Vec<Class> = classes
            .iter()
            .map(|c| Class {
                bytes: c.bytes,
                free: c.count,
            })
            .collect();
        classes.sort_by_key(|c| c.bytes);
        Self {
            classes,
            slots: HashMap::new(),
            made: 0,
            spill,
            peak_bytes: 0,
            used_bytes: 0,
            refused: 0,
            poisoned: true,
        }
    }

    /// This store, with slots that begin with zeroes instead of values that spoil every result unless `poisoned` is set.
    #[must_use]
    pub const fn poisoned(mut self, poisoned: bool) -> Self {
        self.poisoned = poisoned;
        self
    }

    /// A store with any number of slots of any size.
    pub fn unbounded() -> Self {
        let all = SlotCount {
            bytes: usize::MAX,
            count: usize::MAX,
        };
        Self::new(&[all], false)
    }

    /// Number of slots in use.
    pub fn used(&self) -> usize {
        self.slots.len()
    }

    /// Slots in use that no job has locked, as `(slot, bytes)`, ascending.
    pub fn list(&self) -> Vec<(SlotId, usize)> {
        let mut all: Vec<_> = self
            .slots
            .iter()
            .map(|(&id, s)| (id, s.bytes.len()))
            .collect();
        all.sort_unstable();
        all
    }

    /// Most bytes in use at a time so far.
    pub const fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }

    /// Number of [`Store::alloc`] calls that found all slots of the size in use.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Locks a slot for a job that begins to read the slot.
    pub fn lock_read(&mut self, slot: SlotId) {
        let s = self.slot_mut(slot, "read by a job");
        assert!(!s.writer, "{slot:?}: read by a job while another writes it");
        s.readers += 1;
    }

    /// Locks a slot for a job that reads the first `bytes` bytes, and more when they are here.
    pub fn lock_arriving(&mut self, slot: SlotId, bytes: usize) {
        let s = self.slot_mut(slot, "read by a job");
        assert!(
            s.readers == 0 && !s.writer,
            "{slot:?}: arrives for a job while another uses it"
        );
        (s.readers, s.handed_over) = (1, Some(bytes));
    }

    /// Hands more of a slot over to the job that reads it: so many bytes in all.
    pub fn hand_over(&mut self, slot: SlotId, bytes: usize) {
        let s = self.slot_mut(slot, "read by a job");
        let before = s.handed_over.replace(bytes);
        assert!(
            before.is_some_and(|b| b <= bytes) && bytes <= s.bytes.len(),
            "{slot:?}: {bytes} bytes are handed over after {before:?}"
        );
    }

    /// Locks a slot for a job that begins to write the slot.
    pub fn lock_write(&mut self, slot: SlotId) {
        let s = self.slot_mut(slot, "written by a job");
        assert!(
            !s.writer && s.readers == 0,
            "{slot:?}: written by a job while another uses it"
        );
        (s.writer, s.made) = (true, 0);
    }

    /// Notes that the job that writes a slot has made its first `bytes` bytes. Returns those that it had not made before,
    /// for the job to write.
    pub fn make(&mut self, slot: SlotId, bytes: usize) -> &mut [u8] {
        let s = self.slot_mut(slot, "written by a job");
        assert!(s.writer, "{slot:?}: not locked for writing");
        let before = s.made;
        s.made = before.max(bytes);
        &mut s.bytes[before..s.made]
    }

    /// Bytes that the job that writes a slot has made.
    pub fn made(&self, slot: SlotId) -> usize {
        self.slot(slot, "written by a job").made
    }

    /// Unlocks a slot that a job has read.
    pub fn unlock_read(&mut self, slot: SlotId) {
        let s = self.slot_mut(slot, "read by a job");
        s.readers -= 1;
        s.handed_over = None;
    }

    /// Unlocks a slot that a job has written.
    pub fn unlock_write(&mut self, slot: SlotId) {
        let s = self.slot_mut(slot, "written by a job");
        s.writer = false;
    }

    /// A slot's bytes for a job that reads the slot.
    pub fn job_bytes(&self, slot: SlotId) -> &[u8] {
        &self.slot(slot, "read by a job").bytes
    }

    /// A slot's bytes for the job that writes the slot.
    pub fn job_bytes_mut(&mut self, slot: SlotId) -> &mut [u8] {
        let s = self.slot_mut(slot, "written by a job");
        assert!(s.writer, "{slot:?}: not locked for writing");
        &mut s.bytes
    }

    fn slot(&self, slot: SlotId, what: &str) -> &WatchedSlot {
        let s = self.slots.get(&slot);
        s.unwrap_or_else(|| panic!("{slot:?}: {what} after it was freed"))
    }

    fn slot_mut(&mut self, slot: SlotId, what: &str) -> &mut WatchedSlot {
        let s = self.slots.get_mut(&slot);
        s.unwrap_or_else(|| panic!("{slot:?}: {what} after it was freed"))
    }
}

impl Store for WatchedStore {
    fn alloc(&mut self, bytes: usize) -> Option<SlotId> {
        let first = self.classes.partition_point(|c| c.bytes < bytes);
        let end = if self.spill {
            self.classes.len()
        } else {
            first + 1
        };
        let fitting = self.classes.iter().enumerate().take(end).skip(first);
        let free = fitting.filter(|(_, c)| c.free > 0).map(|(k, _)| k).next();
        let Some(class) = free else {
            self.refused += 1;
            return None;
        };
        self.classes[class].free -= 1;
        let id = SlotId(self.made);
        self.made += 1;
        self.used_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.used_bytes);
        let mut content = vec![0; bytes];
        if self.poisoned {
            // Signalling NaNs that differ from slot to slot: values nobody wrote spoil every result.
            let poison = (0xff80_0001 | (self.made << 1)).to_le_bytes();
            for place in content.chunks_mut(4) {
                place.copy_from_slice(&poison[..place.len()]);
            }
        }
        let slot = WatchedSlot {
            class,
            bytes: content,
            readers: 0,
            writer: false,
            handed_over: None,
            made: 0,
        };
        self.slots.insert(id, slot);
        Some(id)
    }

    fn free(&mut self, slot: SlotId) {
        let s = self.slots.remove(&slot);
        let s = s.unwrap_or_else(|| panic!("{slot:?}: freed twice"));
        assert!(
            s.readers == 0 && !s.writer,
            "{slot:?}: freed while a job uses it"
        );
        self.classes[s.class].free += 1;
        self.used_bytes -= s.bytes.len();
    }

    fn bytes(&self, slot: SlotId) -> &[u8] {
        let s = self.slot(slot, "read");
        assert!(!s.writer, "{slot:?}: read while a job writes it");
        &s.bytes
    }

    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8] {
        let s = self.slot_mut(slot, "written");
        assert!(
            !s.writer && s.readers == 0,
            "{slot:?}: written while a job uses it"
        );
        &mut s.bytes
    }

    fn made_bytes(&self, slot: SlotId) -> &[u8] {
        let s = self.slot(slot, "read");
        if s.writer { &s.bytes[..s.made] } else { &[] }
    }

    fn open_bytes(&mut self, slot: SlotId) -> (usize, &mut [u8]) {
        match self.slot(slot, "written").handed_over {
            Some(from) => (from, &mut self.slot_mut(slot, "written").bytes[from..]),
            None => (0, self.bytes_mut(slot)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(bytes: usize, count: usize) -> SlotCount {
        SlotCount { bytes, count }
    }

    fn store() -> WatchedStore {
        WatchedStore::new(&[slots(40, 1), slots(16, 2)], false)
    }

    #[test]
    fn bounded_per_size() {
        let mut s = store();
        let a = s.alloc(12).unwrap();
        let b = s.alloc(16).unwrap();
        assert_eq!((s.bytes(a).len(), s.bytes(b).len()), (12, 16));
        assert_eq!((s.alloc(16), s.alloc(44)), (None, None));
        let c = s.alloc(20).unwrap();
        assert_eq!(s.peak_bytes(), 48);
        for slot in [b, a, c] {
            s.free(slot);
        }
        assert_eq!((s.used(), s.refused()), (0, 2));
        let again = s.alloc(16).unwrap();
        assert!(again > c);
    }

    #[test]
    fn larger_sizes_may_serve() {
        let mut s = WatchedStore::new(&[slots(40, 1), slots(16, 1)], true);
        let all = [s.alloc(16), s.alloc(16), s.alloc(16)];
        assert!(all[1].is_some() && all[2].is_none(), "{all:?}");
    }

    #[test]
    fn unwritten_values_differ_between_slots() {
        let mut s = store();
        let a = s.alloc(16).unwrap();
        let b = s.alloc(16).unwrap();
        assert_ne!(s.bytes(a), s.bytes(b));
    }

    #[test]
    #[should_panic(expected = "freed twice")]
    fn double_free() {
        let mut s = store();
        let a = s.alloc(4).unwrap();
        s.free(a);
        s.free(a);
    }

    #[test]
    #[should_panic(expected = "read after it was freed")]
    fn use_after_free() {
        let mut s = store();
        let a = s.alloc(4).unwrap();
        s.free(a);
        s.bytes(a);
    }

    #[test]
    #[should_panic(expected = "freed while a job uses it")]
    fn free_under_a_job() {
        let mut s = store();
        let a = s.alloc(4).unwrap();
        s.lock_read(a);
        s.free(a);
    }

    #[test]
    fn what_arrives_is_written_behind_what_was_handed_over() {
        let mut s = store();
        let a = s.alloc(16).unwrap();
        s.lock_arriving(a, 4);
        let (from, open) = s.open_bytes(a);
        assert_eq!((from, open.len()), (4, 12));
        open.fill(1);
        s.hand_over(a, 16);
        assert_eq!(s.open_bytes(a).1.len(), 0);
        s.unlock_read(a);
        assert_eq!((s.open_bytes(a).0, s.bytes(a)[15]), (0, 1));
    }

    #[test]
    fn what_a_job_has_made_can_be_read() {
        let mut s = store();
        let a = s.alloc(16).unwrap();
        assert_eq!(s.made_bytes(a), []);
        s.lock_write(a);
        s.make(a, 4).fill(7);
        assert_eq!((s.make(a, 4).len(), s.made_bytes(a)), (0, &[7; 4][..]));
        s.unlock_write(a);
        assert_eq!(s.made_bytes(a), []);
    }

    #[test]
    #[should_panic(expected = "written while a job uses it")]
    fn write_of_all_that_arrives() {
        let mut s = store();
        let a = s.alloc(4).unwrap();
        s.lock_arriving(a, 0);
        s.bytes_mut(a);
    }

    #[test]
    #[should_panic(expected = "read while a job writes it")]
    fn read_of_what_a_job_writes() {
        let mut s = store();
        let a = s.alloc(4).unwrap();
        s.lock_write(a);
        s.bytes(a);
    }
}
