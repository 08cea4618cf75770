//! A team of threads that share the rows of a layer.
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
    slice,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicPtr, Ordering},
    },
    thread::{self, JoinHandle},
};

use self::ledger::Ledger;

mod ledger;
/// What [`ledger`] is made of; loom's kind in its test.
mod primitives {
    pub use std::{
        hint::spin_loop,
        sync::{
            Condvar, Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering, fence},
        },
    };

    /// How long a thread looks for what it waits for before it sleeps: longer than the gap between
    /// two layers and than most waits at a layer's end, shorter than what waking takes twice.
    pub const LOOK: std::time::Duration = std::time::Duration::from_micros(50);
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
    /// Parts begin at multiples of this many rows, counted from the first one.
    pub quantum: usize,
    /// Working memory of a part, in values.
    pub scratch_floats: usize,
}

/// A layer's rows and what makes them.
struct Layer<'a> {
    f: &'a Part<'a>,
    rows: Range<usize>,
    split: Split,
    /// First value of the rows, written by nobody but this team.
    y: *mut f32,
    /// First value of the working memory.
    scratch: *mut f32,
}

/// Computes rows into their place, with working memory.
type Part<'a> = dyn Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync + 'a;

impl Team {
    /// The caller's thread alone.
    pub const fn solo() -> Self {
        Self {
            shared: None,
            helpers: Vec::new(),
        }
    }

    /// `threads` threads; 0 and 1 mean the caller's alone.
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
                .spawn(move || shared.help())?;
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
            quantum: 1,
            scratch_floats: 0,
        };
        self.share(rows, split, y, &mut [], &|rows, y, _| f(rows, y));
    }

    /// As [`Self::rows`], cut only at multiples of the quantum: for kernels that make several rows at
    /// once and whose bits depend on where they begin. Where `split` asks for working memory there
    /// are no more parts than `scratch` has room for, and no more than threads.
    ///
    /// # Panics
    /// As [`Self::rows`]; and if `scratch` has no room for a single part or the quantum is 0.
    pub fn rows_scratch(
        &self,
        rows: Range<usize>,
        split: Split,
        y: &mut [f32],
        scratch: &mut [f32],
        f: impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync,
    ) {
        self.share(rows, split, y, scratch, &f);
    }

    /// Splits `y` in pieces of whole quanta; with working memory, in as many as there is memory for
    /// and no more than there are threads.
    ///
    /// Not generic: emitted crates come here once per layer and chain, and the team's machinery
    /// would be compiled anew for every call.
    fn share(
        &self,
        rows: Range<usize>,
        mut split: Split,
        y: &mut [f32],
        scratch: &mut [f32],
        f: &Part<'_>,
    ) {
        assert!(split.quantum > 0, "a part has rows");
        let count = rows.len();
        assert_eq!(
            y.len(),
            count * split.row_floats,
            "a firing's rows fill their place"
        );
        if let Some(places) = scratch.len().checked_div(split.scratch_floats) {
            assert!(places > 0, "working memory of a part");
            let parts = places.min(self.threads());
            split.quantum *= count.div_ceil(split.quantum).div_ceil(parts).max(1);
        }
        let shared = self.shared.as_deref().filter(|_| count > split.quantum);
        let Some(shared) = shared.filter(|s| !s.busy.swap(true, Ordering::Acquire)) else {
            return f(rows, y, &mut scratch[..split.scratch_floats]);
        };
        let quanta = count.div_ceil(split.quantum);
        let layer = Layer {
            f,
            rows,
            split,
            y: y.as_mut_ptr(),
            scratch: scratch.as_mut_ptr(),
        };
        // Helpers look at it only between the ledger's opening and the last piece's `done`.
        let layer = (&raw const layer).cast_mut().cast();
        shared.layer.store(layer, Ordering::Relaxed);
        shared.ledger.open(quanta);
        shared.work();
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
    fn help(&self) {
        while self.ledger.wait_for_work() {
            self.work();
        }
    }

    /// Takes pieces of the layer at work until there are none.
    fn work(&self) {
        while let Some(piece) = self.ledger.take() {
            // SAFETY: `share` stored a pointer to a layer on its stack before it opened the ledger,
            // and a piece that was taken and is not done keeps it from returning. The ledger's
            // opening was released and the taking acquired it, so the layer is seen whole. It is
            // not used after `done`.
            let layer = unsafe { &*self.layer.load(Ordering::Relaxed) };
            let left = piece.left.clone();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| layer.run(left))) {
                lock(&self.panic).get_or_insert(panic);
            }
            self.ledger.done(piece);
        }
    }
}

impl Layer<'_> {
    /// Runs quanta; `left` counts them from the layer's end.
    fn run(&self, left: Range<usize>) {
        let s = &self.split;
        let rows = self.rows.len();
        let quanta = rows.div_ceil(s.quantum);
        let number = quanta - left.end;
        let first = number * s.quantum;
        let end = ((quanta - left.start) * s.quantum).min(rows);
        // SAFETY: `y` holds `rows * row_floats` values (asserted by `share`) that `share` borrows
        // mutably until every piece is done; `first <= end <= rows`; and pieces do not overlap, so
        // nobody else has these rows.
        let y = unsafe {
            let begin = self.y.add(first * s.row_floats);
            slice::from_raw_parts_mut(begin, (end - first) * s.row_floats)
        };
        // SAFETY: `scratch` holds `scratch_floats` values for every quantum (`share` made as few),
        // borrowed like `y`, and no other piece has this quantum.
        let scratch = unsafe {
            let begin = self.scratch.add(number * s.scratch_floats);
            slice::from_raw_parts_mut(begin, s.scratch_floats)
        };
        (self.f)(self.rows.start + first..self.rows.start + end, y, scratch);
    }
}

/// Locks; what a panicking thread left is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
