use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::{
    shm::{Layout, Segment},
    sync::heap_words,
};

type Heap = Arc<[AtomicU32]>;

fn deque(cells: usize) -> (Owner<Heap>, Thief<Heap>) {
    from(cells, 0)
}

/// A deque whose ends stand at `start`, as after so many items.
fn from(cells: usize, start: u32) -> (Owner<Heap>, Thief<Heap>) {
    let words = heap_words(words_for(cells));
    words[TOP].store(start, Ordering::Relaxed);
    words[BOTTOM].store(start, Ordering::Relaxed);
    (Owner::new(words.clone(), cells), Thief::new(words, cells))
}

#[test]
fn owner_is_last_in_first_out_thief_first_in_first_out() {
    let (mut owner, thief) = deque(8);
    (1..=5).for_each(|k| owner.push(k).unwrap());
    assert_eq!((thief.steal(), owner.pop()), (Some(1), Some(5)));
    assert_eq!((thief.steal(), owner.pop()), (Some(2), Some(4)));
    assert_eq!((thief.steal(), owner.pop()), (Some(3), None));
    assert_eq!((thief.steal(), thief.is_empty()), (None, true));
    owner.push(6).unwrap();
    assert!(!thief.is_empty());
    assert_eq!((owner.pop(), thief.steal()), (Some(6), None));
}

#[test]
fn full_is_full_and_nothing_is_lost() {
    for cells in [1, 2, 8] {
        let (mut owner, thief) = deque(cells);
        for round in 0..3 {
            (0..cells as u32).for_each(|k| owner.push(round * 10 + k).unwrap());
            assert_eq!(owner.push(99), Err(Full));
            let all: Vec<u32> = std::iter::from_fn(|| thief.steal()).collect();
            assert_eq!(
                all,
                (0..cells as u32)
                    .map(|k| round * 10 + k)
                    .collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn ends_wrap() {
    let (mut owner, thief) = from(4, u32::MAX - 1);
    for k in 0..20 {
        owner.push(k).unwrap();
        owner.push(100 + k).unwrap();
        assert_eq!((thief.steal(), owner.pop()), (Some(k), Some(100 + k)));
        assert_eq!((thief.steal(), owner.pop()), (None, None));
    }
}

#[test]
fn a_peeked_item_is_removed_once() {
    let (mut owner, thief) = deque(4);
    owner.push(7).unwrap();
    let (a, b) = (thief.peek().unwrap(), thief.peek().unwrap());
    assert_eq!((a.value, a), (7, b));
    assert!(thief.remove(a));
    assert!(!thief.remove(b));
    owner.push(8).unwrap();
    assert!(!thief.remove(b));
    assert_eq!(thief.steal(), Some(8));
    // The owner takes it back meanwhile.
    owner.push(9).unwrap();
    let c = thief.peek().unwrap();
    assert_eq!(owner.pop(), Some(9));
    assert!(!thief.remove(c));
}

/// Every item is taken once, by the owner or one of three thieves.
fn stress<W: Words + Clone + Send + Sync>(words: W, cells: usize) {
    const ITEMS: u32 = if cfg!(miri) { 200 } else { 100_000 };
    let mut owner = Owner::new(words.clone(), cells);
    let taken: Vec<AtomicU32> = (0..ITEMS).map(|_| AtomicU32::new(0)).collect();
    let stop = AtomicU32::new(0);
    let take = |k: u32| taken[k as usize].fetch_add(1, Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let thief = Thief::new(words.clone(), cells);
            let (stop, take) = (&stop, &take);
            scope.spawn(move || {
                while stop.load(Ordering::Acquire) == 0 {
                    if thief.steal().map(take).is_none() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        for k in 0..ITEMS {
            while owner.push(k).is_err() {
                owner.pop().map(take);
            }
            if k % 7 == 0 {
                owner.pop().map(take);
            }
        }
        while owner.pop().map(take).is_some() {}
        // What the owner does not find was taken, perhaps not yet counted: scope waits.
        stop.store(1, Ordering::Release);
    });
    for (k, n) in taken.iter().enumerate() {
        assert_eq!(n.load(Ordering::Relaxed), 1, "item {k}");
    }
}

#[test]
fn threads_take_every_item_once() {
    stress(heap_words(words_for(16)), 16);
    stress(heap_words(words_for(1)), 1);
}

#[test]
fn threads_take_every_item_once_in_shared_memory() {
    let layout = Layout {
        plan_hash: [0; 32],
        jobs: 30,
        workers: 1,
        pieces: 1,
        slot_bytes: 0,
    };
    if !cfg!(miri) {
        stress(
            Segment::create(&layout).unwrap().deque(),
            layout.deque_cells(),
        );
    }
}
