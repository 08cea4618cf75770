//! The deque and the job table under loom: every interleaving of a few steps, with the values that
//! weak memory may show.
//!
//! ```text
//! LOOM_MAX_PREEMPTIONS=3 RUSTFLAGS="--cfg loom" \
//!     cargo test -p tessera-node --test loom --release --target-dir target/loom
//! ```

#![cfg(loom)]
#![forbid(unsafe_code)]

mod mortal;

use std::sync::{
    Arc,
    atomic::{AtomicU32 as Plain, Ordering},
};

use loom::{sync::atomic::AtomicU32, thread};
use mortal::{Mortal, life};
use tessera_node::{
    shm::{
        Dispatcher, Layout, Status, Taker,
        deque::{Owner, Thief, words_for},
        entry::{Content, PieceAt, PortIx},
        layout::LINE_WORDS,
    },
    sync::Words,
};
use tessera_plan::region::Region;

/// Words that loom watches.
#[derive(Clone)]
struct LoomWords(Arc<Vec<AtomicU32>>);

impl LoomWords {
    fn new(count: usize) -> Self {
        Self(Arc::new((0..count).map(|_| AtomicU32::new(0)).collect()))
    }
}

impl Words for LoomWords {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn load(&self, i: usize, order: Ordering) -> u32 {
        self.0[i].load(order)
    }

    fn store(&self, i: usize, value: u32, order: Ordering) {
        self.0[i].store(value, order);
    }

    fn compare_exchange(
        &self,
        i: usize,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.0[i].compare_exchange(current, new, success, failure)
    }

    fn fence(&self, order: Ordering) {
        loom::sync::atomic::fence(order);
    }
}

fn deque(cells: usize) -> (Owner<LoomWords>, Thief<LoomWords>) {
    let words = LoomWords::new(words_for(cells));
    (Owner::new(words.clone(), cells), Thief::new(words, cells))
}

/// Each of `pushed` was taken exactly once.
fn all_once(mut taken: Vec<u32>, pushed: u32) {
    taken.sort_unstable();
    assert_eq!(taken, (1..=pushed).collect::<Vec<_>>());
}

#[test]
fn owner_and_thief_never_take_the_same_item() {
    loom::model(|| {
        let (mut owner, thief) = deque(2);
        owner.push(1).unwrap();
        owner.push(2).unwrap();
        let stealing = thread::spawn(move || Vec::from_iter(std::iter::from_fn(|| thief.steal())));
        let mut taken: Vec<u32> = std::iter::from_fn(|| owner.pop()).collect();
        taken.extend(stealing.join().unwrap());
        all_once(taken, 2);
    });
}

#[test]
fn two_thieves_never_take_the_same_item() {
    loom::model(|| {
        let (mut owner, thief) = deque(2);
        owner.push(1).unwrap();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let thief = thief.clone();
                thread::spawn(move || thief.steal())
            })
            .collect();
        owner.push(2).unwrap();
        let mut taken: Vec<u32> = threads
            .into_iter()
            .filter_map(|t| t.join().unwrap())
            .collect();
        taken.extend(std::iter::from_fn(|| owner.pop()));
        all_once(taken, 2);
    });
}

#[test]
fn a_cell_is_not_read_after_it_was_given_to_another_item() {
    loom::model(|| {
        let (mut owner, thief) = deque(1);
        owner.push(1).unwrap();
        let stealing = thread::spawn(move || {
            let first = thief.peek();
            // What was at the top is told as it was, or not at all.
            first.map(|p| (p.value, thief.remove(p)))
        });
        let mut taken = Vec::new();
        taken.extend(owner.pop());
        let second = owner.push(2);
        let stolen = stealing.join().unwrap();
        taken.extend(stolen.filter(|s| s.1).map(|s| s.0));
        taken.extend(std::iter::from_fn(|| owner.pop()));
        all_once(taken, 1 + u32::from(second.is_ok()));
    });
}

/// A table whose words loom watches.
struct Table {
    layout: Layout,
    words: [LoomWords; 3],
}

impl Table {
    fn new(jobs: usize) -> Self {
        let layout = Layout {
            plan_hash: [0; 32],
            jobs,
            workers: 3,
            pieces: 1,
            slot_bytes: 0,
        };
        let counts = [
            words_for(layout.deque_cells()),
            LINE_WORDS * jobs,
            layout.entry_words() * jobs,
        ];
        Self {
            layout,
            words: counts.map(LoomWords::new),
        }
    }

    fn owner(&self) -> Dispatcher<LoomWords> {
        let [d, s, e] = self.words.clone();
        Dispatcher::new(d, s, e, &self.layout)
    }

    fn taker<W: Words>(&self, worker: usize, wrap: impl Fn(LoomWords) -> W) -> Taker<W> {
        let [d, s, e] = self.words.clone().map(wrap);
        Taker::new(d, s, e, &self.layout, worker)
    }
}

fn content(task: u32) -> Content {
    Content {
        task,
        pieces: vec![PieceAt {
            port: PortIx::Input(0),
            place: task * 3,
            region: Region::new([0, task as usize], [0, 2], [0, 3]),
            rows: 2 * task,
        }],
    }
}

/// Leases and finishes one job; tells which.
fn one<W: Words>(taker: &Taker<W>) -> Option<u32> {
    let lease = taker.lease()?;
    let mut found = Content::default();
    taker.read(&lease, &mut found).expect("entries are whole");
    assert_eq!(found, content(found.task));
    assert!(taker.finish(lease, true, found.task));
    Some(found.task)
}

#[test]
fn a_job_is_leased_once_and_its_entry_is_seen_whole() {
    loom::model(|| {
        let table = Table::new(2);
        let mut owner = table.owner();
        let threads: Vec<_> = (0..2)
            .map(|k| {
                let taker = table.taker(k, |w| w);
                thread::spawn(move || one(&taker))
            })
            .collect();
        let entries = [1, 2].map(|k| owner.submit(&content(k)).unwrap());
        let mut done: Vec<u32> = threads
            .into_iter()
            .filter_map(|t| t.join().unwrap())
            .collect();
        let last = table.taker(2, |w| w);
        done.extend(std::iter::from_fn(|| one(&last)));
        all_once(done, 2);
        for (k, e) in entries.into_iter().enumerate() {
            // Entries are given out in order, and a job says that it took as long as its number.
            let took = k as u32 + 1;
            assert!(matches!(owner.status(e), Status::Done { took_us, .. } if took_us == took));
        }
    });
}

#[test]
fn withdrawing_and_leasing_agree() {
    loom::model(|| {
        let table = Table::new(2);
        let mut owner = table.owner();
        let entries = [1, 2].map(|k| owner.submit(&content(k)).unwrap());
        let taker = table.taker(0, |w| w);
        let working = thread::spawn(move || one(&taker));
        owner.withdraw();
        let done = usize::from(working.join().unwrap().is_some());
        let failed = |e: &&usize| owner.status(**e) == Status::Failed;
        assert_eq!(entries.iter().filter(failed).count(), 2 - done);
        let is_done = |e: &&usize| matches!(owner.status(**e), Status::Done { .. });
        assert_eq!(entries.iter().filter(is_done).count(), done);
    });
}

#[test]
fn a_death_before_any_access_costs_its_lease_alone() {
    // Leasing and finishing a job takes 8 accesses beside those to its entry.
    for accesses in 0..24 {
        loom::model(move || {
            let table = Table::new(2);
            let mut owner = table.owner();
            let entries = [1, 2].map(|k| owner.submit(&content(k)).unwrap());
            let left = Arc::new(Plain::new(accesses));
            let victim = table.taker(0, |w| Mortal::new(w, &left));
            let dying = thread::spawn(move || life(|| one(&victim)).flatten());
            let other = table.taker(1, |w| w);
            let mut done: Vec<u32> = std::iter::from_fn(|| one(&other)).collect();
            done.extend(dying.join().unwrap());
            // Reaped: its writes are all visible, as after waitpid.
            let leases = owner.bury(0);
            // A victim that had seen the first job as queued and died leaves the rest to others.
            done.extend(std::iter::from_fn(|| one(&other)));
            let failed = |e: &&usize| owner.status(**e) == Status::Failed;
            let failed = entries.iter().filter(failed).count();
            let is_done = |e: &&usize| matches!(owner.status(**e), Status::Done { .. });
            assert_eq!(entries.iter().filter(is_done).count() + failed, 2);
            assert_eq!(failed, leases);
            assert!(leases <= 1);
            done.sort_unstable();
            done.dedup();
            assert!(done.len() + leases <= 2);
        });
    }
}

#[test]
fn who_sees_a_job_done_sees_what_it_made() {
    loom::model(|| {
        let table = Table::new(1);
        let mut owner = table.owner();
        let entry = owner.submit(&content(5)).unwrap();
        let taker = table.taker(0, |w| w);
        let made = LoomWords::new(1);
        let output = made.clone();
        let working = thread::spawn(move || {
            let lease = taker.lease().expect("nobody else takes it");
            output.store(0, 77, Ordering::Relaxed);
            taker.finish(lease, true, 9)
        });
        if let Status::Done { worker, took_us } = owner.status(entry) {
            assert_eq!(
                (worker, took_us, made.load(0, Ordering::Relaxed)),
                (0, 9, 77)
            );
        }
        assert!(working.join().unwrap());
    });
}
