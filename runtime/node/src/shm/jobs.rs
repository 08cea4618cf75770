//! The job table: what a job's state is, who may change it, and who holds its lease.
//!
//! ```text
//!            submit                 lease(w)              finish
//!  free ────────────────> queued ─────────────> leased ───────────> done or failed ──> free
//!        (owner)             │     (worker w)   by w  │  (worker w)                (owner)
//!                            │ withdraw (owner)       │ bury(w) (owner, w is reaped)
//!                            └──────> failed          └──────> failed
//! ```
//!
//! The state is one word, so that every arrow is one atomic step. A lease is the step from *queued*
//! to *leased by w*; it is taken while the job still lies in the deque, and only it gives the right
//! to run the job. The deque says where to look, nothing more. `README.md` walks through a SIGKILL
//! at every step.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::{
    arrivals,
    deque::{self, Full},
    entry::{self, Content},
    layout::{JOBS_MAX, LINE_WORDS, Layout, WORKERS_MAX},
};
use crate::sync::Words;

const FREE: u32 = 0;
const QUEUED: u32 = 1;
const LEASED: u32 = 2;
const DONE: u32 = 3;
const FAILED: u32 = 4;

const KIND_BITS: u32 = 3;
const WORKER_BITS: u32 = 7;
/// Bits of a job's turn: how often its table entry was used before, modulo.
const TURN_BITS: u32 = 32 - KIND_BITS - WORKER_BITS;
const TURN_MASK: u32 = (1 << TURN_BITS) - 1;
const _: () = assert!(JOBS_MAX <= 1 << (32 - TURN_BITS) && WORKERS_MAX <= 1 << WORKER_BITS);

/// Word of a job's line that holds its state.
const STATE: usize = 0;
/// Word of a job's line that holds the microseconds it ran.
const TOOK: usize = 1;

/// A table entry and its turn: what lies in the deque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    entry: usize,
    turn: u32,
}

impl Item {
    fn pack(self) -> u32 {
        (self.entry as u32) << TURN_BITS | self.turn
    }

    fn unpack(word: u32) -> Self {
        Self {
            entry: (word >> TURN_BITS) as usize,
            turn: word & TURN_MASK,
        }
    }

    /// The state word of this turn.
    fn state(self, kind: u32, worker: usize) -> u32 {
        self.turn << (KIND_BITS + WORKER_BITS) | (worker as u32) << KIND_BITS | kind
    }

    fn line(self) -> usize {
        self.entry * LINE_WORDS
    }
}

/// The state of a job, as its owner sees the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No worker has leased the job yet.
    Queued,
    /// A worker has leased the job and runs the job.
    Leased {
        /// Number of the worker.
        worker: usize,
    },
    /// The job's outputs are complete.
    Done {
        /// Number of the worker that ran the job.
        worker: usize,
        /// Microseconds that the job took.
        took_us: u32,
    },
    /// The job has no valid outputs, and no worker writes its outputs any more.
    Failed,
}

/// Why a job cannot be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Every entry of the table holds a job.
    #[error("the job table is full")]
    Full,
    /// The job has this many pieces, more than an entry can hold.
    #[error("{0} pieces are more than an entry holds")]
    Pieces(usize),
}

/// The network process' side of the job table. All processes together have exactly one.
#[derive(Debug)]
pub struct Dispatcher<W> {
    deque: deque::Owner<W>,
    states: W,
    entries: W,
    layout: Layout,
    /// Turn of every entry; `live` while a job has it. Not in shared memory: nobody can spoil it.
    turns: Vec<u32>,
    live: Vec<bool>,
}

/// A worker's side of the job table.
#[derive(Debug)]
pub struct Taker<W> {
    deque: deque::Thief<W>,
    states: W,
    entries: W,
    layout: Layout,
    worker: usize,
}

/// The right to run a job, until [`Taker::finish`] or death.
#[derive(Debug)]
#[must_use = "a lease that is not finished is lost until its worker dies"]
pub struct JobLease {
    item: Item,
    /// First word of the job's entry.
    at: usize,
}

impl JobLease {
    /// The word of the entries that holds how many rows of piece `k` are there.
    pub(super) const fn mark(&self, k: usize) -> usize {
        entry::mark(self.at, k)
    }
}

impl<W: Words> Dispatcher<W> {
    /// The owner of an empty table over zeroed words.
    pub fn new(deque: W, states: W, entries: W, layout: &Layout) -> Self {
        Self {
            deque: deque::Owner::new(deque, layout.deque_cells()),
            states,
            entries,
            layout: *layout,
            turns: vec![0; layout.jobs],
            live: vec![false; layout.jobs],
        }
    }

    fn item(&self, entry: usize) -> Item {
        Item {
            entry,
            turn: self.turns[entry],
        }
    }

    /// Queues a job; returns the index of its entry.
    ///
    /// # Errors
    /// When the table is full or the job has more pieces than an entry can hold.
    pub fn submit(&mut self, content: &Content) -> Result<usize, Refused> {
        if content.pieces.len() > self.layout.pieces {
            return Err(Refused::Pieces(content.pieces.len()));
        }
        let entry = self.live.iter().position(|l| !l).ok_or(Refused::Full)?;
        self.turns[entry] = self.turns[entry].wrapping_add(1) & TURN_MASK;
        let item = self.item(entry);
        entry::write(&self.entries, entry * self.layout.entry_words(), content);
        // SYNC POINT "queued", release side: whoever leases the job sees its entry and its inputs.
        self.states
            .store(item.line() + STATE, item.state(QUEUED, 0), Release);
        if let Err(Full) = self.deque.push(item.pack()) {
            // Cannot be with as many cells as `Layout::deque_cells` counts; nobody has seen the
            // job, so taking it back is safe all the same.
            self.states
                .store(item.line() + STATE, item.state(FREE, 0), Relaxed);
            return Err(Refused::Full);
        }
        self.live[entry] = true;
        Ok(entry)
    }

    /// Notes that so many rows of a piece of a live job are there, or [`ALL_ROWS`](super::arrivals::ALL_ROWS). Returns
    /// the word of the entries whose sleeper has to be woken, if a worker waits for these rows.
    ///
    /// # Panics
    /// If the entry holds no job, or the job no such piece.
    pub fn arrived(&self, entry: usize, piece: usize, rows: u32) -> Option<usize> {
        assert!(
            self.live[entry] && piece < self.layout.pieces,
            "rows of a live job"
        );
        let at = entry::mark(entry * self.layout.entry_words(), piece);
        arrivals::raise(&self.entries, at, rows).then_some(at)
    }

    /// The word of the entries that holds how many rows of piece `piece` of the job are there.
    pub(crate) fn mark(&self, entry: usize, piece: usize) -> usize {
        entry::mark(entry * self.layout.entry_words(), piece)
    }

    /// The state of a live job.
    pub fn status(&self, entry: usize) -> Status {
        let item = self.item(entry);
        // SYNC POINT "finished", acquire side: the job's outputs are complete.
        let word = self.states.load(item.line() + STATE, Acquire);
        let worker = (word >> KIND_BITS) as usize & ((1 << WORKER_BITS) - 1);
        let kind = word & ((1 << KIND_BITS) - 1);
        match kind {
            QUEUED => Status::Queued,
            DONE => Status::Done {
                worker,
                took_us: self.states.load(item.line() + TOOK, Relaxed),
            },
            FAILED => Status::Failed,
            _ => Status::Leased { worker },
        }
    }

    /// Frees the entry of an ended job.
    ///
    /// # Panics
    /// If the entry holds no job.
    pub fn release(&mut self, entry: usize) {
        assert!(self.live[entry], "an entry is released once");
        self.live[entry] = false;
        let item = self.item(entry);
        self.states
            .store(item.line() + STATE, item.state(FREE, 0), Relaxed);
    }

    /// Indices of the entries that hold jobs.
    pub fn live(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.live.len()).filter(|e| self.live[*e])
    }

    /// Number of jobs that no worker has leased.
    pub fn queued(&self) -> usize {
        self.live()
            .filter(|e| self.status(*e) == Status::Queued)
            .count()
    }

    /// Fails the jobs that `worker` holds; returns their number. Call this function only after the worker's
    /// process is reaped, so that the process writes no more.
    pub fn bury(&mut self, worker: usize) -> usize {
        let mut buried = 0;
        for entry in 0..self.live.len() {
            let item = self.item(entry);
            let (held, failed) = (item.state(LEASED, worker), item.state(FAILED, worker));
            buried += usize::from(
                self.live[entry]
                    && self
                        .states
                        .compare_exchange(item.line() + STATE, held, failed, AcqRel, Relaxed)
                        .is_ok(),
            );
        }
        buried
    }

    /// Fails all queued jobs, because no worker is left to run them or the node leaves.
    pub fn withdraw(&mut self) {
        while let Some(word) = self.deque.pop() {
            let item = Item::unpack(word);
            // Loses against a worker that has leased it meanwhile; then it is that worker's.
            let _ = self.states.compare_exchange(
                item.line() + STATE,
                item.state(QUEUED, 0),
                item.state(FAILED, 0),
                AcqRel,
                Relaxed,
            );
        }
    }
}

impl<W: Words> Taker<W> {
    /// The side of the worker with the number `worker`.
    ///
    /// # Panics
    /// If the layout has no worker with that number.
    pub fn new(deque: W, states: W, entries: W, layout: &Layout, worker: usize) -> Self {
        assert!(worker < layout.workers, "workers count from 0");
        Self {
            deque: deque::Thief::new(deque, layout.deque_cells()),
            states,
            entries,
            layout: *layout,
            worker,
        }
    }

    /// Whether no job seems to wait for a lease.
    pub fn is_idle(&self) -> bool {
        self.deque.is_empty()
    }

    /// Leases the oldest queued job; `None` when no job waits.
    pub fn lease(&self) -> Option<JobLease> {
        // Every turn but the last removes an item from the deque, or sees another worker do it.
        loop {
            let top = self.deque.peek()?;
            let item = Item::unpack(top.value);
            let won = item.entry < self.layout.jobs && self.take(item);
            // Leased, by us or by somebody who did not come so far: nobody's to find any more.
            self.deque.remove(top);
            if won {
                let at = item.entry * self.layout.entry_words();
                return Some(JobLease { item, at });
            }
        }
    }

    /// Writes the lease. From here on the job is this worker's, dead or alive.
    fn take(&self, item: Item) -> bool {
        // SYNC POINT "queued", acquire side.
        self.states
            .compare_exchange(
                item.line() + STATE,
                item.state(QUEUED, 0),
                item.state(LEASED, self.worker),
                AcqRel,
                Relaxed,
            )
            .is_ok()
    }

    /// Reads the task and the pieces of a leased job into `into`.
    ///
    /// # Errors
    /// When the entry is invalid.
    pub fn read(&self, lease: &JobLease, into: &mut Content) -> Result<(), entry::Spoiled> {
        entry::read(&self.entries, lease.at, self.layout.pieces, into)
    }

    /// Ends a lease; `done` tells whether the outputs are complete. Returns `false` when the owner has
    /// already taken the lease back, because the owner took this worker for dead.
    pub fn finish(&self, lease: JobLease, done: bool, took_us: u32) -> bool {
        let item = lease.item;
        self.states.store(item.line() + TOOK, took_us, Relaxed);
        // SYNC POINT "finished", release side.
        self.states
            .compare_exchange(
                item.line() + STATE,
                item.state(LEASED, self.worker),
                item.state(if done { DONE } else { FAILED }, self.worker),
                AcqRel,
                Relaxed,
            )
            .is_ok()
    }
}
