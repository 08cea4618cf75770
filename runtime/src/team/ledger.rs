//! Who takes which piece of the work at hand, and how its threads wait: the team's only shared
//! state, without the work itself, so that loom can walk through it (`tests/team_loom.rs`).
//!
//! Every seat has a share: an equal part of the quanta, the same part of every layer, so that what a
//! thread reads is mostly what it wrote a layer ago and still has in its cache. A share is one word,
//! first and end of what nobody has taken. Its owner takes from the front; who has none left takes
//! from the end of the others'. Both are one compare-and-swap. `undone` says how many quanta are not
//! finished. A caller opens the ledger by raising it and filling the shares, and is done when it
//! is 0 again. Whoever takes a piece holds the caller up until it is done, so what the caller published
//! before opening stays valid exactly that long, and a helper that wakes late finds empty shares and
//! touches nothing. There is no generation count: a compare-and-swap that meets a later opening's
//! equal share takes a piece of that one, rightly.
//!
//! Pieces shrink as a share does (guided self-scheduling, Polychronopoulos and Kuck 1987): half of
//! what is left. So few pieces are cut when all threads run, and one that is held up by another process
//! holds up little.
//!
//! ## Sync points
//! - OPEN: [`Ledger::open`] writes a share, [`Ledger::take`] reads it: what the caller published is
//!   seen by whoever takes a piece (other takes in between continue the release sequence).
//! - DONE: [`Ledger::done`] lowers `undone`, [`Ledger::wait_until_done`] reads 0: what all pieces wrote
//!   is seen by the caller.
//! - SLEEP: a waiter counts itself in and looks once more before it sleeps; a waker changes
//!   a share or `undone` before it looks for sleepers. Between the two steps both have a sequentially
//!   consistent fence, so one of them sees the other.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::primitives::{
    AtomicBool, AtomicU64, AtomicUsize, Condvar, LOOK_MAX, Mutex, Ordering, fence, spin_loop,
};

/// How often a waiter looks before it reads the clock.
const LOOKS: u32 = 64;

/// A counter in a cache line of its own: some processors fetch two lines at a time.
#[repr(align(128))]
#[derive(Debug)]
struct Apart<T>(T);

/// The state; see the module.
#[derive(Debug)]
pub struct Ledger {
    /// By seat: first and end (the upper half) of the quanta that nobody has taken.
    shares: Box<[Apart<AtomicU64>]>,
    /// How long waiters look before they sleep. Not at all when there are more threads than cores:
    /// then the core that looks may be the one that is waited for.
    look: Duration,
    undone: Apart<AtomicUsize>,
    closed: AtomicBool,
    /// Helpers without work.
    idle: Bed,
    /// The caller, when others still work.
    caller: Bed,
}

/// A piece that was taken and must be given to [`Ledger::done`].
#[derive(Debug)]
pub struct Taken {
    /// Its quanta, counted from the work's first.
    pub quanta: Range<usize>,
}

/// Where threads sleep until something they wait for has changed.
#[derive(Debug)]
struct Bed {
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Ledger {
    /// A ledger for a caller and `threads - 1` helpers.
    pub fn new(threads: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            shares: (0..threads.max(1))
                .map(|_| Apart(AtomicU64::new(0)))
                .collect(),
            look: if threads <= cores {
                LOOK_MAX
            } else {
                Duration::ZERO
            },
            undone: Apart(AtomicUsize::new(0)),
            closed: AtomicBool::new(false),
            idle: Bed::new(),
            caller: Bed::new(),
        }
    }

    /// Offers `quanta` quanta to all threads. Only one caller may do so at a time, and only when all earlier
    /// quanta are done.
    ///
    /// # Panics
    /// If a share's ends do not fit half a word.
    pub fn open(&self, quanta: usize) {
        assert!(u32::try_from(quanta).is_ok(), "more than 2^32 quanta");
        self.undone.0.store(quanta, Ordering::Relaxed);
        let seats = self.shares.len();
        for (seat, share) in self.shares.iter().enumerate() {
            let [first, end] = [seat, seat + 1].map(|s| (quanta as u64 * s as u64) / seats as u64);
            // OPEN
            share.0.store(word(first, end), Ordering::Release);
        }
        self.idle.wake();
    }

    /// Takes a piece for `seat` if one is left: of its own share, or else of the next share that is not empty.
    pub fn take(&self, seat: usize) -> Option<Taken> {
        let seats = self.shares.len();
        let own = (0..seats).map(|i| (seat + i) % seats);
        own.enumerate()
            .find_map(|(i, share)| self.take_of(share, i == 0))
    }

    fn take_of(&self, share: usize, own: bool) -> Option<Taken> {
        let share = &self.shares[share].0;
        let mut now = share.load(Ordering::Relaxed);
        loop {
            let (first, end) = ends(now);
            if first == end {
                return None;
            }
            let half = (end - first).div_ceil(2);
            let (quanta, rest) = if own {
                (first..first + half, word(first + half, end))
            } else {
                (end - half..end, word(first, end - half))
            };
            // OPEN
            match share.compare_exchange_weak(now, rest, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    return Some(Taken {
                        quanta: quanta.start as usize..quanta.end as usize,
                    });
                }
                Err(other) => now = other,
            }
        }
    }

    /// Notes that a piece's work is finished.
    pub fn done(&self, taken: Taken) {
        // DONE
        let len = taken.quanta.len();
        if self.undone.0.fetch_sub(len, Ordering::AcqRel) == len {
            self.caller.wake();
        }
    }

    /// Lets the caller wait until all quanta that it offered are done.
    pub fn wait_until_done(&self) {
        // DONE
        let done = || self.undone.0.load(Ordering::Acquire) == 0;
        self.caller.wait(self.look, &done);
    }

    /// Lets a helper wait for an offer. `false` if the ledger is closed.
    pub fn wait_for_work(&self) -> bool {
        let closed = || self.closed.load(Ordering::Relaxed);
        let some = |share: &Apart<AtomicU64>| {
            let (first, end) = ends(share.0.load(Ordering::Relaxed));
            first < end
        };
        let awake = || self.shares.iter().any(some) || closed();
        self.idle.wait(self.look, &awake);
        !closed()
    }

    /// Closes the ledger: no more work will come.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.idle.wake();
    }
}

/// A share's word.
const fn word(first: u64, end: u64) -> u64 {
    first | end << 32
}

/// First and end of a share.
const fn ends(word: u64) -> (u64, u64) {
    (word & 0xffff_ffff, word >> 32)
}

impl Bed {
    fn new() -> Self {
        Self {
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            bell: Condvar::new(),
        }
    }

    /// Looks for a while, then sleeps until `over`.
    fn wait(&self, look: Duration, over: &dyn Fn() -> bool) {
        if look > Duration::ZERO {
            let begun = Instant::now();
            while begun.elapsed() < look {
                for _ in 0..LOOKS {
                    if over() {
                        return;
                    }
                    spin_loop();
                }
            }
        }
        let mut guard = self.lock.lock().expect("nobody panics with it");
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        // SLEEP
        fence(Ordering::SeqCst);
        while !over() {
            guard = self.bell.wait(guard).expect("nobody panics with it");
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        drop(guard);
    }

    /// Wakes all who sleep, after a change that ends their waiting.
    fn wake(&self) {
        // SLEEP
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            // A sleeper that counted itself in holds the lock until it hears the bell.
            drop(self.lock.lock().expect("nobody panics with it"));
            self.bell.notify_all();
        }
    }
}
