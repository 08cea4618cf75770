//! A team of threads that share the rows of a layer, or its channels.
//!
//! A frame is hundreds of small layers' parts, some of them microseconds long, so handing one out
//! must cost little. The threads live as long as the team and look for work for a bounded short
//! time before they sleep. The caller takes part, and rows are handed out piece by piece
//! (`ledger`): nobody waits for a thread that another process keeps from running, but for the
//! piece that it already holds.

use std::{
    any::Any,
    io,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicPtr, Ordering},
    },
    thread::{self, JoinHandle},
};

use self::{ledger::Ledger, shared_slice::SharedSlice};
use crate::strip::Strip;

mod ledger;
mod shared_slice;
/// What [`ledger`] is made of; loom's kind in its test.
mod primitives {
    pub use std::{
        hint::spin_loop,
        sync::{
            Condvar, Mutex,
            atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
        },
    };

    /// How long a thread looks for what it waits for before it sleeps: longer than the gap between
    /// two layers and than most waits at a layer's end, shorter than what waking takes twice.
    pub const LOOK_MAX: std::time::Duration = std::time::Duration::from_micros(50);
}

/// Threads that split a layer's rows. A team of one runs in place and owns no thread.
#[derive(Debug)]
pub struct Team {
    /// None in a team of one.
    shared: Option<Arc<Shared>>,
    helpers: Vec<JoinHandle<()>>,
}

/// What all threads of a team see.
#[derive(Debug)]
struct Shared {
    /// Which rows are still to be taken, and who waits.
    ledger: Ledger,
    /// The layer at work: valid from the ledger's opening until all of its rows are done.
    layer: AtomicPtr<Layer<'static>>,
    /// Whether a caller is at work. A second one, and a call from inside a part, run alone.
    busy: AtomicBool,
    /// The first panic of the layer at work.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// How a layer's rows are split.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Values of a row.
    pub row_floats: usize,
    /// Values of working memory per thread.
    pub scratch_floats: usize,
}

/// How memory is cut into strips.
#[derive(Clone, Copy, Debug)]
pub struct Across {
    /// Values of a strip's piece; the last strip's may be fewer.
    pub width: usize,
    /// Values from the beginning of a strip's piece to that of its next one.
    pub stride: usize,
    /// Values of working memory per thread.
    pub scratch_floats: usize,
}

/// What a team works at: so many pieces, and what computes a range of them, given the thread's number
/// in the team.
struct Layer<'a> {
    f: &'a (dyn Fn(Range<usize>, usize) + Sync + 'a),
}

/// Computes rows into their place, with working memory.
type Part<'a> = dyn Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync + 'a;
/// Computes strips, with working memory.
type StripPart<'a> = dyn Fn(Range<usize>, Strip<'_>, &mut [f32]) + Sync + 'a;

impl Team {
    /// A team of the caller's thread alone.
    pub const fn solo() -> Self {
        Self {
            shared: None,
            helpers: Vec::new(),
        }
    }

    /// A team of `threads` threads, the caller's included; 0 and 1 mean the caller's alone.
    ///
    /// # Errors
    /// When the system refuses to start threads.
    pub fn new(threads: usize) -> io::Result<Self> {
        let mut team = Self::solo();
        if threads <= 1 {
            return Ok(team);
        }
        let shared = Arc::new(Shared {
            ledger: Ledger::new(threads),
            layer: AtomicPtr::default(),
            busy: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        team.shared = Some(Arc::clone(&shared));
        for i in 1..threads {
            let shared = Arc::clone(&shared);
            // Dropping a team that is not whole ends the threads it has.
            let helper = thread::Builder::new()
                .name(format!("team-{i}"))
                .spawn(move || shared.help(i))?;
            team.helpers.push(helper);
        }
        Ok(team)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        1 + self.helpers.len()
    }

    /// Splits `y`, rows `rows` of `row_floats` values each, and calls `f(range, part)` for every part.
    /// Which thread computes a row never changes its bits.
    ///
    /// # Panics
    /// If `y` does not hold exactly these rows, or `f` panics; then when no thread is at it any more.
    pub fn rows(
        &self,
        rows: Range<usize>,
        row_floats: usize,
        y: &mut [f32],
        f: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) {
        let split = Split {
            row_floats,
            scratch_floats: 0,
        };
        self.share_rows(rows, split, y, &mut [], &|rows, y, _| f(rows, y));
    }

    /// As [`Self::rows`], with working memory: calls `f(range, part, scratch)`, where `scratch` belongs to the
    /// calling thread alone. Threads without working memory leave the rows to the others.
    ///
    /// # Panics
    /// As [`Self::rows`]; and if there is no working memory for a single thread.
    pub fn rows_scratch(
        &self,
        rows: Range<usize>,
        split: Split,
        y: &mut [f32],
        scratch: &mut [f32],
        f: impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync,
    ) {
        self.share_rows(rows, split, y, scratch, &f);
    }

    /// Cuts `y` across: strip `i` has values `i * width..(i + 1) * width` of every `stride`. Calls
    /// `f(range, part, scratch)` for ranges of the `count` strips; `part` is what these have together,
    /// `scratch` the calling thread's own. Which thread computes a strip never changes its bits.
    ///
    /// # Panics
    /// If a strip lies outside of the stride or of `y`, there is no working memory for a single
    /// thread, or `f` panics.
    pub fn strips(
        &self,
        count: usize,
        across: Across,
        y: &mut [f32],
        scratch: &mut [f32],
        f: impl Fn(Range<usize>, Strip<'_>, &mut [f32]) + Sync,
    ) {
        self.share_strips(count, across, y, scratch, &f);
    }

    /// Not generic, as [`Self::share_rows`].
    fn share_strips(
        &self,
        count: usize,
        across: Across,
        y: &mut [f32],
        scratch: &mut [f32],
        f: &StripPart<'_>,
    ) {
        let (group, by_seat) = self.groups(count, across.scratch_floats, scratch.len());
        let (y, scratch) = (SharedSlice::new(y), SharedSlice::new(scratch));
        self.share(count.div_ceil(group), &|groups, seat| {
            let place = if by_seat { seat } else { groups.start };
            let first = place * across.scratch_floats;
            let strips = groups.start * group..count.min(groups.end * group);
            let own = strips.start * across.width..across.stride.min(strips.end * across.width);
            // SAFETY: strips do not overlap and every one is given out once; a thread's place in the
            // working memory is its own, as is a group's where there are no more groups than places.
            unsafe {
                let part = y.strip(across.stride, own);
                f(
                    strips,
                    part,
                    scratch.part(first..first + across.scratch_floats),
                );
            }
        });
    }

    /// Not generic: emitted crates come here once per layer and chain, and the team's machinery
    /// would be compiled anew for every call.
    fn share_rows(
        &self,
        rows: Range<usize>,
        split: Split,
        y: &mut [f32],
        scratch: &mut [f32],
        f: &Part<'_>,
    ) {
        let count = rows.len();
        assert_eq!(
            y.len(),
            count * split.row_floats,
            "a firing's rows fill their place"
        );
        let (group, by_seat) = self.groups(count, split.scratch_floats, scratch.len());
        let (y, scratch) = (SharedSlice::new(y), SharedSlice::new(scratch));
        self.share(count.div_ceil(group), &|groups, seat| {
            let place = if by_seat { seat } else { groups.start };
            let at = place * split.scratch_floats;
            let (first, end) = (groups.start * group, count.min(groups.end * group));
            // SAFETY: as for strips.
            unsafe {
                f(
                    rows.start + first..rows.start + end,
                    y.part(first * split.row_floats..end * split.row_floats),
                    scratch.part(at..at + split.scratch_floats),
                );
            }
        });
    }

    /// How many pieces are given out together, and whether every thread has working memory: `have`
    /// values for parts of `each`. Where threads are more than places, there are no more groups
    /// of pieces than places, and a group has its own.
    fn groups(&self, pieces: usize, each: usize, have: usize) -> (usize, bool) {
        match have.checked_div(each) {
            Some(places) if places < self.threads() => {
                assert!(places > 0, "working memory of a part");
                (pieces.div_ceil(places).max(1), false)
            }
            _ => (1, true),
        }
    }

    /// Calls `f` for pieces of `0..quanta`, from all threads.
    fn share(&self, quanta: usize, f: &(dyn Fn(Range<usize>, usize) + Sync)) {
        let shared = self.shared.as_deref().filter(|_| quanta > 1);
        let Some(shared) = shared.filter(|s| !s.busy.swap(true, Ordering::Acquire)) else {
            if quanta > 0 {
                f(0..quanta, 0);
            }
            return;
        };
        let layer = Layer { f };
        // Helpers look at it only between the ledger's opening and the last piece's `done`.
        let layer = (&raw const layer).cast_mut().cast();
        shared.layer.store(layer, Ordering::Relaxed);
        shared.ledger.open(quanta);
        shared.work(0);
        shared.ledger.wait_until_done();
        let panic = lock(&shared.panic).take();
        shared.busy.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.ledger.close();
        }
        for helper in self.helpers.drain(..) {
            // A helper catches its panics; there is nothing to learn from it.
            let _ = helper.join();
        }
    }
}

impl Shared {
    /// What a helper does all its life.
    fn help(&self, seat: usize) {
        while self.ledger.wait_for_work() {
            self.work(seat);
        }
    }

    /// Takes pieces of the layer at work until there are none, as thread `seat` of the team.
    fn work(&self, seat: usize) {
        while let Some(taken) = self.ledger.take(seat) {
            // SAFETY: `share` stored a pointer to a layer on its stack before it opened the ledger,
            // and a piece that was taken and is not done keeps it from returning. The ledger's
            // opening was released and the taking acquired it, so the layer is seen whole. It is
            // not used after `done`.
            let layer = unsafe { &*self.layer.load(Ordering::Relaxed) };
            let quanta = taken.quanta.clone();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (layer.f)(quanta, seat))) {
                lock(&self.panic).get_or_insert(panic);
            }
            self.ledger.done(taken);
        }
    }
}

/// Locks; what a panicking thread left is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
