use proptest::prelude::*;

use super::*;
use crate::{memory, shm::Layout};
use tessera_runtime::element;

/// Slots of so many float32 values each: `(values, count)`.
fn counts(classes: &[(usize, usize)]) -> Vec<SlotCount> {
    let class = |&(values, count): &(usize, usize)| SlotCount {
        bytes: 4 * values,
        count,
    };
    classes.iter().map(class).collect()
}

/// A slot's float32 values.
fn floats(s: &SegmentStore, id: SlotId) -> &[f32] {
    element::floats(s.bytes(id))
}

fn floats_mut(s: &mut SegmentStore, id: SlotId) -> &mut [f32] {
    element::floats_mut(s.bytes_mut(id))
}

fn store(classes: &[(usize, usize)]) -> SegmentStore {
    SegmentStore::new(&segment(classes), &counts(classes)).unwrap()
}

fn segment(classes: &[(usize, usize)]) -> Segment {
    let layout = Layout {
        plan_hash: [0; 32],
        jobs: 1,
        workers: 1,
        pieces: 1,
        slot_bytes: place(&counts(classes)).1,
    };
    Segment::create(&layout).unwrap()
}

/// Bytes of memory that a segment's file takes.
fn memory_bytes(s: &SegmentStore) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::File::from(s.segment().fd().try_clone_to_owned().unwrap());
    512 * file.metadata().unwrap().blocks()
}

#[test]
fn slots_without_content_give_their_memory_back() {
    let values = IDLE_BYTES_MAX / 8; // half of what may be idle
    let mut s = store(&[(values, 6)]);
    let before = memory_bytes(&s);
    let bytes = 4 * values;
    let all: Vec<SlotId> = (0..6).map(|_| s.alloc(bytes).unwrap()).collect();
    for id in &all {
        s.bytes_mut(*id).fill(7);
    }
    let full = memory_bytes(&s);
    assert!(full >= before + 6 * bytes as u64);
    // Freed or kept, two idle slots stay, and the others' content is untouched.
    for id in &all[..3] {
        s.free(*id);
    }
    s.discard(all[3]);
    assert_eq!(memory_bytes(&s), full - 2 * bytes as u64);
    assert!(
        s.bytes(all[4])
            .iter()
            .chain(s.bytes(all[5]))
            .all(|b| *b == 7)
    );
    // What is written is not idle any more.
    s.bytes_mut(all[3]).fill(9);
    s.free(all[4]);
    s.free(all[5]);
    assert!(s.bytes(all[3]).iter().all(|b| *b == 9));
    assert_eq!(s.idle_bytes, IDLE_BYTES_MAX);
    let again = s.alloc(bytes).unwrap();
    assert!(s.lend_mut(again).is_some());
    assert!(s.idle_bytes <= IDLE_BYTES_MAX && s.idle.len() * bytes == s.idle_bytes);
}

#[test]
fn the_smallest_slot_that_fits_is_taken() {
    let mut s = store(&[(1000, 1), (10, 2), (100, 1)]);
    let lens = |s: &SegmentStore, id| floats(s, id).len();
    let a = s.alloc(4 * 10).unwrap();
    let b = s.alloc(4 * 3).unwrap();
    // Small ones are gone: the next larger class helps out.
    let c = s.alloc(4).unwrap();
    let d = s.alloc(4 * 11).unwrap();
    assert_eq!([a, b, c, d].map(|id| lens(&s, id)), [10, 3, 1, 11]);
    assert_eq!(s.alloc(0), None);
    assert_eq!(s.alloc(4 * 1001), None);
    s.free(b);
    assert_eq!(s.alloc(4 * 100), None);
    assert_eq!(s.alloc(0), Some(b));
    assert!(s.bytes(b).is_empty() && s.bytes_mut(b).is_empty());
    let u = s.usage();
    assert_eq!((u.slots, u.taken, u.full), (4, 4, 3));
    assert_eq!((u.bytes, u.peak_bytes), (4 * 22, 4 * 25));
}

#[test]
fn content_stays_and_bytes_are_floats() {
    let mut s = store(&[(4, 3)]);
    let ids = [1.5f32, 2.5, 3.5].map(|v| {
        let id = s.alloc(4 * 4).unwrap();
        floats_mut(&mut s, id).fill(v);
        (id, v)
    });
    for (id, v) in ids {
        assert_eq!(floats(&s, id), [v; 4]);
        assert_eq!(s.bytes(id)[..4], v.to_le_bytes());
    }
    s.bytes_mut(ids[1].0)[4..8].copy_from_slice(&9.0f32.to_le_bytes());
    assert_eq!(floats(&s, ids[1].0), [2.5, 9.0, 2.5, 2.5]);
}

#[test]
fn the_last_freed_is_the_next_taken() {
    let mut s = store(&[(2000, 5)]);
    let a = s.alloc(4 * 2000).unwrap();
    let b = s.alloc(4 * 2000).unwrap();
    assert!(floats(&s, a).as_ptr() < floats(&s, b).as_ptr());
    s.free(a);
    s.free(b);
    assert_eq!(s.alloc(4 * 2000), Some(b), "its pages are resident");
}

#[test]
fn pages_that_nobody_touches_stay_absent() {
    let shared = || memory::now().shared_bytes;
    let before = shared();
    let mut s = store(&[(16 << 20, 8)]);
    let id = s.alloc(16 << 20).unwrap();
    floats_mut(&mut s, id)[..1024].fill(1.0);
    // Other tests of this process share memory too, but nothing like half a gigabyte.
    assert!(shared() < before + (64 << 20));
}

#[test]
fn what_is_let_go_leaves_this_process_and_stays_what_it_is() {
    const FLOATS: usize = 2 << 20;
    let shared = || memory::now().shared_bytes;
    let mut s = store(&[(FLOATS, 2)]);
    let (a, b) = (s.alloc(4 * FLOATS).unwrap(), s.alloc(4 * FLOATS).unwrap());
    floats_mut(&mut s, a).fill(2.0);
    floats_mut(&mut s, b).fill(3.0);
    let full = shared();
    s.segment().let_go();
    // 16 MiB less; other tests of this process share far less.
    assert!(shared() + (12 << 20) < full);
    assert!(floats(&s, a).iter().all(|v| *v == 2.0));
    assert!(floats(&s, b).iter().all(|v| *v == 3.0));
}

#[test]
fn a_lent_slot_is_read_by_all_and_written_by_nobody() {
    let mut s = store(&[(8, 2)]);
    let id = s.alloc(4 * 8).unwrap();
    floats_mut(&mut s, id).fill(4.0);
    let (a, b) = (s.lend(id).unwrap(), s.lend(id).unwrap());
    assert!(s.lend_mut(id).is_none());
    let other = s.alloc(4 * 8).unwrap();
    floats_mut(&mut s, other).fill(5.0);
    let sum = std::thread::spawn(move || element::floats(a.bytes()).iter().sum::<f32>());
    assert_eq!(sum.join().unwrap(), 32.0);
    assert_eq!(
        (floats(&s, id), element::floats(b.bytes())),
        (&[4.0; 8][..], &[4.0; 8][..])
    );
    drop(b);
    let loan = s.lend_mut(id).unwrap();
    assert_eq!(loan.length(), 4 * 8);
    assert!(s.lend(id).is_none() && s.lend_mut(id).is_none());
    drop(loan);
    floats_mut(&mut s, id).fill(6.0);
    s.free(id);
}

fn refuses(what: &str, f: impl FnOnce(&mut SegmentStore, SlotId)) {
    let mut s = store(&[(8, 2)]);
    let id = s.alloc(4 * 8).unwrap();
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(&mut s, id)));
    assert!(refused.is_err(), "{what}");
}

#[test]
fn misuse_is_refused() {
    refuses("written while read", |s, id| {
        let _view = s.lend(id).unwrap();
        s.bytes_mut(id);
    });
    refuses("freed while read", |s, id| {
        let _view = s.lend(id).unwrap();
        s.free(id);
    });
    refuses("read while written", |s, id| {
        let _loan = s.lend_mut(id).unwrap();
        s.bytes(id);
    });
    refuses("freed while written", |s, id| {
        let _loan = s.lend_mut(id).unwrap();
        s.free(id);
    });
    refuses("freed twice", |s, id| {
        s.free(id);
        s.free(id);
    });
    refuses("read when free", |s, id| {
        s.free(id);
        s.bytes(id);
    });
    refuses("a slot that does not exist", |s, _| {
        drop(s.lend(SlotId(99)))
    });
}

#[test]
fn a_segment_has_one_store() {
    let s = segment(&[(8, 1)]);
    assert!(matches!(
        SegmentStore::new(&s, &counts(&[(8, 1000)])),
        Err(SegmentError::Layout { .. })
    ));
    let _first = SegmentStore::new(&s, &counts(&[(8, 1)])).unwrap();
    let clone = s.clone();
    let second = SegmentStore::new(&clone, &counts(&[(8, 1)]));
    assert!(matches!(second, Err(SegmentError::Managed)));
    let fd = s.fd().try_clone_to_owned().unwrap();
    let mapped = Segment::from_fd(fd, &[0; 32]).unwrap();
    let third = SegmentStore::new(&mapped, &counts(&[(8, 1)]));
    assert!(matches!(third, Err(SegmentError::Managed)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn slots_do_not_overlap_and_are_aligned(
        classes in proptest::collection::vec((0usize..5000, 0usize..6), 0..8),
    ) {
        let (places, bytes) = place(&counts(&classes));
        prop_assert_eq!(places.len(), classes.iter().map(|c| c.1).sum::<usize>());
        let mut end = 0;
        for (line, bytes) in places {
            let start = line * LINE_BYTES;
            prop_assert!(start >= end);
            prop_assert!(bytes < PAGE_BYTES || start.is_multiple_of(PAGE_BYTES));
            // Even empty slots have a place of their own.
            end = start + (bytes).max(1);
        }
        prop_assert!(bytes >= end);
    }

    #[test]
    fn a_store_counts_what_is_taken(steps in proptest::collection::vec((0usize..40, any::<bool>()), 1..120)) {
        let mut s = store(&[(10, 3), (20, 2), (40, 2)]);
        let mut taken: Vec<(SlotId, usize)> = Vec::new();
        for (n, free) in steps {
            if free && !taken.is_empty() {
                let (id, len) = taken.swap_remove(n % taken.len());
                prop_assert!(floats(&s, id).iter().all(|v| *v == id.0 as f32) && floats(&s, id).len() == len);
                s.free(id);
            } else if let Some(id) = s.alloc(4 * n) {
                prop_assert!(taken.iter().all(|t| t.0 != id));
                floats_mut(&mut s, id).fill(id.0 as f32);
                taken.push((id, n));
            } else {
                // Every slot long enough is taken.
                let long = [40, 20, 10].iter().filter(|f| **f >= n).count();
                prop_assert!(taken.len() >= 2 * long);
            }
            let u = s.usage();
            prop_assert_eq!(u.taken, taken.len());
            prop_assert_eq!(u.bytes, taken.iter().map(|t| 4 * t.1).sum::<usize>());
        }
    }
}
