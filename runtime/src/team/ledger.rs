//! Who takes which piece of the work at hand, and how its threads wait: the team's only shared
//! state, without the work itself, so that loom can walk through it (`tests/team_loom.rs`).
//!
//! Two counters. `left` says how many quanta nobody has taken; taking a piece is one
//! compare-and-swap that lowers it. `undone` says how many are not finished. A caller opens the
//! ledger by raising both, and is done when `undone` is 0 again. Whoever takes a piece holds the
//! caller up until it is done, so what the caller published before opening stays valid exactly that
//! long, and a helper that wakes late finds `left` at 0 and touches nothing. There is no generation
//! count: a compare-and-swap that meets a later opening with an equal `left` takes a piece of that
//! one, rightly.
//!
//! Pieces shrink as the work does (guided self-scheduling, Polychronopoulos and Kuck 1987): half of an
//! even share of what is left. So few pieces are cut when all threads run, and one that is held up
//! by another process holds up little.
//!
//! ## Sync points
//! - OPEN: [`Ledger::open`] writes `left`, [`Ledger::take`] reads it: what the caller published is
//!   seen by whoever takes a piece (other takes in between continue the release sequence).
//! - DONE: [`Ledger::done`] lowers `undone`, [`Ledger::wait_until_done`] reads 0: what all pieces wrote
//!   is seen by the caller.
//! - SLEEP: a waiter counts itself in and looks once more before it sleeps; a waker changes
//!   `left` or `undone` before it looks for sleepers. Between the two steps both have a sequentially
//!   consistent fence, so one of them sees the other.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::primitives::{
    AtomicBool, AtomicUsize, Condvar, LOOK, Mutex, Ordering, fence, spin_loop,
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
    threads: usize,
    /// How long waiters look before they sleep. Not at all when there are more threads than cores:
    /// then the core that looks may be the one that is waited for.
    look: Duration,
    left: Apart<AtomicUsize>,
    undone: Apart<AtomicUsize>,
    closed: AtomicBool,
    /// Helpers without work.
    idle: Bed,
    /// The caller, when others still work.
    caller: Bed,
}

/// A piece that was taken and must be given to [`Ledger::done`].
#[derive(Debug)]
pub struct Piece {
    /// Its quanta, by what was left when each was next: the first quantum of the work is the
    /// highest number.
    pub left: Range<usize>,
}

/// Where threads sleep until something they wait for has changed.
#[derive(Debug)]
struct Bed {
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Ledger {
    /// For a caller and `threads - 1` helpers.
    pub fn new(threads: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads,
            look: if threads <= cores {
                LOOK
            } else {
                Duration::ZERO
            },
            left: Apart(AtomicUsize::new(0)),
            undone: Apart(AtomicUsize::new(0)),
            closed: AtomicBool::new(false),
            idle: Bed::new(),
            caller: Bed::new(),
        }
    }

    /// Offers `quanta` to everybody. Only one caller at a time, and only when nothing is undone.
    pub fn open(&self, quanta: usize) {
        self.undone.0.store(quanta, Ordering::Relaxed);
        // OPEN
        self.left.0.store(quanta, Ordering::Release);
        self.idle.wake();
    }

    /// Takes a piece, if there is one left.
    pub fn take(&self) -> Option<Piece> {
        let mut left = self.left.0.load(Ordering::Relaxed);
        while left > 0 {
            let rest = left - left.div_ceil(2 * self.threads);
            // OPEN
            match self.left.0.compare_exchange_weak(
                left,
                rest,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Piece { left: rest..left }),
                Err(now) => left = now,
            }
        }
        None
    }

    /// A piece's work is finished.
    pub fn done(&self, piece: Piece) {
        // DONE
        if self.undone.0.fetch_sub(piece.left.len(), Ordering::AcqRel) == piece.left.len() {
            self.caller.wake();
        }
    }

    /// The caller waits until all that it offered is done.
    pub fn wait_until_done(&self) {
        // DONE
        let done = || self.undone.0.load(Ordering::Acquire) == 0;
        self.caller.wait(self.look, &done);
    }

    /// A helper waits for an offer; `false` when there will be none any more.
    pub fn wait_for_work(&self) -> bool {
        let closed = || self.closed.load(Ordering::Relaxed);
        let awake = || self.left.0.load(Ordering::Relaxed) > 0 || closed();
        self.idle.wait(self.look, &awake);
        !closed()
    }

    /// There will be no work any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.idle.wake();
    }
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
