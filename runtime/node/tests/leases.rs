//! The job table and its deque, with a worker that dies before any of its memory accesses.

#![forbid(unsafe_code)]

mod mortal;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use mortal::{Mortal, life};
use tessera_node::{
    shm::{
        Dispatcher, Layout, Status, Taker,
        deque::words_for,
        entry::{Content, PieceAt, PortIx},
        jobs::Refused,
        layout::LINE_WORDS,
    },
    sync::{Words, heap_words},
};
use tessera_plan::region::Region;

type Heap = Arc<[AtomicU32]>;

/// A table on the heap.
struct Table {
    layout: Layout,
    deque: Heap,
    states: Heap,
    entries: Heap,
}

impl Table {
    fn new(jobs: usize) -> Self {
        let layout = Layout {
            plan_hash: [0; 32],
            jobs,
            workers: 3,
            pieces: 2,
            slot_bytes: 0,
        };
        Self {
            layout,
            deque: heap_words(words_for(layout.deque_cells())),
            states: heap_words(LINE_WORDS * jobs),
            entries: heap_words(layout.entry_words() * jobs),
        }
    }

    fn owner(&self) -> Dispatcher<Heap> {
        let [d, s, e] = [&self.deque, &self.states, &self.entries].map(Arc::clone);
        Dispatcher::new(d, s, e, &self.layout)
    }

    fn taker<W: Words>(&self, worker: usize, wrap: impl Fn(Heap) -> W) -> Taker<W> {
        let [d, s, e] = [&self.deque, &self.states, &self.entries].map(|w| wrap(Arc::clone(w)));
        Taker::new(d, s, e, &self.layout, worker)
    }

    /// Worker `worker`, which dies after `left` accesses.
    fn mortal(&self, worker: usize, left: u32) -> Taker<Mortal<Heap>> {
        let left = Arc::new(AtomicU32::new(left));
        self.taker(worker, |w| Mortal::new(w, &left))
    }
}

fn content(task: u32) -> Content {
    let piece = |port| PieceAt {
        port,
        place: task * 3,
        region: Region::new([0, task as usize], [0, 2], [0, 3]),
        rows: 2 * task,
    };
    Content {
        task,
        pieces: vec![piece(PortIx::Input(0)), piece(PortIx::Output(0))],
    }
}

/// Works until nothing is left, telling what was leased when it was.
fn work<W: Words>(taker: &Taker<W>, mut leased: impl FnMut(u32)) {
    let mut found = Content::default();
    while let Some(lease) = taker.lease() {
        taker.read(&lease, &mut found).expect("entries are whole");
        assert_eq!(found, content(found.task));
        leased(found.task);
        assert!(taker.finish(lease, true, found.task));
    }
}

#[test]
fn jobs_come_in_order_and_finish() {
    let table = Table::new(4);
    let (mut owner, taker) = (table.owner(), table.taker(1, |w| w));
    for round in 0..100 {
        let entries: Vec<usize> = (0..4)
            .map(|k| owner.submit(&content(round * 4 + k)).unwrap())
            .collect();
        assert_eq!(owner.submit(&content(0)), Err(Refused::Full));
        assert_eq!(owner.queued(), 4);
        let mut order = Vec::new();
        work(&taker, |task| order.push(task));
        assert_eq!(order, (round * 4..round * 4 + 4).collect::<Vec<_>>());
        for (k, entry) in entries.into_iter().enumerate() {
            let took_us = round * 4 + k as u32;
            assert_eq!(owner.status(entry), Status::Done { worker: 1, took_us });
            owner.release(entry);
        }
        assert_eq!(owner.live().count(), 0);
    }
}

#[test]
fn too_many_pieces_are_refused() {
    let mut owner = Table::new(1).owner();
    let mut big = content(1);
    big.pieces.push(big.pieces[0]);
    assert_eq!(owner.submit(&big), Err(Refused::Pieces(3)));
    assert_eq!(owner.live().count(), 0);
}

#[test]
fn a_death_before_any_access_costs_one_lease_at_most() {
    let mut died = 0;
    for accesses in 0.. {
        let table = Table::new(3);
        let mut owner = table.owner();
        let entries: Vec<usize> = (0..3).map(|k| owner.submit(&content(k)).unwrap()).collect();
        let victim = table.mortal(0, accesses);
        let lived = life(|| work(&victim, |_| {})).is_some();
        // What the others see before anybody knows of the death.
        let other = table.taker(1, |w| w);
        work(&other, |_| {});
        let held = |o: &Dispatcher<Heap>| {
            let is = |e: &&usize| o.status(**e) == Status::Leased { worker: 0 };
            entries.iter().filter(is).count()
        };
        let leases = held(&owner);
        assert!(leases <= 1, "{accesses}: {leases} leases");
        assert_eq!(
            owner.queued(),
            0,
            "{accesses}: the others find all that is left"
        );
        assert_eq!(owner.bury(1), 0, "leases of the living stay");
        assert_eq!(owner.bury(0), leases);
        assert_eq!(owner.bury(0), 0, "a lease is lost once");
        let failed = |e: &&usize| owner.status(**e) == Status::Failed;
        assert_eq!(entries.iter().filter(failed).count(), leases);
        entries.iter().for_each(|e| owner.release(*e));
        // The table works on, with all its places.
        for round in 0..3 {
            let again: Vec<usize> = (0..3)
                .map(|k| owner.submit(&content(10 * round + k)).unwrap())
                .collect();
            work(&other, |_| {});
            for e in again {
                assert!(matches!(owner.status(e), Status::Done { worker: 1, .. }));
                owner.release(e);
            }
        }
        died += u32::from(leases == 1);
        if lived {
            // One lease is lost when death comes between taking and finishing: that is most of
            // the accesses, and not all.
            assert!(died > 10 && died < accesses, "{died} of {accesses}");
            return;
        }
    }
}

#[test]
fn deaths_in_a_row_do_not_fill_the_deque() {
    let table = Table::new(3);
    let mut owner = table.owner();
    // Each victim dies right after it wrote its lease: the item stays in the deque. Accesses: peek
    // takes five, the lease is the sixth; from the second round on, another seven go into the
    // removal of what the last victim left.
    for round in 0..200 {
        let entry = owner.submit(&content(round)).unwrap();
        let victim = table.mortal(0, if round == 0 { 6 } else { 13 });
        assert!(life(|| victim.lease()).is_none());
        assert_eq!(owner.status(entry), Status::Leased { worker: 0 });
        assert_eq!(owner.bury(0), 1);
        owner.release(entry);
    }
}

#[test]
fn what_is_withdrawn_is_not_leased() {
    let table = Table::new(4);
    let (mut owner, taker) = (table.owner(), table.taker(2, |w| w));
    let entries: Vec<usize> = (0..4).map(|k| owner.submit(&content(k)).unwrap()).collect();
    let lease = taker.lease().unwrap();
    owner.withdraw();
    assert!(taker.lease().is_none());
    let failed = |e: &&usize| owner.status(**e) == Status::Failed;
    assert_eq!(entries.iter().filter(failed).count(), 3);
    assert!(taker.finish(lease, true, 1));
    assert_eq!(
        owner.status(entries[0]),
        Status::Done {
            worker: 2,
            took_us: 1
        }
    );
}

#[test]
fn a_buried_worker_that_lives_on_is_told() {
    let table = Table::new(1);
    let (mut owner, taker) = (table.owner(), table.taker(0, |w| w));
    let entry = owner.submit(&content(7)).unwrap();
    let lease = taker.lease().unwrap();
    assert_eq!(owner.bury(0), 1);
    assert!(!taker.finish(lease, true, 1));
    assert_eq!(owner.status(entry), Status::Failed);
}

#[test]
fn spoiled_memory_is_survived() {
    let table = Table::new(2);
    let (mut owner, taker) = (table.owner(), table.taker(0, |w| w));
    let entry = owner.submit(&content(1)).unwrap();
    // More pieces than there can be.
    table.entries[entry * table.layout.entry_words() + 1].store(u32::MAX, Ordering::Relaxed);
    let lease = taker.lease().unwrap();
    assert!(taker.read(&lease, &mut Content::default()).is_err());
    assert!(taker.finish(lease, false, 0));
    assert_eq!(owner.status(entry), Status::Failed);
    owner.release(entry);
    // Items that name no entry.
    owner.submit(&content(2)).unwrap();
    table.deque[2 * LINE_WORDS..]
        .iter()
        .for_each(|c| c.store(u32::MAX, Ordering::Relaxed));
    assert!(taker.lease().is_none());
}

#[test]
fn threads_share_the_work() {
    const JOBS: u32 = if cfg!(miri) { 60 } else { 20_000 };
    let table = Table::new(8);
    let mut owner = table.owner();
    let stop = AtomicU32::new(0);
    let done: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|k| {
                let (taker, stop) = (table.taker(k, |w| w), &stop);
                scope.spawn(move || {
                    let mut done = 0;
                    while stop.load(Ordering::Relaxed) == 0 {
                        work(&taker, |_| done += 1);
                        std::thread::yield_now();
                    }
                    done
                })
            })
            .collect();
        let mut seen = vec![0u32; JOBS as usize];
        let mut at = [0u32; 8];
        let (mut sent, mut over) = (0, 0);
        while over < JOBS {
            while sent < JOBS
                && let Ok(entry) = owner.submit(&content(sent))
            {
                at[entry] = sent;
                sent += 1;
            }
            for entry in owner.live().collect::<Vec<_>>() {
                if let Status::Done { took_us, .. } = owner.status(entry) {
                    assert_eq!(took_us, at[entry], "the worker read this entry's job");
                    seen[at[entry] as usize] += 1;
                    owner.release(entry);
                    over += 1;
                }
            }
            std::thread::yield_now();
        }
        assert!(seen.iter().all(|n| *n == 1));
        stop.store(1, Ordering::Relaxed);
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(done, JOBS);
}
