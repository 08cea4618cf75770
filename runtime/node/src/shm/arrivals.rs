//! Rows of inputs that arrive while their task runs, and rows of outputs that it has made.
//!
//! Two words of a piece in its job's entry: how many rows are there (the *mark*), which the network process raises, and
//! how many rows the worker waits for. A worker reads no row behind the mark; the network process writes none before it.
//! So a row is handed over by one step of one word, as a slot is by a lease.
//!
//! A worker that lacks rows sleeps on the mark (futex(2)) until the network process has raised the mark far enough. A
//! piece that will not be completed gets the mark [`ALL_ROWS`] too: nobody writes it any more, the task goes on with
//! whatever its bytes are, and its outcome is thrown away.
//!
//! The mark of an output is the worker's: the network process reads rows before it while the task runs. Its second word tells
//! the worker that rows may have left, so that it does not make them anew.

use std::{
    cell::Cell,
    ops::Range,
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
    time::{Duration, Instant},
};

use super::{futex, segment::ShmWords};
use crate::sync::Words;
use tessera_runtime::io::{ArrivingRows, MadeRows};

/// The mark of a piece that is complete.
pub const ALL_ROWS: u32 = u32::MAX;

/// Longest sleep between two looks at a mark: only a lost wake-up would let it pass.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Raises the mark at word `at`, which the word of what is waited for follows. Returns true if a worker waits for the
/// rows and has to be woken.
pub(super) fn raise(words: &impl Words, at: usize, rows: u32) -> bool {
    // SYNC POINT "arrived", release side: whoever reads the mark sees the rows before it. And either this process sees
    // below that a worker waits, or the worker sees the new mark before it sleeps: both sides write their word before
    // they read the other's, in one order of all such accesses.
    words.store(at, rows, SeqCst);
    let wanted = words.load(at + 1, SeqCst);
    wanted != 0 && wanted <= rows
}

/// Wakes the worker that waits at word `at`.
pub fn wake(words: &ShmWords, at: usize) {
    futex::wake(&words.as_ref()[at]);
}

/// The number of rows of an output that its worker has made, whose mark is word `at`; from now on rows may have left.
pub(super) fn look(words: &impl Words, at: usize) -> u32 {
    // SYNC POINT "made", acquire side. And either the worker sees below that rows may have left, or this process sees the
    // mark that the worker has taken back: both sides write their word before they read the other's.
    words.store(at + 1, 1, SeqCst);
    words.load(at, SeqCst)
}

/// Takes the marks of outputs back, to make their rows anew; `false` if rows may have left.
fn take_back(words: &impl Words, at: usize) -> bool {
    words.store(at, 0, SeqCst);
    words.load(at + 1, SeqCst) == 0
}

/// The outputs of a job, in the worker that makes them.
#[derive(Debug)]
pub(super) struct Outputs {
    words: ShmWords,
    /// Per output the word of its mark, and its rows that are stored with all before them; `None` once others were
    /// stored before.
    marks: Vec<(usize, Cell<Option<usize>>)>,
}

impl Outputs {
    /// Outputs whose marks are these words.
    pub(super) fn new(words: ShmWords, marks: impl Iterator<Item = usize>) -> Self {
        let marks = marks.map(|at| (at, Cell::new(Some(0)))).collect();
        Self { words, marks }
    }

    /// Prepares to make all rows anew; `false` if rows have left, so that this job must not. Rows that are made anew
    /// leave at the end of the task.
    pub(super) fn take_back(&self) -> bool {
        let taken = self.marks.iter().map(|(at, stored)| {
            stored.set(None);
            take_back(&self.words, *at)
        });
        taken.fold(true, |all, one| all & one)
    }
}

impl MadeRows for Outputs {
    fn made(&self, output: usize, rows: Range<usize>) {
        let Some((at, stored)) = self.marks.get(output) else {
            return;
        };
        let next = stored.get().filter(|n| *n == rows.start);
        stored.set(next.map(|_| rows.end));
        if next.is_some() {
            // SYNC POINT "made", release side: whoever reads the mark sees the rows before it.
            self.words.store(*at, rows.end as u32, Release);
        }
    }
}

/// A piece of an input whose last rows are still on their way, in the worker that reads it.
#[derive(Debug)]
pub struct ArrivingPiece {
    words: ShmWords,
    /// The word of the mark.
    at: usize,
    bytes: NonNull<[u8]>,
    row_bytes: usize,
    waited: Cell<Duration>,
}

impl ArrivingPiece {
    /// The piece with the bytes `bytes` and rows of `row_bytes` bytes, whose mark is word `at` of `words`.
    ///
    /// # Safety
    /// While this piece lives, the bytes are valid for reads, and nobody writes rows before the mark.
    pub(super) unsafe fn new(
        words: ShmWords,
        at: usize,
        bytes: NonNull<[u8]>,
        row_bytes: usize,
    ) -> Self {
        Self {
            words,
            at,
            bytes,
            row_bytes,
            waited: Cell::new(Duration::ZERO),
        }
    }

    /// Time for which the task waited for rows of this piece.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }

    fn wait_for(&self, rows: u32) {
        let words: &[AtomicU32] = self.words.as_ref();
        let (mark, wanted) = (&words[self.at], &words[self.at + 1]);
        // SYNC POINT "arrived", acquire side.
        if mark.load(Acquire) >= rows {
            return;
        }
        let began = Instant::now();
        wanted.store(rows, SeqCst);
        // Ends when the rows have come, or will not come; until then this worker is the network process' to kill.
        loop {
            let seen = mark.load(SeqCst);
            if seen >= rows {
                break;
            }
            futex::wait(mark, seen, SLEEP_MAX);
        }
        wanted.store(0, Relaxed);
        self.waited.set(self.waited.get() + began.elapsed());
    }
}

impl ArrivingRows for ArrivingPiece {
    /// # Panics
    /// If the piece has no such rows.
    fn rows(&self, rows: Range<usize>) -> &[u8] {
        let (first, end) = (rows.start * self.row_bytes, rows.end * self.row_bytes);
        assert!(first <= end && end <= self.bytes.len(), "rows of the piece");
        if first == end {
            return &[];
        }
        self.wait_for(u32::try_from(rows.end).unwrap_or(ALL_ROWS));
        // SAFETY: the range lies in the piece (checked above), whose bytes are valid while `self` lives. The rows lie
        // before the mark (`wait_for`), so nobody writes them: the contract of `new`.
        unsafe {
            let at = self.bytes.cast::<u8>().add(first);
            std::slice::from_raw_parts(at.as_ptr(), end - first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        shm::{Layout, Segment},
        sync::heap_words,
    };

    #[test]
    fn only_a_worker_that_waits_for_these_rows_is_woken() {
        let words = heap_words(4);
        assert!(!raise(&words, 1, 3));
        words.store(2, 5, Relaxed);
        assert!(!raise(&words, 1, 4) && raise(&words, 1, 5) && raise(&words, 1, ALL_ROWS));
        assert_eq!(words.load(1, Relaxed), ALL_ROWS);
    }

    #[test]
    fn rows_are_read_when_they_are_here() {
        const ROWS: usize = 200;
        let layout = Layout {
            plan_hash: [0; 32],
            jobs: 1,
            workers: 1,
            pieces: 1,
            slot_bytes: 8 * ROWS,
        };
        let s = Segment::create(&layout).unwrap();
        let bytes = s.bytes(0, 8 * ROWS).unwrap();
        let row = |k: usize| [k as u8; 8];
        std::thread::scope(|scope| {
            let other = s.clone();
            scope.spawn(move || {
                let words = other.entries();
                let bytes = other.bytes(0, 8 * ROWS).unwrap().cast::<u8>();
                for k in 0..ROWS {
                    // SAFETY: the row lies in the slots and behind the mark: nobody reads it yet.
                    unsafe { bytes.add(8 * k).write_bytes(k as u8, 8) };
                    if raise(&words, 3, k as u32 + 1) {
                        wake(&words, 3);
                    }
                }
            });
            // SAFETY: the segment lives as long; only rows behind the mark are written.
            let piece = unsafe { ArrivingPiece::new(s.entries(), 3, bytes, 8) };
            for k in (0..ROWS).step_by(3) {
                let end = (k + 3).min(ROWS);
                let found: Vec<[u8; 8]> = (k..end).map(row).collect();
                assert_eq!(piece.rows(k..end), found.concat());
            }
            assert!(piece.rows(ROWS..ROWS).is_empty());
        });
    }

    #[test]
    fn only_rows_in_order_are_marked() {
        let layout = Layout {
            plan_hash: [0; 32],
            jobs: 1,
            workers: 1,
            pieces: 2,
            slot_bytes: 64,
        };
        let s = Segment::create(&layout).unwrap();
        let (words, at) = (s.entries(), [3, 9]);
        let outputs = Outputs::new(s.entries(), at.into_iter());
        outputs.made(0, 0..2);
        outputs.made(1, 1..2);
        outputs.made(0, 2..5);
        outputs.made(1, 0..1);
        outputs.made(2, 0..1);
        assert_eq!(at.map(|at| words.load(at, Relaxed)), [5, 0]);
        // Nobody has looked: the rows are made anew, and no mark tells of them.
        assert!(outputs.take_back());
        outputs.made(0, 0..5);
        assert_eq!(look(&words, at[0]), 0);
        assert!(!outputs.take_back(), "somebody has looked");
    }

    #[test]
    fn what_will_not_come_is_not_waited_for() {
        let layout = Layout {
            plan_hash: [0; 32],
            jobs: 1,
            workers: 1,
            pieces: 1,
            slot_bytes: 64,
        };
        let s = Segment::create(&layout).unwrap();
        let bytes = s.bytes(0, 64).unwrap();
        // SAFETY: nobody writes.
        let piece = unsafe { ArrivingPiece::new(s.entries(), 3, bytes, 8) };
        raise(&s.entries(), 3, ALL_ROWS);
        assert_eq!(piece.rows(0..8).len(), 64);
        assert_eq!(piece.waited(), Duration::ZERO);
    }
}
